/// A simple recurrent network that runs row by row on ``ReferenceSimpleRNN``.
///
/// Keeps T·B·2·H scalars for the backward pass: pre-activations and h.
class SimpleRNNRun<S: Scalar>: CellRun<S> {
  let cell: SimpleRNNDescription
  let preactivations: StepRows<S>
  let deltas: StepRows<S>?
  let dropout: RecurrentDropout<S>?
  let reference: ReferenceSimpleRNN<S>

  init(
    _ frame: SequenceFrame<S>, _ cell: SimpleRNNDescription, weights: CellPointers<S>,
    gradients: CellPointers<S>
  ) throws(EngineError) {
    self.cell = cell
    func rows(_ period: Int) throws(EngineError) -> StepRows<S> {
      try StepRows(frame.plan, batch: frame.batch, width: cell.units, period: period)
    }
    preactivations = try rows(frame.keeps ? frame.steps : 1)
    deltas =
      frame.keeps
      ? try rows(frame.recordsFlow ? frame.steps : frame.sums.block)
      : nil
    dropout =
      frame.description.recurrentDropout > 0
      ? try RecurrentDropout(
        frame.plan, rate: frame.description.recurrentDropout, blocks: 1, batch: frame.batch,
        width: cell.units) : nil
    reference = ReferenceSimpleRNN(
      cell: cell, inputWidth: frame.inputWidth, weights: weights, gradients: gradients)
    super.init(frame)
  }

  override func prepareForward() {
    if isTraining { dropout?.draw(key: frame.key(.recurrent)) }
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func forward(_ step: Int, _ rows: Range<Int>, part: Range<Int>) {
    for row in rows { reference.forward(self.row(step, row)) }
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func backward(_ step: Int, _ rows: Range<Int>, _ gradient: StateGradients<S>) {
    guard let deltas, let input = frame.inputGradient(step) else { return }
    for row in rows {
      reference.backward(
        self.row(step, row),
        SimpleRNNRowGradient(
          delta: deltas.at(step, row), hidden: gradient.hidden + row * gradient.hiddenStride,
          input: input + row * frame.inputGradientStride))
    }
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func finishBackward(_ block: Range<Int>, part: Int, of parts: Int) {
    guard part == 0, let deltas else { return }
    for step in block.reversed() {
      frame.forEachValidRun(step, 0..<frame.batch) { rows in
        for row in rows {
          reference.addParameterGradients(
            self.row(step, row), delta: UnsafePointer(deltas.at(step, row)))
        }
      }
    }
  }

  var isTraining: Bool { frame.plan.context.isTraining }

  override var stepWork: Int {
    (frame.inputWidth + frame.description.cell.outputWidth) * cell.units
  }

  private func row(_ step: Int, _ row: Int) -> SimpleRNNRow<S> {
    let previous = UnsafePointer(frame.hidden.at(step - 1, row))
    let dropout = isTraining ? self.dropout?.row(row) : nil
    return SimpleRNNRow(
      input: UnsafePointer(frame.input(step) + row * frame.inputStride),
      recurrentInput: dropout?.dropped(0, previous) ?? previous,
      recurrentMask: dropout?.mask(0), preactivation: preactivations.at(step, row),
      hidden: frame.hidden.at(step, row))
  }

  override func skipBackward(_ step: Int, _ row: Int, _ gradient: StateGradients<S>) {
    deltas?.clear(step, row)
  }

  override func trace(_ field: TraceField) -> CellTrace<S>? {
    guard field == .cellInputDelta, frame.recordsFlow else { return nil }
    return deltas.map { CellTrace($0, width: cell.units) }
  }
}
