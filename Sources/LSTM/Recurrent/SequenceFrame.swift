/// One direction of a recurrent layer bound to memory: sizes, input rows, state histories and masks.
///
/// Everything is in processing order: step 0 is the first that the cell sees, which is the last of
/// the sequence for a layer that goes backwards.
final class SequenceFrame<S: Scalar> {
  let description: RecurrentDescription
  let plan: ExecutionPlan<S>
  let batch: Int
  let steps: Int
  let sums: SumOrder
  let inputWidth: Int
  let keeps: Bool
  let recordsFlow: Bool
  /// Distinguishes this direction's random numbers from those of others.
  let purpose: Int

  /// The layer's input and its own copy in processing order, if it needs one.
  private let source: Signal<S>
  /// What is read instead of `source.values`.
  var borrowed: BorrowedRows<S>?
  private let ownInput: StepRows<S>?
  private let inputMask: StepRows<S>?
  private let ownInputGradient: StepRows<S>?
  /// What the way back sends to the input waits for `finishInputGradient()`, while another direction adds to it.
  var defersInputGradient = false

  /// (h) or (h, c).
  let states: [StateSlot<S>]
  /// h(s) and c(s), with the initial states at step -1.
  let hidden: StepRows<S>
  let cell: StepRows<S>?
  /// First valid step of each row, `steps` if it has none; nil: all steps are valid.
  let firstValid: UnsafeMutablePointer<Int32>?

  /// - Parameter follows: another direction reads the same input, and its gradient comes first.
  init(
    _ description: RecurrentDescription, source: Signal<S>, purpose: Int, follows: Bool,
    plan: ExecutionPlan<S>
  ) throws(EngineError) {
    self.description = description
    self.plan = plan
    self.source = source
    self.purpose = purpose
    batch = source.batch
    steps = source.time
    sums = SumOrder(batch: batch, steps: steps)
    inputWidth = source.width
    keeps = plan.mode.keepsForBackward
    recordsFlow = keeps && plan.mode.recordsGradientFlow

    let turnsRound = description.goBackwards && steps > 1
    let drops = description.dropout > 0
    func rows(_ width: Int, _ period: Int) throws(EngineError) -> StepRows<S> {
      try StepRows(plan, batch: source.batch, width: width, period: period)
    }
    ownInput = turnsRound || drops ? try rows(inputWidth, steps) : nil
    inputMask = drops ? try rows(inputWidth, 1) : nil
    let defers = follows && turnsRound && ThreadPool.shared.limit > 1
    ownInputGradient =
      keeps && (turnsRound || drops)
      ? try rows(inputWidth, defers ? steps : sums.block) : nil

    var slots: [StateSlot<S>] = []
    var histories: [StepRows<S>] = []
    // Without a mask the rows of h are the layer's output as well, so all of them are kept.
    let keepsHidden = keeps || (description.returnSequences && source.mask == nil)
    for (index, width) in description.cell.stateWidths.enumerated() {
      let slot = try plan.state(batch: batch, width: width)
      let keepsAll = index == 0 ? keepsHidden : keeps
      slots.append(slot)
      if steps == 1 {
        // A step writes its final state in place.
        histories.append(
          StepRows(
            base: slot.final, stride: slot.stride, batch: batch, period: 1, initial: slot.initial))
      } else {
        var history = try StepRows(
          plan, batch: batch, width: width, period: keepsAll ? steps : 2, isWritten: true)
        history.initial = slot.initial
        if index == 0 { try history.becomeMovable(plan) }
        histories.append(history)
      }
    }
    states = slots
    hidden = histories[0]
    cell = histories.count > 1 ? histories[1] : nil
    firstValid = source.mask == nil ? nil : try plan.arena.allocate(count: batch)
  }

  /// The rows of h are all kept, and are what the layer returns for each step.
  var hiddenIsOutput: Bool {
    source.mask == nil && (steps == 1 || description.returnSequences)
  }

  /// For one pass the rows of h, whole vectors each, are the caller's, if no later pass needs them; nil: this execution's
  /// again. Says whether they are the caller's.
  func returnHidden(in rows: BorrowedRows<S>?) -> Bool {
    guard let rows else {
      hidden.move(to: nil)
      return false
    }
    guard hiddenIsOutput, !keeps, steps > 1, rows.stride == hidden.stride,
      rows.stride == description.cell.outputWidth
    else { return false }
    hidden.move(to: rows.values)
    return true
  }

  /// The time of a step.
  @inline(__always)
  func time(_ step: Int) -> Int { description.goBackwards ? steps - 1 - step : step }

  /// Where a step's mask is.
  @inline(__always)
  private func maskTime(_ step: Int) -> Int {
    description.readsMaskBackwards ? steps - 1 - time(step) : time(step)
  }

  @inline(__always)
  func isValid(_ step: Int, _ row: Int) -> Bool {
    guard let mask = source.mask else { return true }
    return mask[maskTime(step) * batch + row] != 0
  }

  var hasMask: Bool { source.mask != nil }

  /// A block of steps can be computed as soon as its inputs are there, and those above can read it.
  var canWalkInBlocks: Bool { steps > 1 && !hasMask }
  /// x is read where the layer below leaves it, step by step in its order.
  var readsSourceInPlace: Bool { ownInput == nil }

  /// Calls `body` with each run of neighbouring valid rows of a step.
  @inline(__always)
  func forEachValidRun(_ step: Int, _ rows: Range<Int>, _ body: (Range<Int>) -> Void) {
    guard let mask = source.mask else {
      body(rows)
      return
    }
    let valid = mask + maskTime(step) * batch
    var row = rows.lowerBound
    while row < rows.upperBound {
      while row < rows.upperBound, valid[row] == 0 { row += 1 }
      let first = row
      while row < rows.upperBound, valid[row] != 0 { row += 1 }
      if first < row { body(first..<row) }
    }
  }

  // MARK: Input

  var inputStride: Int { ownInput?.stride ?? sourceStride }
  private var sourceStride: Int { borrowed?.stride ?? source.stride }

  /// The layer's input at a time, first row.
  @inline(__always)
  private func source(_ time: Int) -> UnsafeMutablePointer<S> {
    (borrowed?.values ?? source.values) + time * batch * sourceStride
  }

  /// x of a step, first row.
  @inline(__always)
  func input(_ step: Int) -> UnsafeMutablePointer<S> {
    ownInput?.at(step) ?? source(step)
  }

  var inputGradientStride: Int { ownInputGradient?.stride ?? source.stride }

  /// dL/dx of a step, to be added to.
  @inline(__always)
  func inputGradient(_ step: Int) -> UnsafeMutablePointer<S>? {
    ownInputGradient?.at(step) ?? source.gradient.map { $0 + step * batch * source.stride }
  }

  /// Another direction may add to the input's gradient until this one finishes.
  var canDeferInputGradient: Bool {
    guard let own = ownInputGradient else { return false }
    return own.period >= steps
  }

  func key(_ use: RandomUse) -> UInt64 {
    RandomGenerator.derive(
      RandomGenerator.derive(plan.context.randomKey, purpose), use.rawValue)
  }

  enum RandomUse: Int { case input, recurrent, zoneoutCell, zoneoutHidden }

  /// Before the first step: copies the input if it has to be turned round or loses features, and
  /// finds each row's first valid step.
  func prepareForward() {
    findFirstValid()
    guard let ownInput else { return }
    let dropMask = plan.context.isTraining ? inputMask : nil
    if let dropMask {
      for row in 0..<batch {
        drawMask(
          dropMask.at(0, row), count: inputWidth, rate: description.dropout, key: key(.input),
          first: row * inputWidth)
      }
    }
    for step in 0..<steps {
      let from = source(time(step))
      let to = ownInput.at(step)
      for row in 0..<batch {
        (to + row * ownInput.stride).update(from: from + row * sourceStride, count: inputWidth)
      }
      guard let dropMask else { continue }
      multiply(to, dropMask.base, batch * source.stride)
    }
  }

  private func findFirstValid() {
    guard let firstValid else { return }
    for row in 0..<batch {
      var step = 0
      while step < steps, !isValid(step, row) { step += 1 }
      firstValid[row] = Int32(clamping: step)
    }
  }

  private func multiply(
    _ x: UnsafeMutablePointer<S>, _ factor: UnsafeMutablePointer<S>, _ count: Int
  ) {
    for i in 0..<count { x[i] *= factor[i] }
  }

  /// Before a block of steps goes backwards.
  func beginInputGradient(_ block: Range<Int>, _ rows: Range<Int>) {
    guard let own = ownInputGradient else { return }
    for step in block {
      own.at(step, rows.lowerBound).update(repeating: 0, count: rows.count * own.stride)
    }
  }

  /// After a block of steps went backwards: adds what it sent to its input.
  func finishInputGradient(_ block: Range<Int>, _ rows: Range<Int>) {
    if !defersInputGradient { addOwnInputGradient(block, rows) }
  }

  /// The same for all steps after all that come first, where it was deferred.
  func finishInputGradient() {
    guard defersInputGradient else { return }
    defersInputGradient = false
    addOwnInputGradient(0..<steps, 0..<batch)
  }

  private func addOwnInputGradient(_ block: Range<Int>, _ rows: Range<Int>) {
    guard let own = ownInputGradient, let target = source.gradient else { return }
    let dropMask = plan.context.isTraining ? inputMask : nil
    let first = rows.lowerBound
    let count = rows.count * own.stride
    for step in block {
      let from = own.at(step, first)
      let to = target + (time(step) * batch + first) * source.stride
      if let dropMask { multiply(from, dropMask.at(0, first), count) }
      for i in 0..<count { to[i] += from[i] }
    }
  }
}
