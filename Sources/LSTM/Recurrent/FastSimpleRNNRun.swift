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
    inputProduct = try InputProduct(frame, packed)
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
    inputProduct.compute(steps, part: part)
  }

  override func forward(_ step: Int, _ rows: Range<Int>, part: Range<Int>) {
    forward(step, rows, part: part, 0..<cell.units)
  }

  override var dividesUnits: Bool { activeDropout == nil }

  override func beginForwardUnits(_ steps: Range<Int>, part: Int, of parts: Int) {
    inputProduct.computeShare(steps, part: part, of: parts)
  }

  override func forwardUnits(_ step: Int, part: Int, of parts: Int) {
    let all = 0..<frame.batch
    let units = ParallelKernels.share(
      cell.units, unit: kernels.panelWidth(packed.format), part, parts)
    forward(step, all, part: all, units)
  }

  /// Some units of some rows.
  private func forward(
    _ step: Int, _ rows: Range<Int>, part: Range<Int>, _ units: Range<Int>
  ) {
    let row = rows.lowerBound
    inputProduct.copy(step, rows, part: part, units, to: preactivations)
    var hidden = frame.hidden.at(step - 1, row)
    var hiddenStride = frame.hidden.stride
    if let dropout = activeDropout, let dropped {
      dropout.apply(0, rows, to: frame.hidden, step - 1, into: dropped, kernels)
      hidden = dropped.at(0, row)
      hiddenStride = dropped.stride
    }
    packed.recurrent?.addProduct(
      rows: rows.count, a: hidden, aStride: hiddenStride, c: preactivations.at(step, row),
      cStride: preactivations.stride, columns: units)
    var arguments = activation(step, rows, units)
    kernels.activate(&arguments)
  }

  private func activation(
    _ step: Int, _ rows: Range<Int>, _ units: Range<Int>
  ) -> ActivationArguments {
    let (row, first) = (rows.lowerBound, units.lowerBound)
    return ActivationArguments(
      function: KernelActivation(cell.activation), rows: rows.count, columns: units.count,
      input: preactivations.at(step, row) + first, inputStride: preactivations.stride,
      output: frame.hidden.at(step, row) + first, outputStride: frame.hidden.stride)
  }

  override func backward(
    _ step: Int, _ rows: Range<Int>, _ gradient: StateGradients<Float>
  ) {
    let all = 0..<cell.units
    backwardUnits(step, rows, all, gradient)
    sendToHiddenUnits(step, rows, all, gradient)
    guard let dropout = activeDropout else { return }
    for row in rows {
      let dh = gradient.hidden + row * gradient.hiddenStride
      let mask = dropout.masks.at(0, row)
      for j in 0..<cell.units { dh[j] *= mask[j] }
    }
  }

  override var backwardUnit: Int {
    activeDropout == nil ? kernels.panelWidth : 0
  }

  /// δ of some units from δh, which is zero afterwards.
  override func backwardUnits(
    _ step: Int, _ rows: Range<Int>, _ units: Range<Int>, _ gradient: StateGradients<Float>
  ) {
    guard !units.isEmpty, let deltas else { return }
    let first = units.lowerBound
    for row in rows {
      let dh = gradient.hidden + row * gradient.hiddenStride + first
      (deltas.at(step, row) + first).update(from: dh, count: units.count)
      dh.update(repeating: 0, count: units.count)
    }
    var arguments = activation(step, rows, units)
    arguments.gradient = deltas.at(step, rows.lowerBound) + first
    arguments.gradientStride = deltas.stride
    kernels.activateBackward(&arguments)
  }

  /// δh(t-1) += Rᵀ δ at some units.
  override func sendToHiddenUnits(
    _ step: Int, _ rows: Range<Int>, _ units: Range<Int>, _ gradient: StateGradients<Float>
  ) {
    guard let deltas else { return }
    packed.recurrentTransposed?.addProduct(
      rows: rows.count, a: deltas.at(step, rows.lowerBound), aStride: deltas.stride,
      c: gradient.hidden + rows.lowerBound * gradient.hiddenStride, cStride: gradient.hiddenStride,
      columns: units)
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
