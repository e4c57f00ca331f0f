/// One direction of a recurrent layer during an execution: walks over the steps, keeps the state where a
/// row is masked, and lays out what the layer returns.
final class DirectionRun<S: Scalar>: ParallelWork {
  let frame: SequenceFrame<S>
  let cell: CellRun<S>
  /// What is returned, in processing order: `steps` or one times `batch` rows.
  let output: UnsafeMutablePointer<S>
  let outputStride: Int
  let outputGradient: UnsafeMutablePointer<S>?
  /// dL/dh(t) by step and the norms by step, if the flow of gradients is recorded.
  let hiddenTrace: StepRows<S>?
  let hiddenNorms: UnsafeMutablePointer<S>?
  let cellNorms: UnsafeMutablePointer<S>?
  private let learned: [UnsafeMutablePointer<S>?]
  let learnedGradients: [UnsafeMutablePointer<S>?]
  /// Copies of fields in the order of time, for a direction that goes backwards.
  private var turned: [TraceField: Buffer<S>] = [:]
  /// What the threads are to do, while a pass runs.
  var job = Job.forward(.hold, byUnits: false)

  enum Job {
    case forward(MaskedOutput, byUnits: Bool)
    case backward(MaskedOutput, StateGradients<S>, byUnits: Bool)
  }

  init(
    frame: SequenceFrame<S>, cell: CellRun<S>, weights: CellPointers<S>,
    gradients: CellPointers<S>
  ) throws(EngineError) {
    self.frame = frame
    self.cell = cell
    let plan = frame.plan
    let returned = frame.description.returnSequences ? frame.steps : 1
    outputStride = frame.hidden.stride
    let count = try Memory.product(returned, frame.batch, outputStride)
    output = frame.hiddenIsOutput ? frame.hidden.base : try plan.arena.allocate(count: count)
    outputGradient = frame.keeps ? try plan.arena.allocate(count: count) : nil
    hiddenTrace =
      frame.recordsFlow
      ? try StepRows(
        plan, batch: frame.batch, width: frame.description.cell.outputWidth, period: frame.steps)
      : nil
    hiddenNorms = frame.recordsFlow ? try plan.arena.allocate(count: frame.steps) : nil
    cellNorms = frame.recordsFlow ? try plan.arena.allocate(count: frame.steps) : nil
    learned = [weights[.initialHidden], weights[.initialCell]]
    learnedGradients = [gradients[.initialHidden], gradients[.initialCell]]
    super.init()
  }

  var states: [StateSlot<S>] { frame.states }
  var allRows: Range<Int> { 0..<frame.batch }

  // MARK: Forward

  /// Puts the learned initial states where the first step reads them.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  func setLearnedStates() {
    for (index, slot) in frame.states.enumerated() {
      guard let values = learned[index] else { continue }
      for row in 0..<frame.batch {
        (slot.initial + row * slot.stride).update(from: values, count: slot.width)
      }
    }
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  func forward(_ maskedOutput: MaskedOutput) {
    beginForward()
    switch split {
    case .none: walk(0..<frame.steps, allRows, maskedOutput)
    case .rows(let parts):
      job = .forward(maskedOutput, byUnits: false)
      performInParallel(parts, independent: true)
    case .units(let parts):
      job = .forward(maskedOutput, byUnits: true)
      performInParallel(parts)
    }
    endForward()
  }

  /// Before the first step.
  func beginForward() {
    frame.prepareForward()
    cell.prepareForward()
  }

  /// After the last step.
  func endForward() {
    writeFinalStates()
    if !frame.hiddenIsOutput && !frame.description.returnSequences { writeLastOutput() }
  }

  var splitSize: SequenceSplit.Size {
    let cell = frame.description.cell
    return SequenceSplit.Size(
      batch: frame.batch, steps: frame.steps, units: cell.units, stepWork: self.cell.stepWork,
      recurrentBytes: self.cell.stepWork / (frame.inputWidth + cell.outputWidth)
        * cell.outputWidth * MemoryLayout<S>.stride)
  }

  var split: SequenceSplit {
    SequenceSplit.choose(
      threads: frame.plan.context.threads, splitSize,
      dividesUnits: cell.dividesUnits && !frame.hasMask)
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func perform(part: Int, of parts: Int) {
    switch job {
    case .forward(let maskedOutput, let byUnits):
      if byUnits {
        walkTogether(part, parts, maskedOutput)
      } else {
        let rows = ParallelKernels.share(frame.batch, unit: 1, part, parts)
        walk(0..<frame.steps, rows, maskedOutput)
      }
    case .backward(let maskedOutput, let gradient, let byUnits):
      walkBack(0..<frame.steps, part, parts, maskedOutput, gradient, byUnits: byUnits)
    }
  }

  /// One thread's way over the whole sequence, with its share of the units of each step.
  private func walkTogether(_ part: Int, _ parts: Int, _ maskedOutput: MaskedOutput) {
    var first = 0
    while first < frame.steps {
      let steps = first..<min(first + cell.inputBlock, frame.steps)
      cell.beginForwardUnits(steps, part: part, of: parts)
      ThreadPool.shared.synchronize(parts)
      for step in steps {
        cell.forwardUnits(step, part: part, of: parts)
        ThreadPool.shared.synchronize(parts)
      }
      first = steps.upperBound
    }
  }

  /// One thread's way over some steps of the sequence, with its rows of the batch.
  func walk(_ steps: Range<Int>, _ part: Range<Int>, _ maskedOutput: MaskedOutput) {
    var first = steps.lowerBound
    while first < steps.upperBound {
      // Input products are made for aligned blocks of steps, or parts of one.
      let end = (first / cell.inputBlock + 1) * cell.inputBlock
      let some = first..<min(end, steps.upperBound)
      cell.beginForward(some, part: part)
      if frame.hasMask {
        for step in some { maskedStep(step, part, maskedOutput) }
      } else {
        cell.forward(some, part: part)
      }
      first = some.upperBound
    }
  }

  private func maskedStep(_ step: Int, _ part: Range<Int>, _ maskedOutput: MaskedOutput) {
    frame.forEachValidRun(step, part) { cell.forward(step, $0, part: part) }
    keepStates(step, part)
    if frame.description.returnSequences { writeOutput(step, part, maskedOutput) }
  }

  /// At masked rows the state stays what it was.
  private func keepStates(_ step: Int, _ part: Range<Int>) {
    for row in part where !frame.isValid(step, row) {
      frame.hidden.at(step, row).update(
        from: frame.hidden.at(step - 1, row), count: frame.hidden.stride)
      if let history = frame.cell {
        history.at(step, row).update(from: history.at(step - 1, row), count: history.stride)
      }
      if frame.keeps { cell.skip(step, row) }
    }
  }

  private func writeOutput(
    _ step: Int, _ part: Range<Int>, _ maskedOutput: MaskedOutput
  ) {
    for row in part {
      let to = output + (step * frame.batch + row) * outputStride
      if emitsHidden(step, row, maskedOutput) {
        to.update(from: frame.hidden.at(step, row), count: outputStride)
      } else {
        to.update(repeating: 0, count: outputStride)
      }
    }
  }

  /// Whether the output of a step is h, which masked steps hold; if not it is zero.
  func emitsHidden(_ step: Int, _ row: Int, _ maskedOutput: MaskedOutput) -> Bool {
    if frame.isValid(step, row) { return true }
    guard let firstValid = frame.firstValid else { return true }
    return maskedOutput == .hold && step > Int(firstValid[row])
  }

  private func writeFinalStates() {
    for (index, slot) in frame.states.enumerated() {
      guard let history = index == 0 ? frame.hidden : frame.cell else { continue }
      let last = history.at(frame.steps - 1)
      if last != slot.final { slot.final.update(from: last, count: frame.batch * slot.stride) }
    }
  }

  /// The output of each row's last valid step; zero if it has none, as in Keras, or if the layer
  /// gives zeros at masked steps and the last step is one (Keras's `zero_output_for_mask`).
  private func writeLastOutput() {
    for row in 0..<frame.batch {
      let to = output + row * outputStride
      if returnsLastValid(row) {
        to.update(from: frame.states[0].final + row * outputStride, count: outputStride)
      } else {
        to.update(repeating: 0, count: outputStride)
      }
    }
  }

  func returnsLastValid(_ row: Int) -> Bool {
    guard let firstValid = frame.firstValid else { return frame.steps > 0 }
    guard Int(firstValid[row]) < frame.steps else { return false }
    let zeroes =
      frame.plan.context.maskedOutput == nil && frame.description.maskedOutput == .zero
    return !zeroes || frame.isValid(frame.steps - 1, row)
  }

  // MARK: Traces

  /// What was recorded, in the order of time: row t * batch + b.
  func trace(_ field: TraceField) -> TraceView<S>? {
    switch field {
    case .hiddenGradientNorm: return hiddenNorms.map(normView)
    case .cellGradientNorm: return frame.cell == nil ? nil : cellNorms.map(normView)
    case .hidden:
      guard frame.keeps else { return nil }
      return view(CellTrace(frame.hidden, width: frame.description.cell.outputWidth), field)
    case .hiddenDelta:
      return hiddenTrace.flatMap {
        view(CellTrace($0, width: frame.description.cell.outputWidth), field)
      }
    default: return cell.trace(field).flatMap { view($0, field) }
    }
  }

  private func normView(_ norms: UnsafeMutablePointer<S>) -> TraceView<S> {
    TraceView(values: UnsafePointer(norms), width: 1, stride: 1, rowsPerStep: 1)
  }

  private func view(_ trace: CellTrace<S>, _ field: TraceField) -> TraceView<S>? {
    let rows = trace.rows
    guard frame.description.goBackwards || trace.isComplement else {
      return TraceView(
        values: UnsafePointer(rows.base + trace.first), width: trace.width, stride: rows.stride,
        rowsPerStep: frame.batch)
    }
    guard let count = try? Memory.product(frame.steps, frame.batch, trace.width),
      let copy = try? turned[field] ?? Buffer<S>(count: count)
    else { return nil }
    turned[field] = copy
    for step in 0..<frame.steps {
      for row in 0..<frame.batch {
        let from = rows.at(step, row) + trace.first
        let to = copy.pointer + (frame.time(step) * frame.batch + row) * trace.width
        for j in 0..<trace.width { to[j] = trace.isComplement ? 1 - from[j] : from[j] }
      }
    }
    return TraceView(
      values: UnsafePointer(copy.pointer), width: trace.width, stride: trace.width,
      rowsPerStep: frame.batch)
  }
}
