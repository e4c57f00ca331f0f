import KernelInterface
import LSTM
import Testing

/// The fused step against its definition, and against itself: rows, groups, splits and sets.
@Suite struct LSTMStepTests {
  /// Everything that one step reads and writes.
  struct Problem {
    var rows: Int
    var units: Int
    var inputWidth: Int
    var hiddenWidth: Int
    var blocks: LSTMBlocks
    var bias: Matrix
    var x: Matrix
    var h: Matrix
    var c: Matrix
    var kernel: Matrix
    var recurrent: Matrix
    var peepholes: [Matrix?]
    var cellClip = Float.infinity

    init(
      rows: Int, units: Int, inputWidth: Int, hiddenWidth: Int? = nil,
      blocks: LSTMBlocks = .standard(stride: 0), peepholes: Bool = false, seed: UInt64 = 7
    ) throws {
      var random = Random(seed)
      self.rows = rows
      self.units = units
      self.inputWidth = inputWidth
      self.hiddenWidth = hiddenWidth ?? units
      self.blocks = blocks
      self.blocks.stride = try Memory.rowStride(units)
      let count = blocks.count
      bias = try Matrix(count, units, random: &random)
      x = try Matrix(rows, inputWidth, random: &random, in: -2...2)
      h = try Matrix(rows, self.hiddenWidth, random: &random)
      c = try Matrix(rows, units, random: &random, in: -2...2)
      kernel = try Matrix(inputWidth, count * units, stride: count * units, random: &random)
      recurrent = try Matrix(
        self.hiddenWidth, count * units, stride: count * units, random: &random)
      self.peepholes = [nil, nil, nil]
      if peepholes {
        self.peepholes = try (0..<3).map { _ in try Matrix(1, units, random: &random) }
        // A gate that the cell lacks has no peephole.
        if blocks.input < 0 { self.peepholes[0] = nil }
        if blocks.forget < 0 { self.peepholes[1] = nil }
        if blocks.output < 0 { self.peepholes[2] = nil }
      }
    }

    /// z before peepholes, as the one chain that defines it.
    func preactivation(_ set: InstructionSet, row: Int, block: Int, unit: Int) -> Float {
      var sum = bias[block, unit]
      for k in 0..<inputWidth { sum = set.fma(x[row, k], kernel[k, block * units + unit], sum) }
      for k in 0..<hiddenWidth { sum = set.fma(h[row, k], recurrent[k, block * units + unit], sum) }
      return sum
    }

    var oracle: LSTMOracle {
      var oracle = LSTMOracle(blocks: blocks)
      oracle.peepholes = peepholes.map { $0?.values.map(Double.init) }
      oracle.cellClip = Double(cellClip)
      return oracle
    }
  }

  struct Result {
    var h: [Float]
    var c: [Float]
    var gates: [Float]
  }

  enum Input { case fused, precomputed }

  /// Runs the step: all at once, or the groups in parts, upwards or downwards.
  static func run(
    _ set: InstructionSet, _ p: Problem, input: Input = .fused, rows: Range<Int>? = nil,
    splits: [Int] = [], descends: Bool = false, keepsGates: Bool = true, inPlace: Bool = false,
    format: WeightFormat = .float32
  ) throws -> Result {
    let kernels = set.kernels
    let count = p.blocks.count
    let w = try PackedGates(
      depth: p.inputWidth, blocks: count, units: p.units, kernels: kernels, format: format)
    w.pack(p.kernel.pointer, stride: p.kernel.stride, blockStride: p.units)
    let r = try PackedGates(
      depth: p.hiddenWidth, blocks: count, units: p.units, kernels: kernels, format: format)
    r.pack(p.recurrent.pointer, stride: p.recurrent.stride, blockStride: p.units)

    let rows = rows ?? 0..<p.rows
    let h = try inPlace ? p.h.copy() : Matrix(p.rows, p.units)
    let hidden = inPlace ? h : p.h
    let c = try p.c.copy()
    let gates = try Matrix(p.rows, count * p.blocks.stride)
    let products = try Matrix(p.rows, count * p.blocks.stride)
    if input == .precomputed {
      for row in 0..<p.rows {
        for block in 0..<count {
          for unit in 0..<p.units {
            var sum = p.bias[block, unit]
            for k in 0..<p.inputWidth {
              sum = set.fma(p.x[row, k], p.kernel[k, block * p.units + unit], sum)
            }
            products[row, block * p.blocks.stride + unit] = sum
          }
        }
      }
    }
    let bounds = [0] + splits + [w.groups]
    for (first, end) in zip(bounds, bounds.dropFirst()) {
      var s = LSTMStepArguments(
        rows: rows.count, blocks: p.blocks, firstGroup: first, endGroup: end,
        initial: p.bias.pointer, initialStride: 0,
        hiddenWidth: p.hiddenWidth, hidden: hidden.pointer + rows.lowerBound * hidden.stride,
        hiddenStride: hidden.stride, recurrentWeights: r.weights,
        previousCell: c.pointer + rows.lowerBound * c.stride, previousCellStride: c.stride,
        cell: c.pointer + rows.lowerBound * c.stride, cellStride: c.stride,
        output: h.pointer + rows.lowerBound * h.stride, outputStride: h.stride)
      switch input {
      case .fused:
        s.inputWidth = p.inputWidth
        s.input = UnsafePointer(p.x.pointer + rows.lowerBound * p.x.stride)
        s.inputStride = p.x.stride
        s.inputWeights = w.weights
        s.inputScales = w.scales
      case .precomputed:
        s.initial = UnsafePointer(products.pointer + rows.lowerBound * products.stride)
        s.initialStride = products.stride
      }
      s.format = format
      s.narrowGroup = r.narrowGroup
      s.recurrentScales = r.scales
      if keepsGates {
        s.gates = gates.pointer + rows.lowerBound * gates.stride
        s.gatesStride = gates.stride
      }
      s.descends = descends
      s.inputPeephole = p.peepholes[0].map { UnsafePointer($0.pointer) }
      s.forgetPeephole = p.peepholes[1].map { UnsafePointer($0.pointer) }
      s.outputPeephole = p.peepholes[2].map { UnsafePointer($0.pointer) }
      s.cellClip = p.cellClip
      #expect(!inPlace || s.mayOverwriteHidden)
      kernels.lstmStep(&s)
    }
    #expect(h.isIntact && c.isIntact && gates.isIntact)
    var kept: [Float] = []
    for row in 0..<p.rows {
      for block in 0..<count {
        for unit in 0..<p.units { kept.append(gates[row, block * p.blocks.stride + unit]) }
      }
    }
    return Result(h: h.values, c: c.values, gates: kept)
  }

  static func agree(_ a: Result, _ b: Result) -> Bool {
    sameBits(a.h, b.h) && sameBits(a.c, b.c)
      && sameBits(a.gates, b.gates)
  }

  static func check(_ set: InstructionSet, _ p: Problem) throws {
    let result = try run(set, p)
    let oracle = p.oracle
    var worst = 0.0
    for row in 0..<p.rows {
      for unit in 0..<p.units {
        let z = (0..<p.blocks.count).map {
          Double(p.preactivation(set, row: row, block: $0, unit: unit))
        }
        let step = oracle.forward(z, previous: Double(p.c[row, unit]), unit: unit)
        let at = row * p.units + unit
        worst = max(worst, abs(Double(result.h[at]) - step.h), abs(Double(result.c[at]) - step.c))
        for (block, value) in [
          (p.blocks.input, step.i), (p.blocks.forget, step.f), (p.blocks.cell, step.g),
          (p.blocks.output, step.o),
        ] where block >= 0 {
          let kept = result.gates[(row * p.blocks.count + block) * p.units + unit]
          worst = max(worst, abs(Double(kept) - value))
        }
      }
    }
    #expect(worst < 2e-6, "\(p.rows) rows, \(p.units) units, blocks \(p.blocks)")
  }

  @Test(arguments: instructionSets) func matchesTheDefinition(set: InstructionSet) throws {
    for units in [1, 3, 8, 15, 16, 17, 24, 33, 64, 65] {
      for rows in [1, 2, 3, 5, 6, 7, 13] {
        try Self.check(set, Problem(rows: rows, units: units, inputWidth: 3))
      }
    }
    try Self.check(set, Problem(rows: 4, units: 130, inputWidth: 140))
    // More rows and weights than are worked on at a time.
    try Self.check(set, Problem(rows: 77, units: 20, inputWidth: 150, hiddenWidth: 300))
    try Self.check(set, Problem(rows: 0, units: 5, inputWidth: 2))
    // A projection: h is narrower than the cell.
    try Self.check(set, Problem(rows: 5, units: 40, inputWidth: 6, hiddenWidth: 11))
  }

  @Test(arguments: instructionSets) func everySwitchMatches(set: InstructionSet) throws {
    for blocks in blockSets {
      for peepholes in [false, true] {
        for (rows, units) in [(1, 37), (1, 9), (5, 37), (40, 9)] {
          var problem = try Problem(
            rows: rows, units: units, inputWidth: 4, blocks: blocks, peepholes: peepholes)
          try Self.check(set, problem)
          problem.cellClip = 0.5
          try Self.check(set, problem)
        }
      }
    }
  }

  /// Batch size, order and split of the groups, and who makes the input product change no bit.
  @Test(arguments: instructionSets) func howItIsComputedDoesNotMatter(set: InstructionSet) throws {
    for (rows, units) in [
      (64, 48), (7, 100), (1, 200), (3, 20), (75, 33), (1, 16), (13, 15), (50, 8),
    ] {
      let p = try Problem(
        rows: rows, units: units, inputWidth: 9, hiddenWidth: rows == 75 ? 290 : nil,
        peepholes: rows == 7)
      let whole = try Self.run(set, p)
      #expect(Self.agree(whole, try Self.run(set, p, descends: true)))
      #expect(Self.agree(whole, try Self.run(set, p, input: .precomputed)))
      let groups = (units + set.kernels.vectorWidth - 1) / set.kernels.vectorWidth
      for split in 0...groups {
        #expect(Self.agree(whole, try Self.run(set, p, splits: [split])))
      }
      let quiet = try Self.run(set, p, keepsGates: false)
      #expect(sameBits(quiet.h, whole.h) && sameBits(quiet.c, whole.c))
      for row in 0..<rows {
        let alone = try Self.run(set, p, rows: row..<(row + 1))
        let range = (row * units)..<((row + 1) * units)
        #expect(sameBits(Array(alone.h[range]), Array(whole.h[range])), "row \(row)")
        #expect(sameBits(Array(alone.c[range]), Array(whole.c[range])), "row \(row)")
      }
    }
  }

  /// One row of few groups may write h(t) where h(t-1) was.
  @Test(arguments: instructionSets) func hiddenInPlace(set: InstructionSet) throws {
    let most = LSTMStepArguments.groupsAtOnce * set.kernels.vectorWidth
    for units in 1...most {
      for blocks in blockSets {
        let p = try Problem(
          rows: 1, units: units, inputWidth: 5, blocks: blocks, peepholes: units % 2 == 0)
        for descends in [false, true] {
          let apart = try Self.run(set, p, descends: descends)
          #expect(Self.agree(apart, try Self.run(set, p, descends: descends, inPlace: true)))
        }
      }
    }
  }

  @Test func instructionSetsAgree() throws {
    guard let first = fusedSets.first else { return }
    for (rows, units) in [(1, 16), (1, 9), (13, 16), (1, 100), (6, 64), (13, 77)] {
      let p = try Problem(rows: rows, units: units, inputWidth: 10, peepholes: true)
      let expected = try Self.run(first, p)
      for set in fusedSets.dropFirst() {
        #expect(Self.agree(try Self.run(set, p), expected))
      }
    }
  }

  /// A NaN or infinity in one row stays in that row.
  @Test(arguments: instructionSets) func rowsDoNotDisturbEachOther(set: InstructionSet) throws {
    let p = try Problem(rows: 9, units: 21, inputWidth: 5)
    let clean = try Self.run(set, p)
    p.x[4, 2] = .nan
    p.h[7, 0] = .infinity
    let dirty = try Self.run(set, p)
    for row in 0..<9 where row != 4 && row != 7 {
      let range = (row * 21)..<((row + 1) * 21)
      #expect(sameBits(Array(clean.h[range]), Array(dirty.h[range])))
    }
    #expect(dirty.h[(4 * 21)..<(5 * 21)].allSatisfy { $0.isNaN })
  }
}
