import KernelInterface
import LSTM
import Testing

@Suite struct ElementwiseTests {
  static let sizes = [0, 1, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33, 100]

  @Test(arguments: instructionSets) func sumsAndProducts(set: InstructionSet) throws {
    var random = Random(11)
    for n in Self.sizes {
      let x = try Matrix(1, n, stride: n, random: &random)
      let z = try Matrix(1, n, stride: n, random: &random)
      let y = try Matrix(1, n, stride: n, random: &random)
      var expected = y.values
      set.kernels.addScaled(n, 0.7, x.pointer, y.pointer)
      for i in 0..<n { expected[i] = set.fma(0.7, x[0, i], expected[i]) }
      #expect(sameBits(y.values, expected) && y.isIntact)
      set.kernels.multiplyAdd(n, x.pointer, z.pointer, y.pointer)
      for i in 0..<n { expected[i] = set.fma(x[0, i], z[0, i], expected[i]) }
      #expect(sameBits(y.values, expected) && y.isIntact)
      set.kernels.scale(n, -1.3, y.pointer)
      for i in 0..<n { expected[i] *= -1.3 }
      #expect(sameBits(y.values, expected) && y.isIntact)
    }
  }

  @Test(arguments: instructionSets) func sumOfSquaresHasOneOrder(set: InstructionSet) throws {
    var random = Random(12)
    for n in Self.sizes + [1000] {
      let x = try Matrix(1, n, stride: n, random: &random)
      var sums = [Float](repeating: 0, count: 16)
      for i in 0..<n { sums[i % 16] = set.fma(x[0, i], x[0, i], sums[i % 16]) }
      var half = 8
      while half > 0 {
        for j in 0..<half { sums[j] += sums[j + half] }
        half /= 2
      }
      #expect(set.kernels.sumOfSquares(n, x.pointer) == sums[0])
    }
  }

  @Test(arguments: instructionSets, [false, true])
  func columnSums(set: InstructionSet, weighted: Bool) throws {
    var random = Random(13)
    for columns in Self.sizes {
      let x = try Matrix(7, columns, random: &random)
      let z = try Matrix(7, columns, random: &random)
      let sums = try Matrix(1, columns, stride: columns, random: &random)
      var expected = sums.values
      for j in 0..<columns {
        for r in 0..<7 {
          expected[j] =
            weighted ? set.fma(x[r, j], z[r, j], expected[j]) : expected[j] + x[r, j]
        }
      }
      var arguments = ColumnSumArguments(
        rows: 7, columns: columns, x: x.pointer, xStride: x.stride,
        z: weighted ? UnsafePointer(z.pointer) : nil, zStride: z.stride, sums: sums.pointer)
      set.kernels.addColumnSums(&arguments)
      #expect(sameBits(sums.values, expected) && sums.isIntact)
    }
  }
}
