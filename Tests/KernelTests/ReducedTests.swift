import KernelInterface
import LSTM
import Testing

/// LSTM has an alias of the same name, which the macros stumble over.
typealias Format = KernelInterface.WeightFormat

/// Weights in reduced precision: bfloat16 against the float32 kernels with what was rounded, to the bit; int8
/// against whole numbers, to the bit as well.
@Suite struct ReducedTests {
  static let formats = [Format.bfloat16, .int8]

  /// A matrix whose numbers the format holds exactly.
  static func rounded(
    _ rows: Int, _ columns: Int, _ format: Format, _ random: inout Random
  ) throws -> (Matrix, ReducedArray) {
    let values = random.values(rows * columns)
    let array = try values.withUnsafeBufferPointer { buffer in
      // An empty matrix has no address.
      var nothing: Float = 0
      return try withUnsafePointer(to: &nothing) { empty in
        try ReducedArray(
          format, rows: rows, columns: columns, scalesRows: false,
          values: buffer.baseAddress ?? empty)
      }
    }
    let matrix = try Matrix(rows, columns)
    for r in 0..<rows { for c in 0..<columns { matrix[r, c] = array.value(r, c) } }
    return (matrix, array)
  }

  /// Codes of a row of activations and their scale, as `RowCodes.swift` defines them.
  static func codes(_ row: [Float]) -> (codes: [Int], scale: Float) {
    let largest = row.map(\.magnitude).max() ?? 0
    guard largest.isFinite, !row.contains(where: \.isNaN) else {
      return (row.map { _ in 0 }, .nan)
    }
    guard largest >= 0x1p-100 else { return (row.map { _ in 0 }, 0) }
    let scale = largest / 32767
    // The product is exact in double precision, as it is before the kernels round it.
    let factor = Double(1 / scale)
    return (row.map { Int((Double($0) * factor).rounded(.toNearestOrEven)) }, scale)
  }

  /// initial + row · column in the order of the kernels: sums of 512 products are exact.
  static func integerSum(
    _ set: InstructionSet, _ row: [Float], _ array: ReducedArray, column: Int, initial: Float
  ) -> Float {
    let (codes, scale) = codes(row)
    var sum = initial
    for first in stride(from: 0, to: row.count, by: 512) {
      var exact = 0
      for k in first..<min(first + 512, row.count) {
        exact += codes[k] * array.code(k * array.columns + column)
      }
      sum = set.fma(Float(exact), scale * array.scales.pointer[column], sum)
    }
    return sum
  }

  /// The factors of a product as the set's bfloat16 kernels multiply them, for its float32 kernels: unchanged, or
  /// with the activations rounded and the second of each pair of ks first.
  static func factors(
    _ set: InstructionSet, _ a: Matrix, _ b: Matrix
  ) throws -> (a: Matrix, b: Matrix) {
    guard set.kernels.pairsBrainFloats else { return (a, b) }
    let depth = (a.columns + 1) / 2 * 2
    let pair = (a: try Matrix(a.rows, depth), b: try Matrix(depth, b.columns, stride: b.stride))
    for k in 0..<a.columns {
      for r in 0..<a.rows {
        let bits = a[r, k].bitPattern
        pair.a[r, k ^ 1] = Float(
          bitPattern: (bits + 0x7fff + (bits >> 16) % 2) & 0xffff_0000)
      }
      for c in 0..<b.columns { pair.b[k ^ 1, c] = b[k, c] }
    }
    return pair
  }

  // MARK: Products

  @Test(arguments: instructionSets) func bfloat16ProductsAreThoseOfTheRoundedFactors(
    set: InstructionSet
  ) throws {
    var random = Random(21)
    for shape in ProductTests.shapes {
      for start in ProductTests.Start.allCases {
        let a = try Matrix(shape.m, shape.k, random: &random)
        let (b, _) = try Self.rounded(shape.k, shape.n, .bfloat16, &random)
        let bias = try Matrix(1, shape.n, random: &random)
        let before = try Matrix(shape.m, shape.n, stride: shape.n + 3, random: &random)
        let exact = try Self.factors(set, a, b)
        let expected = try Self.product(set, .float32, exact.a, exact.b, bias, before, start)
        let found = try Self.product(set, .bfloat16, a, b, bias, before, start)
        #expect(sameBits(found, expected), "\(shape.testDescription) \(start)")
      }
    }
  }

  @Test(arguments: instructionSets) func int8ProductsAreWholeNumbers(
    set: InstructionSet
  ) throws {
    // Without FMA the codes of activations may differ by one: x / scale is rounded before it is shifted.
    guard set.fuses else { return }
    var random = Random(22)
    for shape in ProductTests.shapes where shape.m * shape.n * shape.k < 500_000 {
      for start in ProductTests.Start.allCases {
        let a = try Matrix(shape.m, shape.k, random: &random, in: -3...3)
        let (b, array) = try Self.rounded(shape.k, shape.n, .int8, &random)
        let bias = try Matrix(1, shape.n, random: &random)
        let before = try Matrix(shape.m, shape.n, stride: shape.n + 3, random: &random)
        let found = try Self.product(set, .int8, a, b, bias, before, start)
        var expected: [Float] = []
        for m in 0..<shape.m {
          let row = (0..<shape.k).map { a[m, $0] }
          for n in 0..<shape.n {
            let initial: Float =
              switch start {
              case .zero: 0
              case .bias: bias[0, n]
              case .accumulate: before[m, n]
              }
            expected.append(Self.integerSum(set, row, array, column: n, initial: initial))
          }
        }
        #expect(sameBits(found, expected), "\(shape.testDescription) \(start)")
      }
    }
  }

  static func product(
    _ set: InstructionSet, _ format: Format, _ a: Matrix, _ b: Matrix, _ bias: Matrix,
    _ before: Matrix, _ start: ProductTests.Start
  ) throws -> [Float] {
    let c = try before.copy()
    let packed = try PackedMatrix<Float>(
      rows: b.rows, columns: b.columns, kernels: set.kernels, format: format)
    packed.pack(b.pointer, stride: b.stride)
    var arguments = ProductArguments(
      rows: a.rows, a: a.pointer, aStride: a.stride, b: packed, c: c.pointer, cStride: c.stride,
      bias: start == .bias ? UnsafePointer(bias.pointer) : nil, accumulates: start == .accumulate)
    set.kernels.product(&arguments)
    #expect(c.isIntact)
    let untouched = (0..<c.rows).allSatisfy { m in
      (c.columns..<c.stride).allSatisfy { c[m, $0] == before[m, $0] }
    }
    #expect(untouched, "\(a.rows)x\(b.columns)x\(b.rows): wrote beyond the columns")
    return c.values
  }

  /// Rows do not depend on their neighbours; a NaN or infinity stays in its row.
  @Test(arguments: instructionSets, formats) func rowsStandAlone(
    set: InstructionSet, format: Format
  ) throws {
    var random = Random(23)
    // Each height of a tile, and more ks than whole numbers are summed over.
    for (m, n, k) in [(9, 70, 300), (50, 33, 17)] + (6...12).map({ ($0, 70, 1030) }) {
      let a = try Matrix(m, k, random: &random)
      let (b, _) = try Self.rounded(k, n, format, &random)
      let bias = try Matrix(1, n, random: &random)
      let before = try Matrix(m, n)
      let whole = try Self.product(set, format, a, b, bias, before, .bias)
      for row in 0..<m {
        let one = try Matrix(1, k, values: (0..<k).map { a[row, $0] })
        let alone = try Self.product(set, format, one, b, bias, try Matrix(1, n), .bias)
        #expect(sameBits(alone, Array(whole[row * n..<(row + 1) * n])), "row \(row)")
      }
      a[3, 2] = .nan
      a[5, 0] = .infinity
      let dirty = try Self.product(set, format, a, b, bias, before, .bias)
      for row in 0..<m where row != 3 && row != 5 {
        #expect(
          sameBits(Array(whole[row * n..<(row + 1) * n]), Array(dirty[row * n..<(row + 1) * n])))
      }
      #expect(dirty[3 * n..<4 * n].allSatisfy { $0.isNaN })
      #expect(dirty[5 * n..<6 * n].allSatisfy { !$0.isFinite })
    }
  }

  /// Sets that multiply pairs of bfloat16 round more than others.
  static func agreeing(_ format: Format) -> [InstructionSet] {
    fusedSets.filter { format != .bfloat16 || !$0.kernels.pairsBrainFloats }
  }

  @Test(arguments: formats) func setsAgree(format: Format) throws {
    var random = Random(24)
    let a = try Matrix(13, 700, random: &random)
    let (b, _) = try Self.rounded(700, 100, format, &random)
    let bias = try Matrix(1, 100, random: &random)
    let results = try Self.agreeing(format).map {
      try Self.product($0, format, a, b, bias, try Matrix(13, 100), .bias)
    }
    #expect(results.allSatisfy { sameBits($0, results[0]) })
  }

  // MARK: Steps

  @Test(arguments: instructionSets) func bfloat16StepsAreThoseOfTheRoundedFactors(
    set: InstructionSet
  ) throws {
    for blocks in blockSets {
      for (rows, units, width) in [
        (1, 37, 4), (2, 64, 9), (5, 33, 1), (13, 16, 20), (1, 8, 3), (70, 20, 5), (3, 2, 17_000),
      ] {
        let p = try LSTMStepTests.Problem(
          rows: rows, units: units, inputWidth: width, blocks: blocks, peepholes: rows == 5)
        try Self.round(p, .bfloat16)
        var exact = p
        (exact.x, exact.kernel) = try Self.factors(set, p.x, p.kernel)
        (exact.h, exact.recurrent) = try Self.factors(set, p.h, p.recurrent)
        (exact.inputWidth, exact.hiddenWidth) = (exact.x.columns, exact.h.columns)
        let expected = try LSTMStepTests.run(set, exact)
        for splits in [[], [1]] {
          let found = try LSTMStepTests.run(
            set, p, splits: splits, descends: splits.isEmpty, format: .bfloat16)
          #expect(LSTMStepTests.agree(found, expected), "\(rows) rows, \(units) units, \(blocks)")
        }
      }
    }
  }

  @Test(arguments: instructionSets) func int8StepsAreNearTheRoundedWeights(
    set: InstructionSet
  ) throws {
    for blocks in blockSets {
      for (rows, units, width) in [
        (1, 37, 4), (2, 64, 9), (5, 33, 1), (70, 16, 20), (3, 300, 40), (8, 33, 530),
        (23, 20, 530),
      ] {
        let p = try LSTMStepTests.Problem(
          rows: rows, units: units, inputWidth: width, blocks: blocks, peepholes: rows == 5)
        try Self.round(p, .int8)
        let exact = try LSTMStepTests.run(set, p)
        let found = try LSTMStepTests.run(set, p, format: .int8)
        let reference = exact.h.map(Double.init)
        #expect(largestDifference(found.h, reference) < 5e-4, "\(rows) rows, \(units) units")
        #expect(
          LSTMStepTests.agree(found, try LSTMStepTests.run(set, p, splits: [1], format: .int8)))
        #expect(
          LSTMStepTests.agree(found, try LSTMStepTests.run(set, p, descends: true, format: .int8)))
        for row in 0..<rows {
          let alone = try LSTMStepTests.run(set, p, rows: row..<row + 1, format: .int8)
          let range = row * units..<(row + 1) * units
          #expect(sameBits(Array(alone.h[range]), Array(found.h[range])), "row \(row)")
        }
      }
    }
  }

  @Test(arguments: formats) func stepsOfSetsAgree(format: Format) throws {
    for (rows, units) in [(1, 100), (6, 64), (13, 77)] {
      let p = try LSTMStepTests.Problem(
        rows: rows, units: units, inputWidth: 10, peepholes: true)
      let results = try Self.agreeing(format).map {
        try LSTMStepTests.run($0, p, format: format)
      }
      #expect(results.allSatisfy { LSTMStepTests.agree($0, results[0]) })
    }
  }

  private static func round(_ p: LSTMStepTests.Problem, _ format: Format) throws {
    for matrix in [p.kernel, p.recurrent] {
      let array = try matrix.values.withUnsafeBufferPointer {
        try ReducedArray(
          format, rows: matrix.rows, columns: matrix.columns, scalesRows: false,
          values: $0.baseAddress!)
      }
      for r in 0..<matrix.rows { for c in 0..<matrix.columns { matrix[r, c] = array.value(r, c) } }
    }
  }

  // MARK: Rounding

  @Test(arguments: formats) func roundingIsNearestAndHappensOnce(format: Format) throws {
    var random = Random(25)
    for exponent in [-90, -10, 0, 9, 100] {
      let factor = Float(sign: .plus, exponent: exponent, significand: 1)
      let values = random.values(40 * 30).map { $0 * factor }
      let array = try values.withUnsafeBufferPointer {
        try ReducedArray(
          format, rows: 40, columns: 30, scalesRows: false, values: $0.baseAddress!)
      }
      var once: [Float] = []
      for r in 0..<40 {
        for c in 0..<30 {
          let (value, exact) = (array.value(r, c), values[r * 30 + c])
          once.append(value)
          let bound =
            format == .int8 ? array.scales.pointer[c] * 0.5001 : exact.magnitude * 0x1p-8
          #expect((value - exact).magnitude <= bound)
        }
      }
      let again = try once.withUnsafeBufferPointer {
        try ReducedArray(
          format, rows: 40, columns: 30, scalesRows: false, values: $0.baseAddress!)
      }
      for r in 0..<40 { for c in 0..<30 { #expect(again.value(r, c) == once[r * 30 + c]) } }
      #expect(again.error.largest == 0)
    }
  }
}
