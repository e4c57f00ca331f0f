/// An LSTM that runs row by row on ``ReferenceLSTM``: every cell in double precision, and what the
/// kernels do not cover.
class LSTMRun<S: Scalar>: CellRun<S> {
  let cell: LSTMDescription
  let tape: LSTMTape<S>
  let reference: ReferenceLSTM<S>

  init(
    _ frame: SequenceFrame<S>, _ cell: LSTMDescription, weights: CellPointers<S>,
    gradients: CellPointers<S>, blockStride: Int? = nil
  ) throws(EngineError) {
    self.cell = cell
    tape = try LSTMTape(frame, cell, blockStride: blockStride ?? cell.units)
    reference = ReferenceLSTM(
      cell: cell, inputWidth: frame.inputWidth, weights: weights, gradients: gradients)
    super.init(frame)
  }

  override func prepareForward() {
    guard isTraining else { return }
    tape.dropout?.draw(key: frame.key(.recurrent))
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
      guard let rowGradient = rowGradient(step, row, gradient) else { return }
      reference.backward(self.row(step, row), rowGradient)
    }
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func finishBackward(_ block: Range<Int>, part: Int, of parts: Int) {
    guard part == 0 else { return }
    let none = StateGradients<S>(
      hidden: frame.hidden.base, hiddenStride: 0, cell: nil, cellStride: 0)
    for step in block.reversed() {
      frame.forEachValidRun(step, 0..<frame.batch) { rows in
        for row in rows {
          guard let rowGradient = rowGradient(step, row, none) else { return }
          reference.addParameterGradients(self.row(step, row), rowGradient)
        }
      }
    }
  }

  var isTraining: Bool { frame.plan.context.isTraining }

  override var stepWork: Int {
    (frame.inputWidth + frame.description.cell.outputWidth) * tape.blockStride * cell.blockCount
  }

  private func row(_ step: Int, _ row: Int) -> LSTMRow<S> {
    let cells = frame.cell ?? frame.hidden
    return LSTMRow(
      input: UnsafePointer(frame.input(step) + row * frame.inputStride),
      previousHidden: UnsafePointer(frame.hidden.at(step - 1, row)),
      previousCell: UnsafePointer(cells.at(step - 1, row)),
      gates: tape.gates.at(step, row),
      preactivations: tape.preactivations?.at(step, row),
      newCell: tape.newCell.at(step, row), cell: cells.at(step, row),
      blockOutput: tape.blockOutput.at(step, row), newHidden: tape.newHidden.at(step, row),
      hidden: frame.hidden.at(step, row),
      norm: tape.norm.map {
        LSTMRow.Norm(
          input: $0.input.at(step, row), recurrent: $0.recurrent.at(step, row),
          factors: $0.factors.at(step, row))
      },
      normalizedCell: tape.norm?.cell.at(step, row), zoneout: zoneout(step, row),
      dropout: isTraining ? tape.dropout?.row(row) : nil)
  }

  private func rowGradient(
    _ step: Int, _ row: Int, _ gradient: StateGradients<S>
  ) -> LSTMRowGradient<S>? {
    guard let backward = tape.backward, let input = frame.inputGradient(step) else { return nil }
    return LSTMRowGradient(
      deltas: backward.deltas.at(step, row), inputDeltas: backward.inputDeltas.at(step, row),
      recurrentDeltas: backward.recurrentDeltas.at(step, row),
      blockOutput: backward.blockOutput.at(step, row),
      projected: backward.projected.at(step, row), squashed: backward.squashed.at(step, row),
      cellTrace: backward.cell?.at(step, row),
      hidden: gradient.hidden + row * gradient.hiddenStride,
      cell: (gradient.cell ?? gradient.hidden) + row * gradient.cellStride,
      input: input + row * frame.inputGradientStride)
  }

  func zoneout(_ step: Int, _ row: Int) -> Zoneout<S>? {
    guard cell.zoneout > 0 else { return nil }
    return Zoneout(
      rate: cell.zoneout, isTraining: isTraining, cellKey: frame.key(.zoneoutCell),
      hiddenKey: frame.key(.zoneoutHidden),
      row: (frame.plan.context.firstStep + step) * frame.batch + row,
      units: max(cell.units, cell.outputWidth))
  }

  override func skip(_ step: Int, _ row: Int) { tape.gates.clear(step, row) }

  override func skipBackward(_ step: Int, _ row: Int, _ gradient: StateGradients<S>) {
    guard let backward = tape.backward else { return }
    backward.deltas.clear(step, row)
    guard let trace = backward.cell, let cell = gradient.cell else { return }
    trace.at(step, row).update(from: cell + row * gradient.cellStride, count: self.cell.units)
  }

  override func trace(_ field: TraceField) -> CellTrace<S>? {
    guard frame.keeps else { return nil }
    switch field {
    case .inputGate: return block(tape.gates, cell.inputBlock)
    case .forgetGate:
      guard cell.couplesGates else { return block(tape.gates, cell.forgetBlock) }
      return CellTrace(tape.gates, width: cell.units, isComplement: true)
    case .cellInput: return block(tape.gates, cell.cellBlock)
    case .outputGate: return block(tape.gates, cell.outputBlock)
    case .cell: return frame.cell.map { CellTrace($0, width: cell.units) }
    case .cellDelta: return tape.backward?.cell.map { CellTrace($0, width: cell.units) }
    case .inputGateDelta: return delta(cell.inputBlock)
    case .forgetGateDelta: return delta(cell.forgetBlock)
    case .cellInputDelta: return delta(cell.cellBlock)
    case .outputGateDelta: return delta(cell.outputBlock)
    default: return nil
    }
  }

  private func delta(_ block: Int?) -> CellTrace<S>? {
    guard frame.recordsFlow, let backward = tape.backward else { return nil }
    return self.block(backward.deltas, block)
  }

  private func block(_ rows: StepRows<S>, _ block: Int?) -> CellTrace<S>? {
    block.map { CellTrace(rows, first: $0 * tape.blockStride, width: cell.units) }
  }
}
