import KernelInterface

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

func lstmForward(_ arguments: UnsafePointer<LSTMPointwiseArguments>) {
  for row in 0..<arguments.pointee.rows {
    let p = ForwardRow(arguments, row)
    if arguments.pointee.computesCell { p.computeCell() }
    if arguments.pointee.computesOutput { p.computeOutput() }
  }
}

/// One row of the batch: passes over its units, each over memory that is in the nearest cache.
private struct ForwardRow {
  let s: UnsafePointer<LSTMPointwiseArguments>
  let row: Int
  /// Units, rounded up to whole vectors.
  let width: Int
  let gates: MutableFloats
  let previous: Floats
  let cell: MutableFloats

  @inline(always) init(_ s: UnsafePointer<LSTMPointwiseArguments>, _ row: Int) {
    self.s = s
    self.row = row
    width = wholeVectors(s.pointee.units)
    gates = s.pointee.gates + row * s.pointee.gatesStride
    previous = s.pointee.previousCell + row * s.pointee.previousCellStride
    cell = s.pointee.cell + row * s.pointee.cellStride
  }

  func computeCell() {
    let b = s.pointee.blocks
    activate(b.input, s.pointee.gateActivation, s.pointee.inputPeephole, previous)
    activate(b.forget, s.pointee.gateActivation, s.pointee.forgetPeephole, previous)
    activate(b.cell, s.pointee.cellActivation, nil, previous)
    let limit = s.pointee.cellClip
    var j = 0
    while j < width {
      let i = b.input < 0 ? splat(1) : load(gates + b.input * b.stride + j)
      let f =
        b.couples
        ? splat(1) - i : b.forget < 0 ? splat(1) : load(gates + b.forget * b.stride + j)
      let g = load(gates + b.cell * b.stride + j)
      store(clip(fma(f, load(previous + j), i * g), limit), cell + j)
      j += lanes
    }
  }

  func computeOutput() {
    let b = s.pointee.blocks
    activate(b.output, s.pointee.gateActivation, s.pointee.outputPeephole, Floats(cell))
    guard let outputs = s.pointee.output else { return }
    let output = outputs + row * s.pointee.outputStride
    let source =
      s.pointee.outputSource.map { $0 + row * s.pointee.outputSourceStride } ?? Floats(cell)
    activateRow(s.pointee.outputActivation, width, source, output)
    guard b.output >= 0 else { return }
    multiplyRow(width, Floats(gates + b.output * b.stride), output)
  }

  /// One block: its peephole, its clip, its function; nothing if the cell lacks it.
  private func activate(
    _ block: Int, _ function: KernelActivation, _ peephole: Floats?, _ state: Floats
  ) {
    guard block >= 0 else { return }
    let at = block * s.pointee.blocks.stride
    let z = gates + at
    if let peephole { multiplyAdd(width, peephole, state, z) }
    if let kept = s.pointee.preactivations {
      memcpy(kept + row * s.pointee.preactivationsStride + at, z, width * MemoryLayout<Float>.size)
    }
    if s.pointee.gateClip < .infinity { clipRow(width, s.pointee.gateClip, z) }
    activateRow(function, width, Floats(z), z)
  }
}

/// y ⊙= x
func multiplyRow(_ n: Int, _ x: Floats, _ y: MutableFloats) {
  var j = 0
  while j < n {
    store(load(x + j) * load(y + j), y + j)
    j += lanes
  }
}

private func clipRow(_ n: Int, _ limit: Float, _ y: MutableFloats) {
  var j = 0
  while j < n {
    store(clip(load(y + j), limit), y + j)
    j += lanes
  }
}
