import KernelInterface

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

func gruForward(_ arguments: UnsafePointer<GRUPointwiseArguments>) {
  for row in 0..<arguments.pointee.rows {
    if arguments.pointee.computesGates { forwardGates(arguments, row) }
    if arguments.pointee.computesOutput { forwardHidden(arguments, row) }
  }
}

/// Block `block` of a row: keeps its pre-activation if asked, and activates it in place.
private func activateBlock(
  _ s: UnsafePointer<GRUPointwiseArguments>, _ row: Int, _ block: Int,
  _ function: KernelActivation
) {
  let width = wholeVectors(s.pointee.units)
  let at = block * s.pointee.blockStride
  let z = s.pointee.gates + row * s.pointee.gatesStride + at
  if let kept = s.pointee.preactivations {
    memcpy(kept + row * s.pointee.preactivationsStride + at, z, width * MemoryLayout<Float>.size)
  }
  activateRow(function, width, Floats(z), z)
}

private func forwardGates(_ s: UnsafePointer<GRUPointwiseArguments>, _ row: Int) {
  activateBlock(s, row, 0, s.pointee.gateActivation)
  activateBlock(s, row, 1, s.pointee.gateActivation)
  guard let resetHidden = s.pointee.resetHidden else { return }
  let r = s.pointee.gates + row * s.pointee.gatesStride + s.pointee.blockStride
  let hidden = s.pointee.previousHidden + row * s.pointee.previousHiddenStride
  let product = resetHidden + row * s.pointee.resetHiddenStride
  var j = 0
  while j < s.pointee.units {
    store(load(r + j) * load(hidden + j), product + j)
    j += lanes
  }
}

private func forwardHidden(_ s: UnsafePointer<GRUPointwiseArguments>, _ row: Int) {
  let z = s.pointee.gates + row * s.pointee.gatesStride
  let n = z + 2 * s.pointee.blockStride
  if let candidate = s.pointee.candidate {
    let q = candidate + row * s.pointee.candidateStride
    multiplyAdd(wholeVectors(s.pointee.units), Floats(z + s.pointee.blockStride), q, n)
  }
  activateBlock(s, row, 2, s.pointee.candidateActivation)
  guard let outputs = s.pointee.output else { return }
  let output = outputs + row * s.pointee.outputStride
  let hidden = s.pointee.previousHidden + row * s.pointee.previousHiddenStride
  var j = 0
  while j < s.pointee.units {
    let update = load(z + j)
    store(fma(update, load(hidden + j), (splat(1) - update) * load(n + j)), output + j)
    j += lanes
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
