import KernelInterface
import LSTM
import Testing

/// Gates, cells and outputs of the usual cell, whose functions share divisions, against double precision: over
/// the whole range of sums.
@Suite struct GateAccuracyTests {
  /// Sums that are the same in all four blocks: of every exponent and both signs, and infinite ones.
  static let sums = ActivationTests.inputs

  /// A step whose sums are its biases, in the rows of a batch.
  static func problem(rows: Int, _ sums: [Float]) throws -> LSTMStepTests.Problem {
    var p = try LSTMStepTests.Problem(rows: rows, units: sums.count, inputWidth: 0, hiddenWidth: 1)
    p.h = try Matrix(rows, 1)
    p.bias = try Matrix(4, sums.count, values: sums + sums + sums + sums)
    return p
  }

  /// Below -87 a gate is 1.6e-38 and no less, where the exact one goes on to 0.
  static func gateError(_ value: Float, _ z: Double) -> Double {
    let exact = ActivationMath.value(.sigmoid, z)
    return z < -87
      ? (value >= Float(exact) && value < 1.7e-38 ? 0 : .infinity)
      : ActivationTests.ulps(value, exact, floor: 0)
  }

  @Test(arguments: instructionSets, [1, 2, 5]) func gatesAreAccurate(
    set: InstructionSet, rows: Int
  ) throws {
    let p = try Self.problem(rows: rows, Self.sums)
    let result = try LSTMStepTests.run(set, p)
    let units = p.units
    // i, f, g, o near zero, and farther out, where a gate is less than 1e-8.
    var near = [0.0, 0, 0, 0]
    var far = [0.0, 0, 0, 0]
    var output = 0.0
    for at in result.h.indices {
      let (row, unit) = (at / units, at % units)
      let z = Double(Self.sums[unit])
      for block in 0..<4 {
        let kept = result.gates[(row * 4 + block) * units + unit]
        let error =
          block == 2
          ? ActivationTests.ulps(kept, ActivationMath.value(.tanh, z), floor: 0)
          : Self.gateError(kept, z)
        if z < -18 {
          far[block] = max(far[block], error)
        } else {
          near[block] = max(near[block], error)
        }
      }
      let exact =
        ActivationMath.value(.sigmoid, max(z, -87))
        * ActivationMath.value(.tanh, Double(result.c[at]))
      output = max(output, ActivationTests.ulps(result.h[at], exact, floor: 1e-38))
    }
    print("\(set.rawValue) \(rows) rows: gates \(near), far \(far), output \(output) ulp")
    #expect(near.allSatisfy { $0 <= 4 } && far.allSatisfy { $0 <= 6 })
    #expect(output <= 5)
  }

  /// A cell is carried on unchanged by a forget gate of 1, whatever it holds, if nothing is added.
  @Test(arguments: instructionSets) func openForgetGateKeepsTheCell(set: InstructionSet) throws {
    let units = 64
    var p = try LSTMStepTests.Problem(rows: 3, units: units, inputWidth: 0, hiddenWidth: 1)
    p.h = try Matrix(3, 1)
    let z: [Float] = [-3, 30, 0, 1]
    p.bias = try Matrix(
      4, units, values: z.flatMap { Array(repeating: $0, count: units) })
    #expect(sameBits(try LSTMStepTests.run(set, p).c, p.c.values))
  }

  @Test(arguments: instructionSets) func keepsNaN(set: InstructionSet) throws {
    for rows in [1, 2, 3] {
      let p = try Self.problem(rows: rows, [.nan, 0.5, .infinity])
      let result = try LSTMStepTests.run(set, p)
      for row in 0..<rows {
        #expect(result.h[3 * row].isNaN && result.c[3 * row].isNaN)
        #expect(result.h[3 * row + 1].isFinite && result.h[3 * row + 2].isFinite)
      }
    }
  }

  /// What is kept for the way back changes no bit of what goes forwards, nor does the path that also knows peepholes.
  @Test(arguments: instructionSets, [1, 2, 5]) func everyPathHasTheSameBits(
    set: InstructionSet, rows: Int
  ) throws {
    var p = try Self.problem(rows: rows, Self.sums)
    let usual = try LSTMStepTests.run(set, p)
    let unkept = try LSTMStepTests.run(set, p, keepsGates: false)
    p.peepholes = try (0..<3).map { _ in try Matrix(1, p.units) }
    let general = try LSTMStepTests.run(set, p)
    for other in [unkept, general] {
      #expect(sameBits(usual.h, other.h) && sameBits(usual.c, other.c))
    }
  }
}
