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
    inputProduct = try InputProduct(frame, columns: packed.columns)
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
    inputProduct.compute(
      steps, part: part, frame: frame, weights: packed.input,
      bias: UnsafePointer(packed.bias.pointer))
  }

  override func forward(_ step: Int, _ rows: Range<Int>, part: Range<Int>) {
    let first = rows.lowerBound
    for row in rows {
      let z0 = inputProduct.at(offset: step % inputBlock, row: row, part: part)
      gates.at(step, row).update(from: z0, count: packed.columns)
    }
    if let dropout = activeDropout, let dropped {
      for block in 0..<3 {
        dropout.apply(block, rows, to: frame.hidden, step - 1, into: dropped, kernels)
      }
    }
    addRecurrent(step, rows, block: 0)
    addRecurrent(step, rows, block: 1)
    var arguments = pointwise(step, rows)
    if cell.resetAfter {
      let (hidden, stride) = recurrentInput(step, first, block: 2)
      let matrix = packed.recurrentBlocks[2]
      var product = ProductArguments(
        rows: rows.count, a: hidden, aStride: stride, b: matrix, c: candidates.at(step, first),
        cStride: candidates.stride,
        bias: packed.recurrentBias.map { UnsafePointer($0.pointer + 2 * blockStride) })
      kernels.product(&product)
      kernels.gruForward(&arguments)
    } else {
      arguments.computesOutput = false
      let (hidden, stride) = recurrentInput(step, first, block: 2)
      arguments.previousHidden = hidden
      arguments.previousHiddenStride = stride
      arguments.resetHidden = candidates.at(step, first)
      arguments.resetHiddenStride = candidates.stride
      kernels.gruForward(&arguments)
      packed.recurrentBlocks[2].addProduct(
        rows: rows.count, a: candidates.at(step, first), aStride: candidates.stride,
        c: gates.at(step, first) + 2 * blockStride, cStride: gates.stride)
      arguments = pointwise(step, rows)
      arguments.computesGates = false
      kernels.gruForward(&arguments)
    }
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

  private func addRecurrent(_ step: Int, _ rows: Range<Int>, block: Int) {
    let first = rows.lowerBound
    let (hidden, stride) = recurrentInput(step, first, block: block)
    packed.recurrentBlocks[block].addProduct(
      rows: rows.count, a: hidden, aStride: stride,
      c: gates.at(step, first) + block * blockStride, cStride: gates.stride)
  }

  func pointwise(_ step: Int, _ rows: Range<Int>) -> GRUPointwiseArguments {
    let first = rows.lowerBound
    var arguments = GRUPointwiseArguments(
      rows: rows.count, units: cell.units, blockStride: blockStride,
      gates: gates.at(step, first), gatesStride: gates.stride,
      previousHidden: frame.hidden.at(step - 1, first),
      previousHiddenStride: frame.hidden.stride)
    arguments.gateActivation = KernelActivation(cell.recurrentActivation)
    arguments.candidateActivation = KernelActivation(cell.activation)
    if let preactivations {
      arguments.preactivations = preactivations.at(step, first)
      arguments.preactivationsStride = preactivations.stride
    }
    if cell.resetAfter {
      arguments.candidate = UnsafePointer(candidates.at(step, first))
      arguments.candidateStride = candidates.stride
    }
    arguments.output = frame.hidden.at(step, first)
    arguments.outputStride = frame.hidden.stride
    return arguments
  }

  override func backward(
    _ step: Int, _ rows: Range<Int>, _ gradient: StateGradients<Float>
  ) {
    backwardStep(step, rows, gradient)
  }

  override func finishBackward(_ block: Range<Int>, part: Int, of parts: Int) {
    finishBlock(block, part, parts)
  }
}
