import KernelInterface
import LSTM
import Testing

/// The element-wise LSTM step, forwards and backwards, against the equations in double precision.
@Suite struct LSTMPointwiseTests {
  struct Functions: CustomTestStringConvertible, Sendable {
    var gate: Activation
    var cell: Activation
    var output: Activation
    var testDescription: String { "\(gate) \(cell) \(output)" }
  }

  static let functions: [Functions] = [
    Functions(gate: .sigmoid, cell: .tanh, output: .tanh),
    Functions(gate: .hardSigmoid, cell: .tanh, output: .linear),
    Functions(gate: .sigmoid, cell: .linear, output: .softsign),
    Functions(gate: .hardSigmoidKeras2, cell: .elu(alpha: 0.7), output: .tanh),
    Functions(gate: .sigmoid, cell: .silu, output: .gelu()),
    Functions(gate: .tanh, cell: .softplus, output: .leakyRelu(slope: 0.2)),
  ]

  struct Problem {
    let rows: Int
    let units: Int
    var oracle: LSTMOracle
    let z: Matrix
    let previous: Matrix
    let dh: Matrix
    let dc: Matrix
    let peepholes: [Matrix?]

    init(rows: Int, units: Int, blocks: LSTMBlocks, functions: Functions, seed: UInt64) throws {
      var random = Random(seed)
      self.rows = rows
      self.units = units
      oracle = LSTMOracle(blocks: blocks)
      oracle.blocks.stride = try Memory.rowStride(units)
      oracle.gate = functions.gate
      oracle.cell = functions.cell
      oracle.output = functions.output
      z = try Matrix(rows, blocks.count * oracle.blocks.stride, random: &random, in: -2...2)
      previous = try Matrix(rows, units, random: &random, in: -1.5...1.5)
      dh = try Matrix(rows, units, random: &random)
      dc = try Matrix(rows, units, random: &random)
      var weights: [Matrix?] = [nil, nil, nil]
      if seed % 2 == 1 {
        for (gate, block) in [blocks.input, blocks.forget, blocks.output].enumerated()
        where block >= 0 {
          weights[gate] = try Matrix(1, units, random: &random)
        }
      }
      peepholes = weights
      oracle.peepholes = weights.map { $0?.values.map(Double.init) }
    }

    func blockValues(_ row: Int, _ unit: Int, of matrix: Matrix) -> [Double] {
      (0..<oracle.blocks.count).map { Double(matrix[row, $0 * oracle.blocks.stride + unit]) }
    }
  }

  /// What a step and its way back leave.
  struct Run {
    var c: Matrix
    var h: Matrix
    var gates: Matrix
    var deltas: Matrix
    var dcPrevious: Matrix
  }

  /// Forwards, then backwards; in one call each, or stage by stage with a copy of the cell as the
  /// output's source.
  static func run(
    _ set: InstructionSet, _ p: Problem, inStages: Bool, keepsPreactivations: Bool = true
  ) throws -> Run {
    let kernels = set.kernels
    let gates = try p.z.copy()
    let kept = try Matrix(p.rows, p.z.columns)
    let c = try Matrix(p.rows, p.units)
    let h = try Matrix(p.rows, p.units)
    let source = try Matrix(p.rows, p.units)
    let du = try Matrix(p.rows, p.units)
    let dc = try p.dc.copy()
    var s = LSTMPointwiseArguments(
      rows: p.rows, units: p.units, blocks: p.oracle.blocks, gates: gates.pointer,
      gatesStride: gates.stride, previousCell: p.previous.pointer,
      previousCellStride: p.previous.stride, cell: c.pointer, cellStride: c.stride)
    s.gateActivation = KernelActivation(p.oracle.gate)
    s.cellActivation = KernelActivation(p.oracle.cell)
    s.outputActivation = KernelActivation(p.oracle.output)
    if keepsPreactivations {
      s.preactivations = kept.pointer
      s.preactivationsStride = kept.stride
    }
    s.inputPeephole = p.peepholes[0].map { UnsafePointer($0.pointer) }
    s.forgetPeephole = p.peepholes[1].map { UnsafePointer($0.pointer) }
    s.outputPeephole = p.peepholes[2].map { UnsafePointer($0.pointer) }
    s.cellClip = Float(p.oracle.cellClip)
    s.gateClip = Float(p.oracle.gateClip)
    s.output = h.pointer
    s.outputStride = h.stride
    if inStages {
      s.computesOutput = false
      kernels.lstmForward(&s)
      for row in 0..<p.rows { for unit in 0..<p.units { source[row, unit] = c[row, unit] } }
      s.computesOutput = true
      s.computesCell = false
      s.outputSource = UnsafePointer(source.pointer)
      s.outputSourceStride = source.stride
      kernels.lstmForward(&s)
    } else {
      kernels.lstmForward(&s)
    }
    let values = try gates.copy()

    // The deltas may overwrite the gates.
    s.deltas = gates.pointer
    s.deltasStride = gates.stride
    s.outputGradient = UnsafePointer(p.dh.pointer)
    s.outputGradientStride = p.dh.stride
    s.cellGradient = dc.pointer
    s.cellGradientStride = dc.stride
    if inStages {
      s.sourceGradient = du.pointer
      s.sourceGradientStride = du.stride
      kernels.lstmBackward(&s)
      for row in 0..<p.rows { for unit in 0..<p.units { dc[row, unit] += du[row, unit] } }
      s.computesOutput = false
      s.computesCell = true
      kernels.lstmBackward(&s)
    } else {
      kernels.lstmBackward(&s)
    }
    #expect(gates.isIntact && c.isIntact && h.isIntact && dc.isIntact && kept.isIntact)
    return Run(c: c, h: h, gates: values, deltas: gates, dcPrevious: dc)
  }

  static func check(_ set: InstructionSet, _ p: Problem, inStages: Bool, _ label: String) throws {
    let run = try run(set, p, inStages: inStages)
    var worst = 0.0
    for row in 0..<p.rows {
      for unit in 0..<p.units {
        let previous = Double(p.previous[row, unit])
        let step = p.oracle.forward(
          p.blockValues(row, unit, of: p.z), previous: previous, unit: unit)
        worst = max(worst, abs(Double(run.c[row, unit]) - step.c))
        worst = max(worst, abs(Double(run.h[row, unit]) - step.h))
        // A clip's gradient jumps: float and double must be on the same side to be compared.
        if abs(abs(step.unclipped) - p.oracle.cellClip) < 1e-5 { continue }
        if step.z.contains(where: { abs(abs($0) - p.oracle.gateClip) < 1e-5 }) { continue }
        let back = p.oracle.backward(
          step, previous: previous, unit: unit, dh: Double(p.dh[row, unit]),
          dcNext: Double(p.dc[row, unit]))
        for (block, delta) in p.blockValues(row, unit, of: run.deltas).enumerated() {
          worst = max(worst, abs(delta - back.dz[block]))
        }
        worst = max(worst, abs(Double(run.dcPrevious[row, unit]) - back.dcPrevious))
      }
    }
    #expect(worst < 5e-6, "\(label)")
  }

  @Test(arguments: instructionSets, functions)
  func matchesTheEquations(set: InstructionSet, functions: Functions) throws {
    for (index, blocks) in blockSets.enumerated() {
      for seed in [2, 3] as [UInt64] {
        for inStages in [false, true] {
          var problem = try Problem(
            rows: 3, units: 37, blocks: blocks, functions: functions, seed: seed)
          try Self.check(set, problem, inStages: inStages, "blocks \(blocks)")
          problem.oracle.cellClip = 0.6
          try Self.check(set, problem, inStages: inStages, "cell clip, blocks \(blocks)")
          problem.oracle.gateClip = 1
          if index == 0 { try Self.check(set, problem, inStages: inStages, "gate clip") }
        }
      }
    }
  }

  @Test(arguments: instructionSets) func anyWidth(set: InstructionSet) throws {
    for units in [1, 15, 16, 17, 128, 129, 300] {
      let problem = try Problem(
        rows: 2, units: units, blocks: .standard(stride: 0), functions: Self.functions[0], seed: 5)
      try Self.check(set, problem, inStages: false, "\(units) units")
    }
  }

  @Test func instructionSetsAgree() throws {
    guard let first = fusedSets.first else { return }
    for functions in Self.functions {
      let p = try Problem(
        rows: 2, units: 45, blocks: .standard(stride: 0), functions: functions, seed: 9)
      let expected = try Self.run(first, p, inStages: false)
      for set in fusedSets.dropFirst() {
        let other = try Self.run(set, p, inStages: false)
        #expect(sameBits(other.h.values, expected.h.values))
        #expect(sameBits(other.dcPrevious.values, expected.dcPrevious.values))
        for row in 0..<2 {
          for unit in 0..<45 {
            let ours = p.blockValues(row, unit, of: other.deltas)
            #expect(ours == p.blockValues(row, unit, of: expected.deltas))
          }
        }
      }
    }
  }

  /// The way back through the usual cell in one pass is that of every cell.
  @Test(arguments: instructionSets) func onePassIsTheSame(set: InstructionSet) throws {
    for units in [1, 16, 37, 130] {
      let p = try Problem(
        rows: 3, units: units, blocks: .standard(stride: 0), functions: Self.functions[0], seed: 4)
      let one = try Self.run(set, p, inStages: false, keepsPreactivations: false)
      let general = try Self.run(set, p, inStages: false)
      #expect(sameBits(one.h.values, general.h.values))
      #expect(sameBits(one.dcPrevious.values, general.dcPrevious.values))
      for row in 0..<3 {
        for unit in 0..<units {
          let deltas = p.blockValues(row, unit, of: one.deltas)
          #expect(deltas == p.blockValues(row, unit, of: general.deltas))
        }
      }
    }
  }

  /// The fused step and product + element-wise step differ in roundings only: the fused one divides i ⊙ g and
  /// o ⊙ tanh c once.
  @Test(arguments: instructionSets) func fusedStepIsNearlyTheSame(set: InstructionSet) throws {
    let p = try LSTMStepTests.Problem(rows: 4, units: 50, inputWidth: 6, peepholes: true)
    let fused = try LSTMStepTests.run(set, p)
    let stride = p.blocks.stride
    let gates = try Matrix(4, 4 * stride)
    for row in 0..<4 {
      for block in 0..<4 {
        for unit in 0..<50 {
          gates[row, block * stride + unit] = p.preactivation(
            set, row: row, block: block, unit: unit)
        }
      }
    }
    let c = try Matrix(4, 50)
    let h = try Matrix(4, 50)
    var s = LSTMPointwiseArguments(
      rows: 4, units: 50, blocks: p.blocks, gates: gates.pointer, gatesStride: gates.stride,
      previousCell: p.c.pointer, previousCellStride: p.c.stride, cell: c.pointer,
      cellStride: c.stride)
    s.output = h.pointer
    s.outputStride = h.stride
    s.inputPeephole = p.peepholes[0].map { UnsafePointer($0.pointer) }
    s.forgetPeephole = p.peepholes[1].map { UnsafePointer($0.pointer) }
    s.outputPeephole = p.peepholes[2].map { UnsafePointer($0.pointer) }
    set.kernels.lstmForward(&s)
    for (own, other) in zip(c.values + h.values, fused.c + fused.h) {
      #expect(abs(own - other) <= 8 * Float.ulpOfOne * max(1, abs(own)))
    }
  }
}
