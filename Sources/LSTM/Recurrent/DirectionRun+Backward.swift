/// The way back through the sequence.
extension DirectionRun {
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

  /// One thread's way back over some steps: its rows (or units) through a block of them, then, after all have met, its
  /// share of the sums over that block. The steps are whole blocks, or any if the sums descend.
  func walkBack(
    _ steps: Range<Int>, _ part: Int, _ parts: Int, _ maskedOutput: MaskedOutput,
    _ gradient: StateGradients<S>, byUnits: Bool
  ) {
    let rows = ParallelKernels.share(frame.batch, unit: 1, part, parts)
    let length = frame.sums.block
    var end = steps.upperBound
    while end > steps.lowerBound {
      let block = max((end - 1) / length * length, steps.lowerBound)..<end
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
      cell.backwardUnits(step, allRows, units, gradient)
      ThreadPool.shared.synchronize(parts)
      cell.sendToHiddenUnits(step, allRows, units, gradient)
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
}
