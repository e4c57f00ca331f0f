import KernelInterface
import LSTM
import Testing

/// Products against the definition: one chain of multiply-adds per element, to the bit.
@Suite struct ProductTests {
  struct Shape: CustomTestStringConvertible, Sendable {
    var m: Int
    var n: Int
    var k: Int
    var testDescription: String { "\(m)x\(n)x\(k)" }
  }

  static let shapes: [Shape] = {
    var shapes: [Shape] = []
    for m in [1, 2, 5, 6, 7, 11, 12, 13, 25] {
      for n in [1, 15, 16, 17, 31, 32, 33, 64, 100] {
        shapes.append(Shape(m: m, n: n, k: 7))
      }
    }
    for k in [0, 1, 255, 256, 257, 600] { shapes.append(Shape(m: 13, n: 40, k: k)) }
    shapes.append(Shape(m: 0, n: 5, k: 3))
    shapes.append(Shape(m: 300, n: 33, k: 300))
    shapes.append(Shape(m: 30, n: 20, k: 1100))
    shapes.append(Shape(m: 500, n: 140, k: 20))
    for m in 1...4 { shapes.append(Shape(m: m, n: 250, k: 40)) }
    // B is far: tiles ask for what comes next.
    for m in [5, 17, 33] { shapes.append(Shape(m: m, n: 270, k: 502)) }
    return shapes
  }()

  enum Start: CaseIterable { case zero, bias, accumulate }

  @Test(arguments: instructionSets) func productIsOneChainPerElement(set: InstructionSet) throws {
    var random = Random(1)
    for shape in Self.shapes {
      for start in Start.allCases {
        let a = try Matrix(shape.m, shape.k, random: &random)
        let b = try Matrix(shape.k, shape.n, random: &random)
        let bias = try Matrix(1, shape.n, random: &random)
        let c = try Matrix(shape.m, shape.n, stride: shape.n + 3, random: &random)
        let before = try c.copy()
        let packed = try PackedMatrix<Float>(
          rows: shape.k, columns: shape.n, kernels: set.kernels)
        packed.pack(b.pointer, stride: b.stride)

        var arguments = ProductArguments(
          rows: shape.m, columns: shape.n, depth: shape.k, a: a.pointer, aStride: a.stride,
          b: packed.storage.pointer, c: c.pointer, cStride: c.stride,
          bias: start == .bias ? UnsafePointer(bias.pointer) : nil,
          accumulates: start == .accumulate)
        set.kernels.product(&arguments)

        var expected: [Float] = []
        for m in 0..<shape.m {
          for n in 0..<shape.n {
            var sum: Float =
              switch start {
              case .zero: 0
              case .bias: bias[0, n]
              case .accumulate: before[m, n]
              }
            for k in 0..<shape.k { sum = set.fma(a[m, k], b[k, n], sum) }
            expected.append(sum)
          }
        }
        #expect(sameBits(c.values, expected), "\(shape.testDescription) \(start)")
        #expect(c.isIntact)
        let untouched = (0..<shape.m).allSatisfy { m in
          (shape.n..<c.stride).allSatisfy { c[m, $0] == before[m, $0] }
        }
        #expect(untouched, "\(shape.testDescription): wrote beyond the columns")
      }
    }
  }

  /// One row of A for all rows of C.
  @Test(arguments: instructionSets) func rowsOfAMayBeTheSame(set: InstructionSet) throws {
    var random = Random(5)
    for rows in [1, 2, 3, 6, 7, 12, 25] {
      let a = try Matrix(1, 19, random: &random)
      let b = try Matrix(19, 50, random: &random)
      let c = try Matrix(rows, 50, random: &random)
      let packed = try PackedMatrix<Float>(rows: 19, columns: 50, kernels: set.kernels)
      packed.pack(b.pointer, stride: b.stride)
      var arguments = ProductArguments(
        rows: rows, columns: 50, depth: 19, a: a.pointer, aStride: 0,
        b: packed.storage.pointer, c: c.pointer, cStride: c.stride)
      set.kernels.product(&arguments)
      var expected: [Float] = []
      for _ in 0..<rows {
        for n in 0..<50 {
          expected.append((0..<19).reduce(0) { set.fma(a[0, $1], b[$1, n], $0) })
        }
      }
      #expect(sameBits(c.values, expected), "\(rows) rows")
    }
  }

  @Test(arguments: instructionSets) func transposedPackingMultipliesWithTheTranspose(
    set: InstructionSet
  ) throws {
    var random = Random(2)
    for (rows, columns) in [(1, 1), (5, 33), (40, 70), (16, 32)] {
      let b = try Matrix(rows, columns, random: &random)
      let transposed = try Matrix(columns, rows)
      for r in 0..<rows { for c in 0..<columns { transposed[c, r] = b[r, c] } }
      let plain = try PackedMatrix<Float>(rows: rows, columns: columns, kernels: set.kernels)
      let other = try PackedMatrix<Float>(rows: rows, columns: columns, kernels: set.kernels)
      plain.pack(b.pointer, stride: b.stride)
      other.pack(transposed.pointer, stride: transposed.stride, transposed: true)
      #expect(Array(plain.storage.elements) == Array(other.storage.elements))
    }
  }

  @Test(arguments: instructionSets) func outerProductIsOneChainPerElement(
    set: InstructionSet
  ) throws {
    var random = Random(3)
    let kernels = set.kernels
    for (rows, depth, columns) in [
      (1, 1, 1), (3, 5, 7), (12, 13, 32), (255, 12, 33), (256, 7, 64), (257, 25, 100), (0, 3, 3),
      (600, 30, 31), (5, 1000, 70), (300, 100, 65), (1100, 20, 40), (7, 64, 256), (33, 40, 200),
      (600, 210, 150), (2, 37, 48),
    ] {
      let a = try Matrix(rows, depth, random: &random)
      let d = try Matrix(rows, columns, random: &random)
      // A second A for the same D.
      let factors = try [a, Matrix(rows, 14, random: &random)]
      let initial = try factors.map {
        try Matrix($0.columns, columns, stride: columns, random: &random)
      }
      let expected = zip(factors, initial).map { added($0, d, to: $1, set) }
      // How much scratch there is changes no bit; the first is the least that is allowed.
      let scratches = try [
        (min(rows, 256), 1), (rows, 1), (rows, 20), (rows, depth), (rows, 2000),
      ].map { try Buffer<Float>(count: kernels.outerProductScratch($0, $1)) }
      for (scratch, count) in scratches.flatMap({ [($0, 1), ($0, 2)] }) {
        let c = try initial.map { try $0.copy() }
        var arguments = OuterProductArguments(
          rows: rows, depth: depth, columns: columns, a: a.pointer, aStride: a.stride,
          d: d.pointer, dStride: d.stride, c: c[0].pointer, cStride: columns,
          scratch: scratch.pointer, scratchCount: scratch.count)
        if count == 2 {
          arguments.second = OuterFactor(
            depth: 14, a: factors[1].pointer, aStride: factors[1].stride, c: c[1].pointer,
            cStride: columns)
        }
        kernels.outerProduct(&arguments)
        for i in 0..<count {
          #expect(sameBits(c[i].values, expected[i]), "\(rows) rows, \(depth) x \(columns)")
          #expect(c[i].isIntact)
        }
      }
    }
  }

  /// D in blocks with padding between them, whole or from some column on, upwards or downwards.
  @Test(arguments: instructionSets) func outerProductOfBlocks(set: InstructionSet) throws {
    var random = Random(11)
    let kernels = set.kernels
    for (rows, units, blocks) in [
      (1, 1, 4), (2, 24, 4), (17, 3, 4), (40, 24, 4), (300, 40, 3), (9, 100, 4), (64, 17, 1),
    ] {
      let stride = try Memory.rowStride(units)
      let a = try Matrix(rows, 13, random: &random)
      let padded = try Matrix(rows, blocks * stride, stride: blocks * stride, random: &random)
      let d = try Matrix(rows, blocks * units)
      for row in 0..<rows {
        for column in 0..<blocks * units {
          d[row, column] = padded[row, column / units * stride + column % units]
        }
      }
      let initial = try Matrix(13, blocks * units, stride: blocks * units, random: &random)
      for first in [0, 1, blocks * units / 2] {
        for descends in [false, true] {
          let columns = blocks * units - first
          let c = try initial.copy()
          let scratch = try Buffer<Float>(count: kernels.outerProductScratch(rows, 13))
          let last = descends ? rows - 1 : 0
          let sign = descends ? -1 : 1
          var arguments = OuterProductArguments(
            rows: rows, depth: 13, columns: columns, a: a.pointer + last * a.stride,
            aStride: sign * a.stride, d: padded.pointer + last * padded.stride,
            dStride: sign * padded.stride, c: c.pointer + first, cStride: c.stride,
            scratch: scratch.pointer, scratchCount: scratch.count)
          arguments.dBlocks = ColumnBlocks(width: units, stride: stride, first: first)
          kernels.outerProduct(&arguments)
          var expected = initial.values
          for k in 0..<13 {
            for n in first..<blocks * units {
              for m in descends ? Array((0..<rows).reversed()) : Array(0..<rows) {
                let at = k * blocks * units + n
                expected[at] = set.fma(a[m, k], d[m, n], expected[at])
              }
            }
          }
          #expect(sameBits(c.values, expected), "\(rows) rows, \(blocks) x \(units)")
          #expect(c.isIntact)
        }
      }
    }
  }

  /// C + Aᵀ D.
  private func added(_ a: Matrix, _ d: Matrix, to c: Matrix, _ set: InstructionSet) -> [Float] {
    var sums = c.values
    for k in 0..<a.columns {
      for n in 0..<d.columns {
        for m in 0..<a.rows {
          sums[k * d.columns + n] = set.fma(a[m, k], d[m, n], sums[k * d.columns + n])
        }
      }
    }
    return sums
  }
}
