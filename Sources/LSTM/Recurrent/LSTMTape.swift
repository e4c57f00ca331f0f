/// What one direction of an LSTM remembers of a sequence.
///
/// With B rows, T steps, G blocks, H units, width P of h and widths rounded up to 16, a pass that keeps for
/// the backward pass stores T·B·(G·H + H + P) scalars: the gates' values, c and h. More for some switches:
/// activations whose derivative needs its input, or a gate clip, T·B·G·H; a projection T·B·H;
/// zoneout T·B·(H + P); layer normalisation T·B·(2·G·H + H). The deltas take T'·B·G·H, T' = min(T, max(16, 256 / B)), or T·B·(G·H + H +
/// P) if the flow of gradients is recorded. Other passes keep a single step.
struct LSTMTape<S: Scalar> {
  /// Scalars from block to block in a row of gates.
  let blockStride: Int
  let gates: StepRows<S>
  let preactivations: StepRows<S>?
  /// c and h before zoneout; the same as the frame's histories without it.
  let newCell: StepRows<S>
  let newHidden: StepRows<S>
  /// m = o ⊙ ψ(c); the same as `newHidden` without a projection.
  let blockOutput: StepRows<S>
  let norm: Norm?
  let dropout: RecurrentDropout<S>?
  let backward: Backward?

  struct Norm {
    let input: StepRows<S>
    let recurrent: StepRows<S>
    let cell: StepRows<S>
    let factors: StepRows<S>
  }

  struct Backward {
    let deltas: StepRows<S>
    let inputDeltas: StepRows<S>
    let recurrentDeltas: StepRows<S>
    /// dL/dm(t) of the present step.
    let blockOutput: StepRows<S>
    let projected: StepRows<S>
    let squashed: StepRows<S>
    /// dL/dc(t) of all steps, if the flow is recorded.
    let cell: StepRows<S>?
  }

  init(
    _ frame: SequenceFrame<S>, _ cell: LSTMDescription, blockStride: Int
  ) throws(EngineError) {
    let plan = frame.plan
    let all = frame.keeps ? frame.steps : 1
    func rows(_ width: Int, _ period: Int) throws(EngineError) -> StepRows<S> {
      try StepRows(plan, batch: frame.batch, width: width, period: period)
    }
    let width = try Memory.product(cell.blockCount, blockStride)
    let history = frame.cell ?? frame.hidden
    self.blockStride = blockStride
    gates = try StepRows(
      plan, batch: frame.batch, width: width, period: all, isWritten: cell.units == blockStride)
    let needsInput =
      cell.gateClip != nil || cell.activation.derivativeNeedsInput
      || cell.recurrentActivation.derivativeNeedsInput
    preactivations = frame.keeps && needsInput ? try rows(width, all) : nil
    let zones = cell.zoneout > 0
    newCell = zones ? try rows(cell.units, all) : history
    let projects = cell.projection != nil
    newHidden = zones ? try rows(cell.outputWidth, all) : frame.hidden
    blockOutput = projects ? try rows(cell.units, all) : newHidden
    norm =
      cell.layerNorm
      ? Norm(
        input: try rows(width, all), recurrent: try rows(width, all),
        cell: try rows(cell.units, all), factors: try rows(3, all)) : nil
    dropout =
      frame.description.recurrentDropout > 0
      ? try RecurrentDropout(
        plan, rate: frame.description.recurrentDropout, blocks: cell.blockCount,
        batch: frame.batch, width: cell.outputWidth) : nil
    guard frame.keeps else {
      backward = nil
      return
    }
    let ring = frame.sums.block
    let deltas = try rows(width, frame.recordsFlow ? frame.steps : ring)
    let blockGradient = try rows(cell.units, 1)
    backward = Backward(
      deltas: deltas,
      inputDeltas: cell.layerNorm ? try rows(width, ring) : deltas,
      recurrentDeltas: cell.layerNorm ? try rows(width, ring) : deltas,
      blockOutput: blockGradient,
      projected: projects ? try rows(cell.outputWidth, ring) : blockGradient,
      squashed: cell.layerNorm ? try rows(cell.units, ring) : blockGradient,
      cell: frame.recordsFlow ? try rows(cell.units, frame.steps) : nil)
  }
}
