import KernelInterface

/// An LSTM in single precision on the kernels.
///
/// The usual cells run on the fused step: product with R, gates, cell and output in one pass. What it does
/// not cover (layer normalisation, dense peepholes, other activations, recurrent dropout) runs
/// as products and the element-wise kernels; projection and zoneout follow either.
final class FastLSTMRun: LSTMRun<Float> {
  let packed: CellWeights
  let gradients: CellPointers<Float>
  let blocks: LSTMBlocks
  /// nil where the fused step multiplies with W itself.
  let inputProduct: InputProduct?
  /// γ_c ĉ + β_c of the present step, layer normalisation only.
  let squashed: StepRows<Float>?
  /// The present step's h(t-1) after recurrent dropout, by block.
  let dropped: StepRows<Float>?
  let scratch: LSTMBackwardScratch?
  /// nil where it is of no use.
  private var staging: StepStaging?
  /// Steps since the run was made, so that the direction alternates over calls of one step, too.
  private var stepsSoFar = 0

  /// Bytes of weights that the first-level cache holds beside what a step reads and writes.
  private static let nearest = 24 << 10

  init(
    _ frame: SequenceFrame<Float>, _ cell: LSTMDescription, packed: CellWeights,
    weights: CellPointers<Float>, gradients: CellPointers<Float>
  ) throws(EngineError) {
    self.packed = packed
    self.gradients = gradients
    blocks = cell.kernelBlocks(stride: packed.blockStride)
    let drops = frame.description.recurrentDropout > 0
    // Few inputs, and weights that stay in the nearest cache, cost the step less than a product of their own.
    let bytes =
      packed.columns * (frame.inputWidth + cell.outputWidth) * MemoryLayout<Float>.stride
    let multipliesInStep =
      cell.isFused && !drops
      && (frame.steps == 1 || frame.inputWidth <= 4 || bytes <= FastLSTMRun.nearest)
    inputProduct =
      multipliesInStep ? nil : try InputProduct(frame, packed, addsBias: !cell.layerNorm)
    squashed =
      cell.layerNorm
      ? try StepRows(frame.plan, batch: frame.batch, width: cell.units, period: 1) : nil
    dropped =
      drops
      ? try StepRows(
        frame.plan, batch: frame.batch, width: cell.outputWidth, period: cell.blockCount) : nil
    scratch = frame.keeps ? try LSTMBackwardScratch(frame, cell, packed) : nil
    try super.init(
      frame, cell, weights: weights, gradients: gradients, blockStride: packed.blockStride)
    if isFusedOnly { staging = try StepStaging(frame, tape) }
  }

  override var inputBlock: Int { inputProduct?.steps ?? max(frame.steps, 1) }
  var kernels: KernelTable { packed.kernels }
  var cells: StepRows<Float> { frame.cell ?? frame.hidden }
  var activeDropout: RecurrentDropout<Float>? { isTraining ? tape.dropout : nil }

  override func prepareForward() {
    super.prepareForward()
    stepsSoFar &+= frame.steps
  }

  override func beginForward(_ steps: Range<Int>, part: Range<Int>) {
    inputProduct?.compute(steps, part: part)
  }

  override func forward(_ steps: Range<Int>, part: Range<Int>) {
    guard isFusedOnly, var arguments = stepArguments(part) else {
      return super.forward(steps, part: part)
    }
    let staged = part.count < frame.batch ? staging?.rows(of: part) : nil
    for step in steps {
      place(&arguments, step, part.lowerBound, part)
      if let staged {
        staged.run(
          arguments, step, keepsCell: frame.keeps || step == frame.steps - 1, kernels)
      } else {
        kernels.lstmStep(&arguments)
      }
    }
  }

  override func forward(_ step: Int, _ rows: Range<Int>, part: Range<Int>) {
    if cell.isFused && activeDropout == nil {
      fusedStep(step, rows, part)
    } else {
      preactivate(step, rows, part)
      activate(step, rows)
    }
    if let projection = packed.projection { project(step, rows, projection) }
    if cell.zoneout > 0 { mixWithPrevious(step, rows) }
  }

  override func backward(
    _ step: Int, _ rows: Range<Int>, _ gradient: StateGradients<Float>
  ) {
    backwardStep(step, rows, gradient)
  }

  override var backwardParts: Int { GradientPanels.parts }

  override func finishBackward(_ block: Range<Int>, part: Int, of parts: Int) {
    finishBlock(block, part, parts)
  }

  /// Nothing follows the fused step.
  private var isFusedOnly: Bool {
    cell.isFused && activeDropout == nil && cell.projection == nil && cell.zoneout == 0
  }

  override var dividesUnits: Bool { isFusedOnly }

  override var backwardUnit: Int {
    dividesUnits && !cell.truncatesGates && tape.backward?.cell == nil ? kernels.panelWidth : 0
  }

  override func backwardUnits(
    _ step: Int, _ rows: Range<Int>, _ units: Range<Int>, _ gradient: StateGradients<Float>
  ) {
    deltasOfUnits(step, rows, units, gradient)
  }

  override func sendToHiddenUnits(
    _ step: Int, _ rows: Range<Int>, _ units: Range<Int>, _ gradient: StateGradients<Float>
  ) {
    sendToUnits(step, rows, units, gradient)
  }

  override func beginForwardUnits(_ steps: Range<Int>, part: Int, of parts: Int) {
    inputProduct?.computeShare(steps, part: part, of: parts)
  }

  override func forwardUnits(_ step: Int, part: Int, of parts: Int) {
    let all = 0..<frame.batch
    guard let recurrent = packed.fusedRecurrent else { return }
    fusedStep(
      step, all, all, groups: ParallelKernels.share(recurrent.groups, unit: 1, part, parts))
  }

  // MARK: The fused step

  private func fusedStep(
    _ step: Int, _ rows: Range<Int>, _ part: Range<Int>, groups: Range<Int>? = nil
  ) {
    guard var arguments = stepArguments(rows, groups: groups) else { return }
    place(&arguments, step, rows.lowerBound, part)
    kernels.lstmStep(&arguments)
  }

  /// The one step of a stream, c in place; nil if more belongs to it.
  func streamStep() -> LSTMStepArguments? {
    guard frame.plan.mode.isStream, frame.steps == 1, isFusedOnly, inputProduct == nil,
      frame.description.dropout == 0
    else { return nil }
    let all = 0..<frame.batch
    guard var arguments = stepArguments(all) else { return nil }
    place(&arguments, 0, 0, all)
    arguments.cell = cells.at(-1)
    return arguments
  }

  /// What is the same for all steps; `place` has to follow.
  private func stepArguments(_ rows: Range<Int>, groups: Range<Int>? = nil) -> LSTMStepArguments? {
    guard let recurrent = packed.fusedRecurrent else { return nil }
    let groups = groups ?? 0..<recurrent.groups
    let row = tape.blockOutput.base
    var arguments = LSTMStepArguments(
      rows: rows.count, blocks: blocks, firstGroup: groups.lowerBound, endGroup: groups.upperBound,
      initial: packed.bias.pointer, initialStride: inputProduct?.stride ?? 0,
      hiddenWidth: cell.outputWidth, hidden: row, hiddenStride: frame.hidden.stride,
      recurrentWeights: recurrent.weights,
      previousCell: row, previousCellStride: cells.stride,
      cell: row, cellStride: tape.newCell.stride,
      output: row, outputStride: tape.blockOutput.stride)
    if inputProduct == nil, let input = packed.fusedInput {
      arguments.inputWidth = frame.inputWidth
      arguments.inputStride = frame.inputStride
      arguments.inputWeights = input.weights
      arguments.inputScales = input.scales
    }
    arguments.format = packed.format
    arguments.recurrentScales = recurrent.scales
    arguments.narrowGroup = recurrent.narrowGroup
    arguments.gatesStride = tape.gates.stride
    arguments.inputPeephole = UnsafePointer(packed.vector(.inputPeephole))
    arguments.forgetPeephole = UnsafePointer(packed.vector(.forgetPeephole))
    arguments.outputPeephole = UnsafePointer(packed.vector(.outputPeephole))
    arguments.cellClip = cell.cellClip.map { Float($0) } ?? .infinity
    return arguments
  }

  /// Points to what a step reads and writes, from row `first` on.
  @inline(__always)
  private func place(
    _ arguments: inout LSTMStepArguments, _ step: Int, _ first: Int, _ part: Range<Int>
  ) {
    if let inputProduct {
      arguments.initial = UnsafePointer(inputProduct.at(step, first, part: part))
    } else {
      arguments.input = UnsafePointer(frame.input(step) + first * frame.inputStride)
    }
    arguments.hidden = UnsafePointer(frame.hidden.at(step - 1, first))
    arguments.previousCell = UnsafePointer(cells.at(step - 1, first))
    arguments.cell = tape.newCell.at(step, first)
    arguments.output = tape.blockOutput.at(step, first)
    if frame.keeps { arguments.gates = tape.gates.at(step, first) }
    // Every other step reads the weights from the end, where the last one stopped.
    arguments.descends = (stepsSoFar &+ step) & 1 != 0
  }
}
