import Glibc
import Testing

@testable import LSTM

/// The choice is the process's, so each test that makes one has a process of its own.
@Suite struct KernelDispatchTests {
  @Test func theBestSetComesLast() {
    let sets = InstructionSet.supported
    #expect(sets.first == .baseline)
    #expect(sets == InstructionSet.allCases.filter(\.isSupported))
    for set in sets { #expect("\(set.kernels.name)" == set.rawValue) }
    for set in InstructionSet.allCases where !set.isSupported {
      #expect("\(set.kernels.name)" == "baseline")
      #expect(throws: EngineError.self) { try KernelDispatch.select(set) }
    }
  }

  @Test func withoutAWishItIsTheBest() async {
    await #expect(processExitsWith: .success) {
      unsetenv("CAROUSEL_INSTRUCTION_SET")
      exit(KernelDispatch.instructionSet == InstructionSet.supported.last ? 0 : 1)
    }
  }

  @Test func theEnvironmentChooses() async {
    await #expect(processExitsWith: .success) {
      setenv("CAROUSEL_INSTRUCTION_SET", "baseline", 1)
      exit("\(KernelDispatch.kernels.name)" == "baseline" ? 0 : 1)
    }
  }

  @Test func anUnknownWishIsIgnored() async {
    await #expect(processExitsWith: .success) {
      setenv("CAROUSEL_INSTRUCTION_SET", "abacus", 1)
      exit(KernelDispatch.instructionSet == InstructionSet.supported.last ? 0 : 1)
    }
  }

  /// What was packed before goes on with the kernels that it was packed for.
  @Test func packedWeightsKeepTheirKernels() async {
    await #expect(processExitsWith: .success) {
      let weights: [Float] = (0..<60).map { Float($0) * 0.1 }
      let x: [Float] = [1, 2, 3]
      func multiply(_ packed: PackedMatrix<Float>) -> [Float] {
        var out = [Float](repeating: 0, count: 32)
        Float.product(
          rows: 1, a: x, aStride: 3, b: packed, c: &out, cStride: 32, initial: .zero, threads: 1)
        return out
      }
      let packed = try PackedMatrix<Float>(rows: 3, columns: 20)
      packed.pack(weights, stride: 20)
      let before = multiply(packed)
      try KernelDispatch.select(.baseline)
      let after = multiply(packed)
      let chosen = "\(KernelDispatch.kernels.name)" == "baseline"
      exit(before == after && before[3] != 0 && chosen ? 0 : 1)
    }
  }
}
