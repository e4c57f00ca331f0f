import KernelInterface

func lstmBackward(_ arguments: UnsafePointer<LSTMPointwiseArguments>) {
  let s = arguments.pointee
  guard let deltas = s.deltas, let cellGradient = s.cellGradient else { return }
  for row in 0..<s.rows {
    let rowDeltas = deltas + row * s.deltasStride
    let rowGradient = cellGradient + row * s.cellGradientStride
    var unit = 0
    while unit < s.units {
      if s.computesOutput { backwardOutput(s, row, unit, rowDeltas, rowGradient) }
      if s.computesCell { backwardCell(s, row, unit, rowDeltas, rowGradient) }
      unit += lanes
    }
  }
}

/// The value of a gate, 1 if it is absent.
@inline(always) private func gateValue(
  _ s: LSTMPointwiseArguments, _ row: Int, _ unit: Int, _ block: Int
) -> Vector {
  block < 0 ? splat(1) : load(s.gates + row * s.gatesStride + block * s.blocks.stride + unit)
}

/// Derivative of a block's activation (and of the clip before it).
@inline(always) private func blockSlope(
  _ s: LSTMPointwiseArguments, _ row: Int, _ unit: Int, _ block: Int,
  _ function: KernelActivation, _ value: Vector
) -> Vector {
  guard let kept = s.preactivations else { return derivative(function, x: value, y: value) }
  let z = load(kept + row * s.preactivationsStride + block * s.blocks.stride + unit)
  let slope = derivative(function, x: z, y: value)
  return select(magnitude(z) .> splat(s.gateClip), splat(0), slope)
}

@inline(always) private func backwardOutput(
  _ s: LSTMPointwiseArguments, _ row: Int, _ unit: Int,
  _ deltas: MutableFloats, _ cellGradient: MutableFloats
) {
  guard let outputGradient = s.outputGradient else { return }
  let dh = load(outputGradient + row * s.outputGradientStride + unit)
  let u = load(
    s.outputSource.map { $0 + row * s.outputSourceStride + unit }
      ?? Floats(s.cell + row * s.cellStride + unit))
  var squashed = u
  apply(s.outputActivation, &squashed)
  let o = gateValue(s, row, unit, s.blocks.output)
  var dc = load(cellGradient + unit)
  let block = s.blocks.output
  if block >= 0 {
    let slope = blockSlope(s, row, unit, block, s.gateActivation, o)
    let delta = dh * squashed * slope
    store(delta, deltas + block * s.blocks.stride + unit)
    if let peephole = s.outputPeephole { dc = fma(load(peephole + unit), delta, dc) }
  }
  let du = dh * o * derivative(s.outputActivation, x: u, y: squashed)
  if let sourceGradient = s.sourceGradient {
    store(du, sourceGradient + row * s.sourceGradientStride + unit)
  } else {
    dc = dc + du
  }
  store(dc, cellGradient + unit)
}

@inline(always) private func backwardCell(
  _ s: LSTMPointwiseArguments, _ row: Int, _ unit: Int,
  _ deltas: MutableFloats, _ cellGradient: MutableFloats
) {
  let b = s.blocks
  let previous = load(s.previousCell + row * s.previousCellStride + unit)
  let c = load(s.cell + row * s.cellStride + unit)
  // A clipped cell passes nothing on.
  let dc = select(magnitude(c) .>= splat(s.cellClip), splat(0), load(cellGradient + unit))
  let i = gateValue(s, row, unit, b.input)
  let g = gateValue(s, row, unit, b.cell)
  let f = b.couples ? splat(1) - i : gateValue(s, row, unit, b.forget)
  var carried = dc * f
  if b.forget >= 0 {
    let delta = dc * previous * blockSlope(s, row, unit, b.forget, s.gateActivation, f)
    store(delta, deltas + b.forget * b.stride + unit)
    if let peephole = s.forgetPeephole { carried = fma(load(peephole + unit), delta, carried) }
  }
  if b.input >= 0 {
    let through = b.couples ? g - previous : g
    let delta = dc * through * blockSlope(s, row, unit, b.input, s.gateActivation, i)
    store(delta, deltas + b.input * b.stride + unit)
    if let peephole = s.inputPeephole { carried = fma(load(peephole + unit), delta, carried) }
  }
  let slope = blockSlope(s, row, unit, b.cell, s.cellActivation, g)
  store(dc * i * slope, deltas + b.cell * b.stride + unit)
  store(carried, cellGradient + unit)
}
