import KernelInterface

func gruForward(_ arguments: UnsafePointer<GRUPointwiseArguments>) {
  let s = arguments.pointee
  for row in 0..<s.rows {
    var unit = 0
    while unit < s.units {
      if s.computesGates { forwardGates(s, row, unit) }
      if s.computesOutput { forwardHidden(s, row, unit) }
      unit += lanes
    }
  }
}

@inline(always) private func activateBlock(
  _ s: GRUPointwiseArguments, _ row: Int, _ at: Int, _ function: KernelActivation,
  adding extra: Vector
) -> Vector {
  let p = s.gates + row * s.gatesStride + at
  let z = load(p) + extra
  if let kept = s.preactivations { store(z, kept + row * s.preactivationsStride + at) }
  let value = apply(function, z)
  store(value, p)
  return value
}

@inline(always) private func forwardGates(_ s: GRUPointwiseArguments, _ row: Int, _ unit: Int) {
  let zero = splat(0)
  _ = activateBlock(s, row, unit, s.gateActivation, adding: zero)
  let r = activateBlock(s, row, s.blockStride + unit, s.gateActivation, adding: zero)
  if let resetHidden = s.resetHidden {
    let hidden = load(s.previousHidden + row * s.previousHiddenStride + unit)
    store(r * hidden, resetHidden + row * s.resetHiddenStride + unit)
  }
}

@inline(always) private func forwardHidden(_ s: GRUPointwiseArguments, _ row: Int, _ unit: Int) {
  let gates = s.gates + row * s.gatesStride + unit
  let z = load(gates)
  var recurrent = splat(0)
  if let candidate = s.candidate {
    recurrent = load(gates + s.blockStride) * load(candidate + row * s.candidateStride + unit)
  }
  let n = activateBlock(
    s, row, 2 * s.blockStride + unit, s.candidateActivation, adding: recurrent)
  if let output = s.output {
    let hidden = load(s.previousHidden + row * s.previousHiddenStride + unit)
    store(fma(z, hidden, (splat(1) - z) * n), output + row * s.outputStride + unit)
  }
}

func gruBackward(_ arguments: UnsafePointer<GRUPointwiseArguments>) {
  let s = arguments.pointee
  guard let deltas = s.deltas, let hiddenGradient = s.hiddenGradient else { return }
  for row in 0..<s.rows {
    let rowDeltas = deltas + row * s.deltasStride
    let rowGradient = hiddenGradient + row * s.hiddenGradientStride
    var unit = 0
    while unit < s.units {
      if s.computesOutput { backwardHidden(s, row, unit, rowDeltas, rowGradient) }
      if s.computesGates && s.candidate == nil {
        backwardReset(s, row, unit, rowDeltas, rowGradient)
      }
      unit += lanes
    }
  }
}

@inline(always) private func blockSlope(
  _ s: GRUPointwiseArguments, _ row: Int, _ at: Int, _ function: KernelActivation, _ value: Vector
) -> Vector {
  let x = s.preactivations.map { load($0 + row * s.preactivationsStride + at) } ?? value
  return derivative(function, x: x, y: value)
}

@inline(always) private func backwardHidden(
  _ s: GRUPointwiseArguments, _ row: Int, _ unit: Int,
  _ deltas: MutableFloats, _ hiddenGradient: MutableFloats
) {
  let gates = s.gates + row * s.gatesStride + unit
  let stride = s.blockStride
  let dh = load(hiddenGradient + unit)
  let hidden = load(s.previousHidden + row * s.previousHiddenStride + unit)
  let z = load(gates)
  let n = load(gates + 2 * stride)
  let zSlope = blockSlope(s, row, unit, s.gateActivation, z)
  let nSlope = blockSlope(s, row, 2 * stride + unit, s.candidateActivation, n)
  let nDelta = dh * (splat(1) - z) * nSlope
  // The reset gate's value must be read before its delta is written: both may be one buffer.
  let r = load(gates + stride)
  if let candidate = s.candidate {
    let q = load(candidate + row * s.candidateStride + unit)
    let rSlope = blockSlope(s, row, stride + unit, s.gateActivation, r)
    store(nDelta * q * rSlope, deltas + stride + unit)
    if let candidateGradient = s.candidateGradient {
      store(nDelta * r, candidateGradient + row * s.candidateGradientStride + unit)
    }
  }
  store(dh * (hidden - n) * zSlope, deltas + unit)
  store(nDelta, deltas + 2 * stride + unit)
  store(dh * z, hiddenGradient + unit)
}

@inline(always) private func backwardReset(
  _ s: GRUPointwiseArguments, _ row: Int, _ unit: Int,
  _ deltas: MutableFloats, _ hiddenGradient: MutableFloats
) {
  guard let resetGradient = s.resetGradient else { return }
  let d = load(resetGradient + row * s.resetGradientStride + unit)
  let hidden = load(s.previousHidden + row * s.previousHiddenStride + unit)
  let at = s.blockStride + unit
  let r = load(s.gates + row * s.gatesStride + at)
  let slope = blockSlope(s, row, at, s.gateActivation, r)
  store(d * hidden * slope, deltas + at)
  store(fma(d, r, load(hiddenGradient + unit)), hiddenGradient + unit)
}
