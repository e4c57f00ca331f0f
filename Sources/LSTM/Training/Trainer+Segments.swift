/// Sequences in segments: with everything recomputed on the way back (less memory, the same
/// gradients), or with updates in between (truncated back-propagation).
extension Trainer {
  /// Whether the network can be cut in time, and the options allow it.
  func checkSegments() throws(EngineError) {
    for layer in network.layers {
      guard let layer, let obstacle = layer.obstacleToStreaming else { continue }
      throw EngineError(
        .unsupported, "training in segments: layer '\(layer.name)': \(obstacle)")
    }
    guard network.inputShapes.allSatisfy(\.hasTime) else {
      throw EngineError(.unsupported, "training in segments: an input has no time axis")
    }
    if options.truncation?.keepsTraces == true { _ = try TracedLayer(network) }
    guard options.segment > 0 else { return }
    for node in network.description.nodes {
      if case .batchNormalization = node.layer.kind, node.layer.isTrainable {
        throw EngineError(
          .unsupported,
          "training in segments: layer '\(node.layer.name)' needs the statistics of all steps")
      }
    }
  }

  private func check(_ batch: TrainingBatch) throws(EngineError) -> Int {
    guard let time = batch.times.first, batch.times.allSatisfy({ $0 == time }) else {
      throw EngineError(.shape, "training in segments: inputs differ in the number of steps")
    }
    guard !batch.data.takesMask || !lossIsAtTheEnd(batch.data, time) else {
      throw EngineError(
        .unsupported,
        "training in segments: lengths and masks need targets at every step of the sequence")
    }
    return time
  }

  /// An output has its loss at one step only.
  private func lossIsAtTheEnd(_ data: TrainingData, _ time: Int) -> Bool {
    zip(data.targets, network.outputShapes).contains { target, shape in
      !shape.hasTime || (target.time == 1 && time > 1)
    }
  }

  private func states(
    batch: Int, boundaries: Int
  ) throws(EngineError) -> SegmentStates<S> {
    if let segments, segments.batch == batch, segments.count == boundaries { return segments }
    segments = nil
    let made = try SegmentStates(network: network, batch: batch, count: boundaries)
    segments = made
    return made
  }

  /// Forward over all segments, of which only the states at the ends are kept, then backward.
  func segmentedPass(
    _ batch: TrainingBatch, key: UInt64, share: Double, tally: inout Tally
  ) throws(EngineError) {
    let parts = SegmentStates<S>.parts(try check(batch), every: options.segment)
    let states = try states(batch: batch.rows.count, boundaries: parts.count + 1)
    for (index, steps) in parts.enumerated() {
      let run = try forward(batch, steps, index, states, key: key)
      try run.countPositions(into: &tally)
      run.evaluate(into: &tally, metrics: options.metrics)
      try checkLoss(tally, run)
      states.storeFinal(run.execution, at: index + 1)
    }
    try backward(
      batch, parts[...], states, key: key, share: share, counts: tally.counts, isForwarded: true)
    try carry(batch, parts, states)
  }

  /// Stateful networks go on with the state at the end of the sequence. Not before everything else
  /// is done: until then the first segment may be computed again from the old one.
  private func carry(
    _ batch: TrainingBatch, _ parts: [Range<Int>], _ states: SegmentStates<S>
  ) throws(EngineError) {
    guard network.isStateful else { return }
    var part = batch
    part.steps = parts.last
    let execution = try run(for: part).execution
    states.setFinal(execution, from: parts.count)
    try network.carryStates(of: execution)
  }

  /// One segment forwards, from the state at its beginning.
  private func forward(
    _ batch: TrainingBatch, _ steps: Range<Int>, _ boundary: Int, _ states: SegmentStates<S>,
    key: UInt64
  ) throws(EngineError) -> TrainingRun<S> {
    var part = batch
    part.steps = steps
    let run = try run(for: part)
    let execution = run.execution
    try run.load(part)
    if steps.lowerBound == 0 {
      try network.setInitialStates(of: execution, ForwardOptions())
    } else {
      states.setInitial(execution, from: boundary)
    }
    execution.context.isTraining = true
    execution.context.randomKey = key
    execution.context.firstStep = steps.lowerBound
    execution.forward()
    return run
  }

  /// The segments backwards, the last first, each computed again from its stored state (the last
  /// not, if it is the one that was computed last). The loss is that of the segments that
  /// `lossParts` counts from the end; nil: of all.
  private func backward(
    _ batch: TrainingBatch, _ parts: ArraySlice<Range<Int>>, _ states: SegmentStates<S>,
    key: UInt64, share: Double, counts: [Int], isForwarded: Bool, lossParts: Int = .max
  ) throws(EngineError) {
    var ignored = newTally()
    for (distance, index) in parts.indices.reversed().enumerated() {
      var part = batch
      part.steps = parts[index]
      let isLast = distance == 0
      let run =
        isLast && isForwarded
        ? try self.run(for: part) : try forward(batch, parts[index], index, states, key: key)
      if !isLast { try run.countPositions(into: &ignored) }
      let weights =
        distance < lossParts ? options.lossWeights : options.lossWeights.map { _ in 0 }
      run.evaluate(into: &ignored, metrics: [], weights: weights, counts: counts, share: share)
      if !isLast { states.setFinalGradients(run.execution) }
      run.execution.backward()
      states.storeInitialGradients(run.execution)
    }
  }

  /// From nothing; in a stateful network on from where the last call ended, as the states.
  private func startTraces(_ rows: Int) throws(EngineError) -> EligibilityTraces<S>? {
    if traces?.batch != rows {
      traces = nil
      traces = try EligibilityTraces(network, batch: rows)
    } else if !network.isStateful || network.withCarriedStates({ $0 == nil }) {
      traces?.reset()
    }
    try traces?.place.checkFrozen(network) { isTrainable[$0] }
    return traces
  }

  /// The sequence in parts of `every` steps, with a step of the optimiser after each.
  func truncatedStep(
    _ batch: TrainingBatch, _ truncation: TrainingOptions.Truncation
  ) throws(EngineError) -> StepResult {
    let parts = SegmentStates<S>.parts(try check(batch), every: truncation.every)
    let window = truncation.through / truncation.every
    let traces = truncation.keepsTraces ? try startTraces(batch.rows.count) : nil
    var isComplete = false
    // A stateful network keeps its old states if the call fails; traces that have gone on would not fit them.
    defer { if !isComplete { self.traces = nil } }
    let states = try states(
      batch: batch.rows.count, boundaries: truncation.boundaries(parts.count))
    var tally = newTally()
    var penalties = 0.0
    var norm = 0.0
    for (index, steps) in parts.enumerated() {
      weights.refresh(from: network)
      gradients.zero()
      let key = stepKey
      var partTally = newTally()
      let run = try forward(batch, steps, index, states, key: key)
      try run.countPositions(into: &partTally)
      // Metrics and loss of the part, before its update.
      run.evaluate(into: &partTally, metrics: options.metrics)
      try checkLoss(partTally, run)
      states.storeFinal(run.execution, at: index + 1)
      tally.add(partTally)
      guard partTally.positions > 0 else {
        traces?.advance(run.execution)
        continue
      }
      run.execution.updateStatistics()
      try backward(
        batch, parts[max(index + 1 - window, 0)...index], states, key: key, share: 1,
        counts: partTally.counts, isForwarded: true, lossParts: 1)
      traces?.addGradients(run.execution, to: gradients.pointer)
      traces?.advance(run.execution)
      let update = try applyGradients()
      penalties = update.penalty
      norm = update.gradientNorm
    }
    try carry(batch, parts, states)
    isComplete = true
    return StepResult(
      step: max(progress.step - 1, 0), loss: tally.loss(weights: options.lossWeights) + penalties,
      gradientNorm: norm, metrics: means(tally), tally: tally)
  }
}

extension SegmentStates {
  /// Parts of `length` steps, the last of what remains; at least one, which may be empty.
  static func parts(_ time: Int, every length: Int) -> [Range<Int>] {
    guard time > 0 else { return [0..<0] }
    return stride(from: 0, to: time, by: length).map { $0..<min($0 + length, time) }
  }
}
