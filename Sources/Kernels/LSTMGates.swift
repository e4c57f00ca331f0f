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
  var i: Fraction
  var f: Vector
  var g: TanhFraction
  var o: Fraction
  var c: Vector

  /// Everything that does not wait for the cell.
  @inline(always) init(_ z: BlockRow, _ previous: Floats) {
    i = gateFraction(z.b0)
    // With a division of its own: a forget gate of 1 then carries the cell on unchanged.
    f = gateFraction(z.b1).value
    g = tanhFraction(z.b2)
    o = gateFraction(z.b3)
    c = fma(f, load(previous), (i * g).value)
  }

  @inline(always) func writeGates(_ p: StepPlaces, _ member: Int, _ blockStride: Int) {
    guard let gates = p.gates else { return }
    let to = gates + member * p.gatesNext
    let cellPart = (i * g).denominator
    let reciprocal = splat(1) / (cellPart * o.denominator)
    let outputPart = o.denominator * reciprocal
    store(i.numerator * (g.denominator * outputPart), to)
    store(f, to + blockStride)
    store(g.numerator * (i.denominator * outputPart), to + 2 * blockStride)
    store(o.numerator * (cellPart * reciprocal), to + 3 * blockStride)
  }

  @inline(always) func writeState(_ p: StepPlaces, _ member: Int) {
    store(c, p.cell + member * p.cellNext)
    store((o * tanhFraction(c)).value, p.output + member * p.outputNext)
  }
}

@inline(never) func finishStandard(
  _ p: StepPlaces, _ count: Int, _ z: Floats, _ blockStride: Int
) {
  // From z to h is a chain of operations too long for the processor to look past: the next member's gates are under
  // way before a cell is squashed.
  var waiting = StandardMember(BlockRow(4, z, lanes), p.previous)
  waiting.writeGates(p, 0, blockStride)
  for member in 1..<count {
    let next = StandardMember(
      BlockRow(4, z + member * 4 * lanes, lanes), p.previous + member * p.previousNext)
    next.writeGates(p, member, blockStride)
    waiting.writeState(p, member - 1)
    waiting = next
  }
  waiting.writeState(p, count - 1)
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
  let first = StandardMember(z0, p.previous + member * p.previousNext)
  let second = StandardMember(z1, p.previous + (member + 1) * p.previousNext)
  first.writeState(p, member)
  second.writeState(p, member + 1)
  first.writeGates(p, member, blockStride)
  second.writeGates(p, member + 1, blockStride)
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

    /// σ of a block's sum, with its peephole; 1 if the cell lacks the gate.
    @inline(always) func gate(_ block: Int, _ peephole: Floats?, _ cell: Vector) -> Fraction {
      guard block >= 0 else { return Fraction(numerator: splat(1), denominator: splat(1)) }
      var sum = load(z + block * lanes)
      if let peephole { sum = fma(load(peephole + unit), cell, sum) }
      let value = gateFraction(sum)
      if let gates { store(value.value, gates + block * b.stride) }
      return value
    }

    let previous = load(p.previous + member * p.previousNext)
    let i = gate(b.input, s.pointee.inputPeephole, previous)
    let f =
      b.couples
      ? splat(1) - i.value : gate(b.forget, s.pointee.forgetPeephole, previous).value
    let g = tanhFraction(load(z + b.cell * lanes))
    if let gates { store(g.value, gates + b.cell * b.stride) }
    let c = clip(fma(f, previous, (i * g).value), s.pointee.cellClip)
    store(c, p.cell + member * p.cellNext)
    let o = gate(b.output, s.pointee.outputPeephole, c)
    store((o * tanhFraction(c)).value, p.output + member * p.outputNext)
  }
}
