import KernelInterface

/// Gates, cells and outputs of the `count` members of a tile: neighbouring rows of one group, or
/// neighbouring groups of one row. `z` has the tile's sums, four blocks for each member.
@inline(always) func finishStep(
  _ arguments: UnsafePointer<LSTMStepArguments>, row: Int, group: Int, _ count: Int, byRow: Bool,
  _ z: Floats
) {
  let places = StepPlaces(arguments, row: row, group: group, byRow: byRow)
  if arguments.pointee.isStandard {
    finishStandard(places, count, z, arguments.pointee.blocks.stride)
  } else {
    finishGeneral(arguments, places, byRow ? 0 : lanes, group * lanes, count, z)
  }
}

extension LSTMStepArguments {
  /// Four gates in the usual order, no peepholes, no clip.
  @inline(always) var isStandard: Bool {
    blocks.input == 0 && blocks.forget == 1 && blocks.cell == 2 && blocks.output == 3
      && !blocks.couples && cellClip == .infinity && inputPeephole == nil
      && forgetPeephole == nil && outputPeephole == nil
  }
}

/// Where a tile's members are read and written: member m at `m * ...Next` from each pointer.
struct StepPlaces {
  var previous: Floats
  var previousNext: Int
  var cell: MutableFloats
  var cellNext: Int
  var output: MutableFloats
  var outputNext: Int
  var gates: MutableFloats?
  var gatesNext: Int

  @inline(always) init(
    _ s: UnsafePointer<LSTMStepArguments>, row: Int, group: Int, byRow: Bool
  ) {
    let unit = group * lanes
    previous = s.pointee.previousCell + row * s.pointee.previousCellStride + unit
    previousNext = byRow ? s.pointee.previousCellStride : lanes
    cell = s.pointee.cell + row * s.pointee.cellStride + unit
    cellNext = byRow ? s.pointee.cellStride : lanes
    output = s.pointee.output + row * s.pointee.outputStride + unit
    outputNext = byRow ? s.pointee.outputStride : lanes
    gates = s.pointee.gates.map { $0 + row * s.pointee.gatesStride + unit }
    gatesNext = byRow ? s.pointee.gatesStride : lanes
  }
}

// MARK: - The usual cell

struct StandardMember {
  /// 1 / i
  var inputDenominator: Vector
  var f: Vector
  var g: TanhFraction
  /// 1 / o
  var outputDenominator: Vector
  var c: Vector

  /// Everything that does not wait for the cell.
  @inline(always) init(_ z: BlockRow, _ previous: Floats) {
    inputDenominator = gateDenominator(z.b0)
    // With a division of its own: a forget gate of 1 then carries the cell on unchanged.
    f = splat(1) / gateDenominator(z.b1)
    g = tanhFraction(z.b2)
    outputDenominator = gateDenominator(z.b3)
    c = fma(f, load(previous), g.value(dividedBy: inputDenominator))
  }

  @inline(always) func writeGates(_ p: StepPlaces, _ member: Int, _ blockStride: Int) {
    guard let gates = p.gates else { return }
    let to = gates + member * p.gatesNext
    let reciprocal = splat(1) / g.denominator(times: inputDenominator)
    store(g.denominator * reciprocal, to)
    store(f, to + blockStride)
    store(g.numerator * (inputDenominator * reciprocal), to + 2 * blockStride)
    store(splat(1) / outputDenominator, to + 3 * blockStride)
  }

  @inline(always) func writeState(_ p: StepPlaces, _ member: Int) {
    store(c, p.cell + member * p.cellNext)
    store(
      tanhFraction(c).value(dividedBy: outputDenominator), p.output + member * p.outputNext)
  }
}

/// Two neighbouring members.
private struct StandardPair {
  var first: StandardMember
  var second: StandardMember

  @inline(always) init(_ p: StepPlaces, _ member: Int, _ z0: BlockRow, _ z1: BlockRow) {
    first = StandardMember(z0, p.previous + member * p.previousNext)
    second = StandardMember(z1, p.previous + (member + 1) * p.previousNext)
  }

  /// The same of sums in memory.
  @inline(always) init(_ p: StepPlaces, _ member: Int, _ z: Floats) {
    let z = z + member * 4 * lanes
    self.init(p, member, BlockRow(4, z, lanes), BlockRow(4, z + 4 * lanes, lanes))
  }

  @inline(always) func writeGates(_ p: StepPlaces, _ member: Int, _ blockStride: Int) {
    first.writeGates(p, member, blockStride)
    second.writeGates(p, member + 1, blockStride)
  }

  @inline(always) func writeState(_ p: StepPlaces, _ member: Int) {
    first.writeState(p, member)
    second.writeState(p, member + 1)
  }
}

@inline(never) func finishStandard(
  _ p: StepPlaces, _ count: Int, _ z: Floats, _ blockStride: Int
) {
  let first = count % 2
  if first == 1 { finishStandard(p, 0, blockStride, BlockRow(4, z, lanes)) }
  if first == count { return }
  if p.gates == nil {
    finishPairs(p, first, count, z, blockStride, keepsGates: false)
  } else {
    finishPairs(p, first, count, z, blockStride, keepsGates: true)
  }
}

/// From z to h is a chain of operations too long for the processor to look past: the gates of the next two members are
/// under way before two cells are squashed.
@inline(always) private func finishPairs(
  _ p: StepPlaces, _ first: Int, _ count: Int, _ z: Floats, _ blockStride: Int, keepsGates: Bool
) {
  var waiting = StandardPair(p, first, z)
  if keepsGates { waiting.writeGates(p, first, blockStride) }
  var member = first
  while member + 2 < count {
    let next = StandardPair(p, member + 2, z)
    if keepsGates { next.writeGates(p, member + 2, blockStride) }
    waiting.writeState(p, member)
    waiting = next
    member += 2
  }
  waiting.writeState(p, member)
}

@inline(always) func finishStandard(
  _ p: StepPlaces, _ member: Int, _ blockStride: Int, _ z: BlockRow
) {
  let one = StandardMember(z, p.previous + member * p.previousNext)
  one.writeState(p, member)
  one.writeGates(p, member, blockStride)
}

/// Two neighbouring members, their operations interleaved.
@inline(always) func finishStandard(
  _ p: StepPlaces, _ member: Int, _ blockStride: Int, _ z0: BlockRow, _ z1: BlockRow
) {
  let pair = StandardPair(p, member, z0, z1)
  pair.writeState(p, member)
  pair.writeGates(p, member, blockStride)
}

// MARK: - Every other cell

@inline(never) private func finishGeneral(
  _ s: UnsafePointer<LSTMStepArguments>, _ p: StepPlaces, _ unitNext: Int, _ firstUnit: Int,
  _ count: Int, _ sums: Floats
) {
  let b = s.pointee.blocks
  for member in 0..<count {
    let z = sums + member * 4 * lanes
    let unit = firstUnit + member * unitNext
    let gates = p.gates.map { $0 + member * p.gatesNext }

    /// 1 / σ of a block's sum, with its peephole; 1 if the cell lacks the gate.
    @inline(always) func denominator(_ block: Int, _ peephole: Floats?, _ cell: Vector) -> Vector {
      guard block >= 0 else { return splat(1) }
      var sum = load(z + block * lanes)
      if let peephole { sum = fma(load(peephole + unit), cell, sum) }
      let denominator = gateDenominator(sum)
      if let gates { store(splat(1) / denominator, gates + block * b.stride) }
      return denominator
    }

    let previous = load(p.previous + member * p.previousNext)
    let input = denominator(b.input, s.pointee.inputPeephole, previous)
    let f =
      b.couples
      ? splat(1) - splat(1) / input
      : splat(1) / denominator(b.forget, s.pointee.forgetPeephole, previous)
    let g = tanhFraction(load(z + b.cell * lanes))
    if let gates { store(g.value, gates + b.cell * b.stride) }
    let c = clip(fma(f, previous, g.value(dividedBy: input)), s.pointee.cellClip)
    store(c, p.cell + member * p.cellNext)
    let output = denominator(b.output, s.pointee.outputPeephole, c)
    store(tanhFraction(c).value(dividedBy: output), p.output + member * p.outputNext)
  }
}
