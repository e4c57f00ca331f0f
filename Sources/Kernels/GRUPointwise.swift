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
  guard let deltas = arguments.pointee.deltas,
    let hiddenGradient = arguments.pointee.hiddenGradient
  else { return }
  var memory = (Chunk(), Chunk(), Chunk())
  withUnsafeMutablePointer(to: &memory) { memory in
    let scratch = aligned(memory)
    for row in 0..<arguments.pointee.rows {
      let p = BackwardRow(
        s: arguments, row: row, width: wholeVectors(arguments.pointee.units),
        gates: Floats(arguments.pointee.gates + row * arguments.pointee.gatesStride),
        deltas: deltas + row * arguments.pointee.deltasStride,
        hidden: arguments.pointee.previousHidden + row * arguments.pointee.previousHiddenStride,
        hiddenGradient: hiddenGradient + row * arguments.pointee.hiddenGradientStride)
      if arguments.pointee.computesOutput { p.computeHidden(scratch) }
      if arguments.pointee.computesGates && arguments.pointee.candidate == nil {
        p.computeReset(scratch)
      }
    }
  }
}

/// One row of the batch, in chunks.
private struct BackwardRow {
  let s: UnsafePointer<GRUPointwiseArguments>
  let row: Int
  let width: Int
  let gates: Floats
  let deltas: MutableFloats
  let hidden: Floats
  let hiddenGradient: MutableFloats

  private func slopes(
    _ block: Int, _ function: KernelActivation, _ first: Int, _ count: Int, _ slope: MutableFloats
  ) {
    let at = block * s.pointee.blockStride + first
    let kept = s.pointee.preactivations.map {
      Floats($0 + row * s.pointee.preactivationsStride + at)
    }
    differentiateRow(function, count, kept ?? gates + at, gates + at, slope)
  }

  func computeHidden(_ scratch: MutableFloats) {
    let stride = s.pointee.blockStride
    let q = s.pointee.candidate.map { $0 + row * s.pointee.candidateStride }
    let dq = s.pointee.candidateGradient.map { $0 + row * s.pointee.candidateGradientStride }
    let zSlope = scratch
    let rSlope = zSlope + chunk
    let nSlope = rSlope + chunk
    var first = 0
    while first < width {
      let count = width - first < chunk ? width - first : chunk
      slopes(0, s.pointee.gateActivation, first, count, zSlope)
      slopes(1, s.pointee.gateActivation, first, count, rSlope)
      slopes(2, s.pointee.candidateActivation, first, count, nSlope)
      var k = 0
      while k < count {
        let j = first + k
        let dh = load(hiddenGradient + j)
        // All values before the first delta: both may be in the same memory.
        let z = load(gates + j)
        let r = load(gates + stride + j)
        let n = load(gates + 2 * stride + j)
        let delta = dh * (splat(1) - z) * load(nSlope + k)
        if let q { store(delta * load(q + j) * load(rSlope + k), deltas + stride + j) }
        if let dq { store(delta * r, dq + j) }
        store(dh * (load(hidden + j) - n) * load(zSlope + k), deltas + j)
        store(delta, deltas + 2 * stride + j)
        store(dh * z, hiddenGradient + j)
        k += lanes
      }
      first += count
    }
  }

  /// Reset before: what arrived at r ⊙ h(t-1).
  func computeReset(_ scratch: MutableFloats) {
    guard let gradients = s.pointee.resetGradient else { return }
    let arrived = gradients + row * s.pointee.resetGradientStride
    let at = s.pointee.blockStride
    let slope = scratch
    var first = 0
    while first < width {
      let count = width - first < chunk ? width - first : chunk
      slopes(1, s.pointee.gateActivation, first, count, slope)
      var k = 0
      while k < count {
        let j = first + k
        let d = load(arrived + j)
        let r = load(gates + at + j)
        store(d * load(hidden + j) * load(slope + k), deltas + at + j)
        store(fma(d, r, load(hiddenGradient + j)), hiddenGradient + j)
        k += lanes
      }
      first += count
    }
  }
}
