import KernelInterface

/// A GRU in single precision on the kernels: products, and the element-wise half of the step between
/// them.
final class FastGRURun: GRURun<Float> {
  let packed: CellWeights
  let gradients: CellPointers<Float>
  private let inputProduct: InputProduct
  /// h(t-1) after recurrent dropout, by block.
  let dropped: StepRows<Float>?
  let panels: GradientPanels?

  init(
    _ frame: SequenceFrame<Float>, _ cell: GRUDescription, packed: CellWeights,
    weights: CellPointers<Float>, gradients: CellPointers<Float>
  ) throws(EngineError) {
    self.packed = packed
    self.gradients = gradients
    inputProduct = try InputProduct(frame, packed)
    dropped =
      frame.description.recurrentDropout > 0
      ? try StepRows(frame.plan, batch: frame.batch, width: cell.units, period: 3) : nil
    panels = frame.keeps ? try GradientPanels(frame, packed.kernels) : nil
    try super.init(
      frame, cell, weights: weights, gradients: gradients, blockStride: packed.blockStride)
  }

  var kernels: KernelTable { packed.kernels }
  var activeDropout: RecurrentDropout<Float>? { isTraining ? dropout : nil }

  override var inputBlock: Int { inputProduct.steps }
  override var backwardParts: Int { GradientPanels.parts }

  override func beginForward(_ steps: Range<Int>, part: Range<Int>) {
    inputProduct.compute(steps, part: part)
  }

  override func forward(_ step: Int, _ rows: Range<Int>, part: Range<Int>) {
    forward(step, rows, part: part, units: 0..<cell.units, of: 1)
  }

  override var dividesUnits: Bool { activeDropout == nil }

  override func beginForwardUnits(_ steps: Range<Int>, part: Int, of parts: Int) {
    inputProduct.computeShare(steps, part: part, of: parts)
  }

  override func forwardUnits(_ step: Int, part: Int, of parts: Int) {
    let all = 0..<frame.batch
    let units = ParallelKernels.share(
      cell.units, unit: kernels.panelWidth(packed.format), part, parts)
    forward(step, all, part: all, units: units, of: parts)
  }

  /// Some units of some rows; `parts` threads do the others at the same time.
  private func forward(
    _ step: Int, _ rows: Range<Int>, part: Range<Int>, units: Range<Int>, of parts: Int
  ) {
    beginGates(step, rows, part: part, units)
    var arguments = pointwise(step, rows, units)
    if cell.resetAfter {
      multiplyCandidate(step, rows, units)
      kernels.gruForward(&arguments)
      return
    }
    arguments.computesOutput = false
    let (hidden, stride) = recurrentInput(step, rows.lowerBound, block: 2)
    arguments.previousHidden = hidden + units.lowerBound
    arguments.previousHiddenStride = stride
    arguments.resetHidden = candidates.at(step, rows.lowerBound) + units.lowerBound
    arguments.resetHiddenStride = candidates.stride
    kernels.gruForward(&arguments)
    // The candidate sees r ⊙ h(t-1) of all units.
    ThreadPool.shared.synchronize(parts)
    packed.recurrentBlocks[2].addProduct(
      rows: rows.count, a: candidates.at(step, rows.lowerBound), aStride: candidates.stride,
      c: gates.at(step, rows.lowerBound) + 2 * blockStride, cStride: gates.stride, columns: units)
    arguments = pointwise(step, rows, units)
    arguments.computesGates = false
    kernels.gruForward(&arguments)
  }

  /// x W + b of all blocks, and with h(t-1) R the sums of z and r.
  private func beginGates(
    _ step: Int, _ rows: Range<Int>, part: Range<Int>, _ units: Range<Int>
  ) {
    inputProduct.copy(step, rows, part: part, units, to: gates)
    if let dropout = activeDropout, let dropped {
      for block in 0..<3 {
        dropout.apply(block, rows, to: frame.hidden, step - 1, into: dropped, kernels)
      }
    }
    for block in 0..<2 {
      let (hidden, stride) = recurrentInput(step, rows.lowerBound, block: block)
      packed.recurrentBlocks[block].addProduct(
        rows: rows.count, a: hidden, aStride: stride,
        c: gates.at(step, rows.lowerBound) + block * blockStride, cStride: gates.stride,
        columns: units)
    }
  }

  /// Reset after: q = h(t-1) R_h + b.
  private func multiplyCandidate(_ step: Int, _ rows: Range<Int>, _ units: Range<Int>) {
    let (hidden, stride) = recurrentInput(step, rows.lowerBound, block: 2)
    var product = ProductArguments(
      rows: rows.count, a: hidden, aStride: stride, b: packed.recurrentBlocks[2],
      c: candidates.at(step, rows.lowerBound), cStride: candidates.stride,
      bias: packed.recurrentBias.map { UnsafePointer($0.pointer + 2 * blockStride) })
    product.take(columns: units, kernels)
    kernels.product(&product)
  }

  /// h(t-1) as the product of a block sees it, with its stride.
  private func recurrentInput(
    _ step: Int, _ row: Int, block: Int
  ) -> (UnsafePointer<Float>, Int) {
    if activeDropout != nil, let dropped {
      return (UnsafePointer(dropped.at(block, row)), dropped.stride)
    }
    return (UnsafePointer(frame.hidden.at(step - 1, row)), frame.hidden.stride)
  }

  /// The arguments of the element-wise kernels for some units of some rows.
  func pointwise(
    _ step: Int, _ rows: Range<Int>, _ units: Range<Int>
  ) -> GRUPointwiseArguments {
    let row = rows.lowerBound
    let first = units.lowerBound
    var arguments = GRUPointwiseArguments(
      rows: rows.count, units: units.count, blockStride: blockStride,
      gates: gates.at(step, row) + first, gatesStride: gates.stride,
      previousHidden: frame.hidden.at(step - 1, row) + first,
      previousHiddenStride: frame.hidden.stride)
    arguments.gateActivation = KernelActivation(cell.recurrentActivation)
    arguments.candidateActivation = KernelActivation(cell.activation)
    if let preactivations {
      arguments.preactivations = preactivations.at(step, row) + first
      arguments.preactivationsStride = preactivations.stride
    }
    if cell.resetAfter {
      arguments.candidate = UnsafePointer(candidates.at(step, row) + first)
      arguments.candidateStride = candidates.stride
    }
    arguments.output = frame.hidden.at(step, row) + first
    arguments.outputStride = frame.hidden.stride
    return arguments
  }

  override func backward(
    _ step: Int, _ rows: Range<Int>, _ gradient: StateGradients<Float>
  ) {
    backwardStep(step, rows, gradient)
  }

  override var backwardUnit: Int {
    cell.resetAfter && activeDropout == nil ? kernels.panelWidth : 0
  }

  override func backwardUnits(
    _ step: Int, _ rows: Range<Int>, _ units: Range<Int>, _ gradient: StateGradients<Float>
  ) {
    deltasAfterReset(step, rows, units, gradient)
  }

  override func sendToHiddenUnits(
    _ step: Int, _ rows: Range<Int>, _ units: Range<Int>, _ gradient: StateGradients<Float>
  ) {
    sendAfterReset(step, rows, units, gradient)
  }

  override func finishBackward(_ block: Range<Int>, part: Int, of parts: Int) {
    finishBlock(block, part, parts)
  }
}
