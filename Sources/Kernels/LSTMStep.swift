import KernelInterface

/// Pre-activations of one vector of units: one register per block, in block order.
struct BlockRow {
  var b0 = Vector(repeating: 0)
  var b1 = Vector(repeating: 0)
  var b2 = Vector(repeating: 0)
  var b3 = Vector(repeating: 0)

  @inline(always) mutating func add(_ blocks: Int, _ a: Float, _ w: Floats) {
    b0 = fma(splat(a), load(w), b0)
    if blocks > 1 { b1 = fma(splat(a), load(w + lanes), b1) }
    if blocks > 2 { b2 = fma(splat(a), load(w + 2 * lanes), b2) }
    if blocks > 3 { b3 = fma(splat(a), load(w + 3 * lanes), b3) }
  }

  @inline(always) subscript(block: Int) -> Vector {
    switch block {
    case 0: b0
    case 1: b1
    case 2: b2
    default: b3
    }
  }
}

func lstmStep(_ arguments: UnsafePointer<LSTMStepArguments>) {
  let s = arguments.pointee
  let blocks = s.blocks.count
  let groups = s.endGroup - s.firstGroup
  var visited = 0
  while visited < groups {
    let group = s.descends ? s.endGroup - 1 - visited : s.firstGroup + visited
    for row in 0..<s.rows {
      var z = BlockRow()
      let initial = s.initial + row * s.initialStride + group * lanes
      z.b0 = load(initial)
      if blocks > 1 { z.b1 = load(initial + s.blocks.stride) }
      if blocks > 2 { z.b2 = load(initial + 2 * s.blocks.stride) }
      if blocks > 3 { z.b3 = load(initial + 3 * s.blocks.stride) }
      if let x = s.input, let weights = s.inputWeights {
        accumulate(
          &z, blocks, s.inputWidth, x + row * s.inputStride,
          weights + group * s.inputWidth * blocks * lanes)
      }
      accumulate(
        &z, blocks, s.hiddenWidth, s.hidden + row * s.hiddenStride,
        s.recurrentWeights + group * s.hiddenWidth * blocks * lanes)
      finish(s, row, group, z)
    }
    visited += 1
  }
}

@inline(always) private func accumulate(
  _ z: inout BlockRow, _ blocks: Int, _ depth: Int, _ x: Floats, _ weights: Floats
) {
  var w = weights
  for k in 0..<depth {
    z.add(blocks, x[k], w)
    w += blocks * lanes
  }
}

/// Gates, cell and output of one row and group.
@inline(always) private func finish(
  _ s: LSTMStepArguments, _ row: Int, _ group: Int, _ z: BlockRow
) {
  let unit = group * lanes
  let b = s.blocks
  let gates = s.gates.map { $0 + row * s.gatesStride + unit }
  let previous = load(s.previousCell + row * s.previousCellStride + unit)

  @inline(always) func gate(_ block: Int, _ peephole: Floats?, _ cell: Vector) -> Vector {
    guard block >= 0 else { return splat(1) }
    var preactivation = z[block]
    if let peephole { preactivation = fma(load(peephole + unit), cell, preactivation) }
    let value = sigmoid(preactivation)
    if let gates { store(value, gates + block * b.stride) }
    return value
  }

  let i = gate(b.input, s.inputPeephole, previous)
  let f = b.couples ? splat(1) - i : gate(b.forget, s.forgetPeephole, previous)
  let g = tanh(z[b.cell])
  if let gates { store(g, gates + b.cell * b.stride) }
  let c = clip(fma(f, previous, i * g), s.cellClip)
  store(c, s.cell + row * s.cellStride + unit)
  let o = gate(b.output, s.outputPeephole, c)
  store(o * tanh(c), s.output + row * s.outputStride + unit)
}

@inline(always) func clip(_ x: Vector, _ limit: Float) -> Vector {
  atLeast(atMost(x, splat(limit)), splat(-limit))
}
