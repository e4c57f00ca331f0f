import KernelInterface

func lstmBackward(_ arguments: UnsafePointer<LSTMPointwiseArguments>) {
  guard let deltas = arguments.pointee.deltas, let cellGradient = arguments.pointee.cellGradient
  else { return }
  if arguments.pointee.isStandard, let gradients = arguments.pointee.outputGradient {
    for row in 0..<arguments.pointee.rows {
      backwardStandard(
        arguments, row, gradients + row * arguments.pointee.outputGradientStride,
        deltas + row * arguments.pointee.deltasStride,
        cellGradient + row * arguments.pointee.cellGradientStride)
    }
    return
  }
  var memory = (Chunk(), Chunk(), Chunk())
  withUnsafeMutablePointer(to: &memory) { memory in
    let scratch = aligned(memory)
    for row in 0..<arguments.pointee.rows {
      let p = BackwardRow(
        arguments, row, deltas + row * arguments.pointee.deltasStride,
        cellGradient + row * arguments.pointee.cellGradientStride)
      if arguments.pointee.computesOutput { p.computeOutput(scratch) }
      if arguments.pointee.computesCell { p.computeCell(scratch) }
    }
  }
}

extension LSTMPointwiseArguments {
  /// The usual cell, both halves at once: four gates in the usual order, sigmoid and tanh, and nothing else.
  @inline(always) var isStandard: Bool {
    blocks.input == 0 && blocks.forget == 1 && blocks.cell == 2 && blocks.output == 3
      && !blocks.couples && computesCell && computesOutput && preactivations == nil
      && gateActivation.code == .sigmoid && cellActivation.code == .tanh
      && outputActivation.code == .tanh && inputPeephole == nil && forgetPeephole == nil
      && outputPeephole == nil && cellClip == .infinity && outputSource == nil
      && sourceGradient == nil
  }
}

/// One row of the usual cell in one pass, with the operations of ``BackwardRow`` in their order.
private func backwardStandard(
  _ s: UnsafePointer<LSTMPointwiseArguments>, _ row: Int, _ outputGradient: Floats,
  _ deltas: MutableFloats, _ cellGradient: MutableFloats
) {
  let width = wholeVectors(s.pointee.units)
  let stride = s.pointee.blocks.stride
  let gates = Floats(s.pointee.gates + row * s.pointee.gatesStride)
  let previous = s.pointee.previousCell + row * s.pointee.previousCellStride
  let cell = Floats(s.pointee.cell + row * s.pointee.cellStride)
  let one = splat(1)
  // A step's gates were written long ago.
  let hasNext = row + 1 < s.pointee.rows
  let nextGates = gates + (hasNext ? s.pointee.gatesStride : 0)
  let nextPrevious = previous + (hasNext ? s.pointee.previousCellStride : 0)
  var j = 0
  while j < width {
    let next = nextGates + j
    prefetch(next)
    prefetch(next + stride)
    prefetch(next + 2 * stride)
    prefetch(next + 3 * stride)
    prefetch(nextPrevious + j)
    let i = load(gates + j)
    let f = load(gates + stride + j)
    let g = load(gates + 2 * stride + j)
    let o = load(gates + 3 * stride + j)
    let squashed = tanh(load(cell + j))
    let arrived = load(outputGradient + j)
    let source = arrived * o * (one - squashed * squashed)
    let dc = load(cellGradient + j) + source
    store(dc * g * (i * (one - i)), deltas + j)
    store(dc * load(previous + j) * (f * (one - f)), deltas + stride + j)
    store(dc * i * (one - g * g), deltas + 2 * stride + j)
    store(arrived * squashed * (o * (one - o)), deltas + 3 * stride + j)
    store(dc * f, cellGradient + j)
    j += lanes
  }
}

/// One row of the batch, in chunks: the slopes of a chunk's gates stay in the nearest cache.
private struct BackwardRow {
  let s: UnsafePointer<LSTMPointwiseArguments>
  let row: Int
  /// Units, rounded up to whole vectors.
  let width: Int
  let gates: Floats
  let deltas: MutableFloats
  let previous: Floats
  let cell: Floats
  let cellGradient: MutableFloats

  @inline(always) init(
    _ s: UnsafePointer<LSTMPointwiseArguments>, _ row: Int, _ deltas: MutableFloats,
    _ cellGradient: MutableFloats
  ) {
    self.s = s
    self.row = row
    self.deltas = deltas
    self.cellGradient = cellGradient
    width = wholeVectors(s.pointee.units)
    gates = Floats(s.pointee.gates + row * s.pointee.gatesStride)
    previous = s.pointee.previousCell + row * s.pointee.previousCellStride
    cell = Floats(s.pointee.cell + row * s.pointee.cellStride)
  }

  /// The value of a gate, 1 if it is absent.
  @inline(always) private func gate(_ block: Int, _ j: Int) -> Vector {
    block < 0 ? splat(1) : load(gates + block * s.pointee.blocks.stride + j)
  }

  /// dc += p ⊙ delta
  @inline(always) private func through(
    _ peephole: Floats?, _ j: Int, _ delta: Vector, _ dc: Vector
  ) -> Vector {
    guard let peephole else { return dc }
    return fma(load(peephole + j), delta, dc)
  }

  /// Slopes of a block's function (and of the clip before it) for a chunk.
  private func slopes(
    _ block: Int, _ function: KernelActivation, _ first: Int, _ count: Int, _ slope: MutableFloats
  ) {
    guard block >= 0 else { return }
    let at = block * s.pointee.blocks.stride + first
    let y = gates + at
    guard let kept = s.pointee.preactivations else {
      return differentiateRow(function, count, y, y, slope)
    }
    let x = Floats(kept + row * s.pointee.preactivationsStride + at)
    differentiateRow(function, count, x, y, slope)
    guard s.pointee.gateClip < .infinity else { return }
    var j = 0
    while j < count {
      let isClipped = magnitude(load(x + j)) .> splat(s.pointee.gateClip)
      store(select(isClipped, splat(0), load(slope + j)), slope + j)
      j += lanes
    }
  }

  func computeOutput(_ scratch: MutableFloats) {
    guard let gradients = s.pointee.outputGradient else { return }
    let dh = gradients + row * s.pointee.outputGradientStride
    let u = s.pointee.outputSource.map { $0 + row * s.pointee.outputSourceStride } ?? cell
    let du = s.pointee.sourceGradient.map { $0 + row * s.pointee.sourceGradientStride }
    let block = s.pointee.blocks.output
    let to = block * s.pointee.blocks.stride
    let squashed = scratch
    let squashedSlope = squashed + chunk
    let gateSlope = squashedSlope + chunk
    var first = 0
    while first < width {
      let count = width - first < chunk ? width - first : chunk
      activateRow(s.pointee.outputActivation, count, u + first, squashed)
      differentiateRow(
        s.pointee.outputActivation, count, u + first, Floats(squashed), squashedSlope)
      slopes(block, s.pointee.gateActivation, first, count, gateSlope)
      var k = 0
      while k < count {
        let j = first + k
        let arrived = load(dh + j)
        let source = arrived * gate(block, j) * load(squashedSlope + k)
        var dc = load(cellGradient + j)
        if block >= 0 {
          let delta = arrived * load(squashed + k) * load(gateSlope + k)
          dc = through(s.pointee.outputPeephole, j, delta, dc)
          store(delta, deltas + to + j)
        }
        if let du { store(source, du + j) } else { dc = dc + source }
        store(dc, cellGradient + j)
        k += lanes
      }
      first += count
    }
  }

  func computeCell(_ scratch: MutableFloats) {
    let b = s.pointee.blocks
    let inputSlope = scratch
    let forgetSlope = inputSlope + chunk
    let cellSlope = forgetSlope + chunk
    var first = 0
    while first < width {
      let count = width - first < chunk ? width - first : chunk
      slopes(b.input, s.pointee.gateActivation, first, count, inputSlope)
      slopes(b.forget, s.pointee.gateActivation, first, count, forgetSlope)
      slopes(b.cell, s.pointee.cellActivation, first, count, cellSlope)
      var k = 0
      while k < count {
        let j = first + k
        let old = load(previous + j)
        // A clipped cell passes nothing on.
        let isClipped = magnitude(load(cell + j)) .>= splat(s.pointee.cellClip)
        let dc = select(isClipped, splat(0), load(cellGradient + j))
        // All values before the first delta: both may be in the same memory.
        let i = gate(b.input, j)
        let g = gate(b.cell, j)
        let f = b.couples ? splat(1) - i : gate(b.forget, j)
        var carried = dc * f
        if b.forget >= 0 {
          let delta = dc * old * load(forgetSlope + k)
          store(delta, deltas + b.forget * b.stride + j)
          carried = through(s.pointee.forgetPeephole, j, delta, carried)
        }
        if b.input >= 0 {
          let delta = dc * (b.couples ? g - old : g) * load(inputSlope + k)
          store(delta, deltas + b.input * b.stride + j)
          carried = through(s.pointee.inputPeephole, j, delta, carried)
        }
        store(dc * i * load(cellSlope + k), deltas + b.cell * b.stride + j)
        store(carried, cellGradient + j)
        k += lanes
      }
      first += count
    }
  }
}
