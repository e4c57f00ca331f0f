/// A GRU that runs row by row on ``ReferenceGRU``.
///
/// Keeps T·B·5·H scalars for the backward pass: z, r, n, q (or r ⊙ h) and h; 3·H more if an activation's
/// derivative needs its input.
class GRURun<S: Scalar>: CellRun<S> {
  let cell: GRUDescription
  let blockStride: Int
  let gates: StepRows<S>
  let preactivations: StepRows<S>?
  let candidates: StepRows<S>
  let deltas: StepRows<S>?
  let recurrentDeltas: StepRows<S>?
  let resetGradient: StepRows<S>?
  let dropout: RecurrentDropout<S>?
  let reference: ReferenceGRU<S>

  init(
    _ frame: SequenceFrame<S>, _ cell: GRUDescription, weights: CellPointers<S>,
    gradients: CellPointers<S>, blockStride: Int? = nil
  ) throws(EngineError) {
    self.cell = cell
    self.blockStride = blockStride ?? cell.units
    func rows(_ width: Int, _ period: Int) throws(EngineError) -> StepRows<S> {
      try StepRows(frame.plan, batch: frame.batch, width: width, period: period)
    }
    let all = frame.keeps ? frame.steps : 1
    let ring = frame.sums.block
    let width = try Memory.product(3, self.blockStride)
    gates = try rows(width, all)
    let needsInput =
      cell.activation.derivativeNeedsInput || cell.recurrentActivation.derivativeNeedsInput
    preactivations = frame.keeps && needsInput ? try rows(width, all) : nil
    candidates = try rows(cell.units, all)
    deltas = frame.keeps ? try rows(width, frame.recordsFlow ? frame.steps : ring) : nil
    recurrentDeltas = frame.keeps ? try rows(width, ring) : nil
    resetGradient = frame.keeps ? try rows(cell.units, 1) : nil
    dropout =
      frame.description.recurrentDropout > 0
      ? try RecurrentDropout(
        frame.plan, rate: frame.description.recurrentDropout, blocks: 3, batch: frame.batch,
        width: cell.units) : nil
    reference = ReferenceGRU(
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
    for row in rows {
      guard
        let rowGradient = rowGradient(
          step, row, hidden: gradient.hidden + row * gradient.hiddenStride)
      else { return }
      reference.backward(self.row(step, row), rowGradient)
    }
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func finishBackward(_ block: Range<Int>, part: Int, of parts: Int) {
    guard part == 0 else { return }
    for step in block.reversed() {
      frame.forEachValidRun(step, 0..<frame.batch) { rows in
        for row in rows {
          guard let rowGradient = rowGradient(step, row, hidden: frame.hidden.base) else { return }
          reference.addParameterGradients(self.row(step, row), rowGradient)
        }
      }
    }
  }

  var isTraining: Bool { frame.plan.context.isTraining }

  override var stepWork: Int {
    (frame.inputWidth + frame.description.cell.outputWidth) * 3 * blockStride
  }

  private func row(_ step: Int, _ row: Int) -> GRURow<S> {
    GRURow(
      input: UnsafePointer(frame.input(step) + row * frame.inputStride),
      previousHidden: UnsafePointer(frame.hidden.at(step - 1, row)),
      gates: gates.at(step, row), preactivations: preactivations?.at(step, row),
      recurrentCandidate: candidates.at(step, row), hidden: frame.hidden.at(step, row),
      dropout: isTraining ? dropout?.row(row) : nil)
  }

  private func rowGradient(
    _ step: Int, _ row: Int, hidden: UnsafeMutablePointer<S>
  ) -> GRURowGradient<S>? {
    guard let deltas, let recurrentDeltas, let resetGradient,
      let input = frame.inputGradient(step)
    else { return nil }
    return GRURowGradient(
      deltas: deltas.at(step, row), recurrentDeltas: recurrentDeltas.at(step, row),
      resetHidden: resetGradient.at(step, row), hidden: hidden,
      input: input + row * frame.inputGradientStride)
  }

  override func skip(_ step: Int, _ row: Int) { gates.clear(step, row) }

  override func skipBackward(_ step: Int, _ row: Int, _ gradient: StateGradients<S>) {
    deltas?.clear(step, row)
  }

  override func trace(_ field: TraceField) -> CellTrace<S>? {
    guard frame.keeps else { return nil }
    switch field {
    case .updateGate: return CellTrace(gates, width: cell.units)
    case .resetGate: return CellTrace(gates, first: blockStride, width: cell.units)
    case .candidate: return CellTrace(gates, first: 2 * blockStride, width: cell.units)
    case .inputGateDelta, .forgetGateDelta, .cellInputDelta:
      guard frame.recordsFlow, let deltas else { return nil }
      let block = field == .inputGateDelta ? 0 : field == .forgetGateDelta ? 1 : 2
      return CellTrace(deltas, first: block * blockStride, width: cell.units)
    default: return nil
    }
  }
}
