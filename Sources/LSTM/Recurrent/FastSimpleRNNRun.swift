import KernelInterface

/// A simple recurrent network in single precision on the kernels.
final class FastSimpleRNNRun: SimpleRNNRun<Float> {
  private let packed: CellWeights
  private let gradients: CellPointers<Float>
  private let inputProduct: InputProduct
  /// h(t-1) after recurrent dropout.
  private let dropped: StepRows<Float>?
  private let panels: GradientPanels?

  init(
    _ frame: SequenceFrame<Float>, _ cell: SimpleRNNDescription, packed: CellWeights,
    weights: CellPointers<Float>, gradients: CellPointers<Float>
  ) throws(EngineError) {
    self.packed = packed
    self.gradients = gradients
    inputProduct = try InputProduct(frame, columns: packed.columns)
    dropped =
      frame.description.recurrentDropout > 0
      ? try StepRows(frame.plan, batch: frame.batch, width: cell.units, period: 1) : nil
    panels = frame.keeps ? try GradientPanels(frame, packed.kernels) : nil
    try super.init(frame, cell, weights: weights, gradients: gradients)
  }

  private var kernels: KernelTable { packed.kernels }
  private var activeDropout: RecurrentDropout<Float>? { isTraining ? dropout : nil }

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
      preactivations.at(step, row).update(from: z0, count: packed.columns)
    }
    var hidden = frame.hidden.at(step - 1, first)
    var hiddenStride = frame.hidden.stride
    if let dropout = activeDropout, let dropped {
      dropout.apply(0, rows, to: frame.hidden, step - 1, into: dropped, kernels)
      hidden = dropped.at(0, first)
      hiddenStride = dropped.stride
    }
    packed.recurrent?.addProduct(
      rows: rows.count, a: hidden, aStride: hiddenStride, c: preactivations.at(step, first),
      cStride: preactivations.stride)
    var arguments = activation(step, rows)
    kernels.activate(&arguments)
  }

  private func activation(_ step: Int, _ rows: Range<Int>) -> ActivationArguments {
    ActivationArguments(
      function: KernelActivation(cell.activation), rows: rows.count, columns: cell.units,
      input: preactivations.at(step, rows.lowerBound), inputStride: preactivations.stride,
      output: frame.hidden.at(step, rows.lowerBound), outputStride: frame.hidden.stride)
  }

  override func backward(
    _ step: Int, _ rows: Range<Int>, _ gradient: StateGradients<Float>
  ) {
    guard let deltas else { return }
    let first = rows.lowerBound
    for row in rows {
      let dh = gradient.hidden + row * gradient.hiddenStride
      deltas.at(step, row).update(from: dh, count: cell.units)
      dh.update(repeating: 0, count: cell.units)
    }
    var arguments = activation(step, rows)
    arguments.gradient = deltas.at(step, first)
    arguments.gradientStride = deltas.stride
    kernels.activateBackward(&arguments)
    packed.recurrentTransposed?.addProduct(
      rows: rows.count, a: deltas.at(step, first), aStride: deltas.stride,
      c: gradient.hidden + first * gradient.hiddenStride, cStride: gradient.hiddenStride)
    guard let dropout = activeDropout else { return }
    for row in rows {
      let dh = gradient.hidden + row * gradient.hiddenStride
      let mask = dropout.masks.at(0, row)
      for j in 0..<cell.units { dh[j] *= mask[j] }
    }
  }

  override func finishBackward(_ block: Range<Int>, part: Int, of parts: Int) {
    guard let deltas, let panels else { return }
    let sums = GradientSums(
      kernels: kernels, panel: panels.panel(part), part: part, parts: parts,
      descends: frame.sums.descends, blocks: 1, units: cell.units, blockStride: packed.blockStride)
    frame.forEachValidRun(ofBlock: block) { step, row, count in
      let d = UnsafePointer(deltas.at(step, row))
      frame.addInputGradient(
        step, row, count, deltas: d, deltas.stride, packed.inputTransposed, part, parts)
      sums.addMatrix(
        gradients[.kernel], rows: count, depth: frame.inputWidth,
        a: frame.input(step) + row * frame.inputStride, aStride: frame.inputStride, d: d,
        dStride: deltas.stride)
      sums.addVector(gradients[.bias], rows: count, d: d, dStride: deltas.stride)
      if activeDropout == nil {
        sums.addMatrix(
          gradients[.recurrentKernel], rows: count, depth: cell.units,
          a: frame.hidden.at(step - 1, row), aStride: frame.hidden.stride, d: d,
          dStride: deltas.stride)
      }
    }
    guard let dropout = activeDropout, let dropped, part == 0 else { return }
    let alone = sums.alone
    for step in block.reversed() {
      frame.forEachValidRun(step, 0..<frame.batch) { rows in
        let first = rows.lowerBound
        dropout.apply(0, rows, to: frame.hidden, step - 1, into: dropped, kernels)
        alone.addMatrix(
          gradients[.recurrentKernel], rows: rows.count, depth: cell.units,
          a: dropped.at(0, first), aStride: dropped.stride, d: deltas.at(step, first),
          dStride: deltas.stride)
      }
    }
  }
}
