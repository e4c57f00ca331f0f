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
  private let hiddenTrace: StepRows<S>?
  private let hiddenNorms: UnsafeMutablePointer<S>?
  private let cellNorms: UnsafeMutablePointer<S>?
  private let learned: [UnsafeMutablePointer<S>?]
  private let learnedGradients: [UnsafeMutablePointer<S>?]
  /// Copies of fields in the order of time, for a direction that goes backwards.
  private var turned: [TraceField: Buffer<S>] = [:]
  /// What the threads are to do, while a pass runs.
  private var job = Job.forward(.hold, byUnits: false)

  private enum Job {
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
  private var allRows: Range<Int> { 0..<frame.batch }

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
      walkBack(part, parts, maskedOutput, gradient, byUnits: byUnits)
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
  private func walk(_ steps: Range<Int>, _ part: Range<Int>, _ maskedOutput: MaskedOutput) {
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

  /// All rows of some steps, of a sequence without a mask.
  func walkAllRows(_ steps: Range<Int>) { walk(steps, allRows, .hold) }

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
  private func emitsHidden(_ step: Int, _ row: Int, _ maskedOutput: MaskedOutput) -> Bool {
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

  private func returnsLastValid(_ row: Int) -> Bool {
    guard let firstValid = frame.firstValid else { return frame.steps > 0 }
    guard Int(firstValid[row]) < frame.steps else { return false }
    let zeroes =
      frame.plan.context.maskedOutput == nil && frame.description.maskedOutput == .zero
    return !zeroes || frame.isValid(frame.steps - 1, row)
  }

  // MARK: Backward

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  func backward(_ maskedOutput: MaskedOutput, learnsStates: Bool) {
    guard let gradient = beginBackward() else { return }
    var parts = 1
    var byUnits = false
    switch split {
    case .none: break
    case .rows(let most): parts = most
    case .units(let most):
      parts = most
      byUnits = cell.backwardUnit > 0 && hiddenTrace == nil
    }
    job = .backward(maskedOutput, gradient, byUnits: byUnits)
    performInParallel(min(parts, cell.backwardParts))
    endBackward(learnsStates: learnsStates)
  }

  /// After the first step.
  func endBackward(learnsStates: Bool) {
    recordNorms()
    if learnsStates { addLearnedGradients() }
  }

  /// One thread's way back: its rows (or units) through a block of steps, then, after all have met, its share of
  /// the sums over that block.
  private func walkBack(
    _ part: Int, _ parts: Int, _ maskedOutput: MaskedOutput, _ gradient: StateGradients<S>,
    byUnits: Bool
  ) {
    let rows = ParallelKernels.share(frame.batch, unit: 1, part, parts)
    let length = frame.sums.block
    var end = frame.steps
    while end > 0 {
      let block = (end - 1) / length * length..<end
      frame.beginInputGradient(block, rows)
      if byUnits {
        stepsBackTogether(block, part, parts, maskedOutput, gradient)
      } else {
        stepsBack(block, rows, maskedOutput, gradient)
      }
      ThreadPool.shared.synchronize(parts)
      cell.finishBackward(block, part: part, of: parts)
      ThreadPool.shared.synchronize(parts)
      frame.finishInputGradient(block, rows)
      end = block.lowerBound
    }
  }

  /// All rows of some steps, without a mask: whole blocks of the sums, or any steps if these descend.
  func walkAllRowsBack(_ steps: Range<Int>, _ gradient: StateGradients<S>) {
    let length = frame.sums.block
    var end = steps.upperBound
    while end > steps.lowerBound {
      let block = max((end - 1) / length * length, steps.lowerBound)..<end
      frame.beginInputGradient(block, allRows)
      stepsBack(block, allRows, .hold, gradient)
      cell.finishBackward(block, part: 0, of: 1)
      frame.finishInputGradient(block, allRows)
      end = block.lowerBound
    }
  }

  private func stepsBack(
    _ block: Range<Int>, _ rows: Range<Int>, _ maskedOutput: MaskedOutput,
    _ gradient: StateGradients<S>
  ) {
    let width = frame.description.cell.outputWidth
    for step in block.reversed() {
      addOutputGradient(step, rows, 0..<width, maskedOutput, gradient)
      recordHidden(step, rows, gradient)
      frame.forEachValidRun(step, rows) { cell.backward(step, $0, gradient) }
      guard frame.hasMask else { continue }
      for row in rows where !frame.isValid(step, row) { cell.skipBackward(step, row, gradient) }
    }
  }

  /// The thread's units of all rows, none of which is masked. A thread sends back to its own units only, so that
  /// the threads meet once in a step.
  private func stepsBackTogether(
    _ block: Range<Int>, _ part: Int, _ parts: Int, _ maskedOutput: MaskedOutput,
    _ gradient: StateGradients<S>
  ) {
    let units = ParallelKernels.share(
      frame.description.cell.units, unit: cell.backwardUnit, part, parts)
    for step in block.reversed() {
      addOutputGradient(step, allRows, units, maskedOutput, gradient)
      cell.backwardUnits(step, units, gradient)
      ThreadPool.shared.synchronize(parts)
      cell.sendToHiddenUnits(step, units, gradient)
    }
  }

  /// The gradients of the final states become the running ones; those end as the initial states'.
  func beginBackward() -> StateGradients<S>? {
    var running: [UnsafeMutablePointer<S>] = []
    for slot in frame.states {
      guard let from = slot.finalGradient, let to = slot.initialGradient else { return nil }
      to.update(from: from, count: frame.batch * slot.stride)
      running.append(to)
    }
    let gradient = StateGradients(
      hidden: running[0], hiddenStride: frame.states[0].stride,
      cell: running.count > 1 ? running[1] : nil,
      cellStride: running.count > 1 ? frame.states[1].stride : 0)
    if !frame.description.returnSequences { addLastOutputGradient(gradient) }
    return gradient
  }

  /// dL/dh(t) += dL/doutput(t), for some units.
  private func addOutputGradient(
    _ step: Int, _ rows: Range<Int>, _ units: Range<Int>, _ maskedOutput: MaskedOutput,
    _ gradient: StateGradients<S>
  ) {
    guard let outputGradient, frame.description.returnSequences else { return }
    let first = units.lowerBound
    for row in rows where emitsHidden(step, row, maskedOutput) {
      S.add(
        units.count, outputGradient + (step * frame.batch + row) * outputStride + first,
        to: gradient.hidden + row * gradient.hiddenStride + first)
    }
  }

  private func addLastOutputGradient(_ gradient: StateGradients<S>) {
    guard let outputGradient else { return }
    let width = frame.description.cell.outputWidth
    for row in 0..<frame.batch where returnsLastValid(row) {
      let from = outputGradient + row * outputStride
      let to = gradient.hidden + row * gradient.hiddenStride
      for j in 0..<width { to[j] += from[j] }
    }
  }

  private func addLearnedGradients() {
    for (index, slot) in frame.states.enumerated() {
      guard let sum = learnedGradients[index], let gradient = slot.initialGradient else { continue }
      for row in 0..<frame.batch {
        let from = gradient + row * slot.stride
        for j in 0..<slot.width { sum[j] += from[j] }
      }
    }
  }

  private func recordHidden(_ step: Int, _ rows: Range<Int>, _ gradient: StateGradients<S>) {
    guard let hiddenTrace else { return }
    let first = rows.lowerBound
    hiddenTrace.at(step, first).update(
      from: gradient.hidden + first * gradient.hiddenStride,
      count: rows.count * hiddenTrace.stride)
  }

  /// The norms of dL/dh(t) and dL/dc(t) over the rows of each step.
  private func recordNorms() {
    guard let hiddenTrace, let hiddenNorms, let cellNorms else { return }
    let cellTrace = cell.trace(.cellDelta)
    for step in 0..<frame.steps {
      let time = frame.time(step)
      hiddenNorms[time] = norm(hiddenTrace, step, frame.description.cell.outputWidth)
      if let cellTrace { cellNorms[time] = norm(cellTrace.rows, step, cellTrace.width) }
    }
  }

  private func norm(_ rows: StepRows<S>, _ step: Int, _ width: Int) -> S {
    var sum = 0.0
    for row in 0..<frame.batch {
      let values = rows.at(step, row)
      for j in 0..<width { sum += Double(values[j]) * Double(values[j]) }
    }
    return S(sum.squareRoot())
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
