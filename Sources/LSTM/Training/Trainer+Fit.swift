/// The loop over epochs and batches.
extension Trainer {
  /// Trains until `options.epochs` epochs are finished, early stopping ends it, or `progress` returns
  /// false. Early stopping that restores the best weights does so at the end, whatever ended it but the
  /// callback. What a call leaves unfinished (also in the middle of an epoch, also after a checkpoint)
  /// the next call with the same data and options finishes, as if it had never stopped.
  ///
  /// - Parameters:
  ///   - validation: data to validate with; nil: the split, if there is one.
  ///   - progress: called after each batch and after each epoch.
  /// - Returns: whether training ended by itself.
  @discardableResult
  public func fit(
    _ data: TrainingData, validation: TrainingData? = nil, options fit: FitOptions,
    progress report: ((FitEvent) -> Bool)? = nil
  ) throws(EngineError) -> Bool {
    try fit.check()
    try data.check(for: network, losses: options.losses)
    var fit = fit
    // Sums with it must not overflow.
    fit.batchSize = min(fit.batchSize, data.count)
    let held = validation == nil ? Int(Double(data.count) * fit.validationSplit) : 0
    let rows = data.count - held
    guard rows > 0, progress.row <= rows else {
      throw EngineError(
        .shape,
        "there are \(rows) rows to train on, \(progress.row) of the epoch were trained on before")
    }
    let order = try Buffer<Int>(count: data.count)
    for row in 0..<data.count { order.pointer[row] = row }
    // Had beforehand, so that no epoch ends halfway.
    let room =
      fit.earlyStopping?.restoresBest == true && bestWeights == nil
      ? try Buffer<S>(count: network.values.count) : nil
    let heldRows = UnsafeBufferPointer(rebasing: order.elements[rows...])

    let firstEpoch = progress.epoch
    while progress.epoch < fit.epochs && !progress.isStopped {
      shuffle(order.pointer, rows, fit.shuffles)
      let goesOn = try epoch(
        data, UnsafeBufferPointer(rebasing: order.elements[..<rows]), fit, report)
      guard goesOn else { return false }
      var result: Evaluation?
      if let validation {
        result = try evaluate(validation, batchSize: fit.batchSize)
      } else if held > 0 {
        result = try evaluate(data, rows: heldRows, batchSize: fit.batchSize)
      }
      let event = endEpoch(rows: rows, batchSize: fit.batchSize, result, fit, room)
      if let report, !report(event) { return false }
    }
    if progress.epoch > firstEpoch, fit.earlyStopping?.restoresBest == true { restoreBest() }
    return true
  }

  /// Rows in the order of the present epoch (Fisher & Yates 1938).
  private func shuffle(_ order: UnsafeMutablePointer<Int>, _ count: Int, _ shuffles: Bool) {
    for row in 0..<count { order[row] = row }
    guard shuffles else { return }
    let key = RandomGenerator.derive(options.seed ^ 0x5348_5546_464C_4531, progress.epoch)
    for last in Swift.stride(from: count - 1, to: 0, by: -1) {
      let other = Int(RandomGenerator.uniform(key: key, index: last) * Double(last + 1))
      let row = order[last]
      order[last] = order[other]
      order[other] = row
    }
  }

  /// What remains of the present epoch.
  ///
  /// - Returns: false if the callback asked to stop.
  private func epoch(
    _ data: TrainingData, _ rows: UnsafeBufferPointer<Int>, _ fit: FitOptions,
    _ report: ((FitEvent) -> Bool)?
  ) throws(EngineError) -> Bool {
    while progress.row < rows.count {
      let end = min(progress.row + fit.batchSize, rows.count)
      let batch = TrainingBatch(
        data: data, rows: UnsafeBufferPointer(rebasing: rows[progress.row..<end]))
      let rate = learningRate
      let result = try step(batch)
      progress.lossSum += result.loss * Double(batch.rows.count)
      progress.tally.add(result.tally)
      progress.row = end
      guard let report else { continue }
      var event = event(rows: rows.count, batchSize: fit.batchSize)
      event.gradientNorm = result.gradientNorm
      event.learningRate = rate
      if !report(event) { return false }
    }
    return true
  }

  private func event(rows: Int, batchSize: Int) -> FitEvent {
    FitEvent(
      epoch: progress.epoch, batch: (progress.row + batchSize - 1) / batchSize,
      batchCount: (rows + batchSize - 1) / batchSize, isEndOfEpoch: false, step: progress.step,
      loss: progress.lossSum / Double(max(progress.row, 1)), metrics: means(progress.tally),
      gradientNorm: .nan, learningRate: learningRate, validation: nil)
  }

  /// Writes the history, looks whether training still gets on, and begins the next epoch.
  private func endEpoch(
    rows: Int, batchSize: Int, _ validation: Evaluation?, _ fit: FitOptions, _ room: Buffer<S>?
  ) -> FitEvent {
    var event = event(rows: rows, batchSize: batchSize)
    event.isEndOfEpoch = true
    event.validation = validation
    history.append("loss", event.loss)
    for (metric, value) in zip(options.metrics, event.metrics) {
      history.append(metric.name, value)
    }
    if let validation {
      history.append("val_loss", validation.loss)
      for (metric, value) in zip(options.metrics, validation.metrics) {
        history.append("val_" + metric.name, value)
      }
    }
    history.append("learning_rate", event.learningRate)
    let monitored = validation?.loss ?? event.loss
    adaptLearningRate(monitored)
    if let stopping = fit.earlyStopping { stopEarly(monitored, stopping, room) }
    progress.epoch += 1
    progress.row = 0
    progress.lossSum = 0
    progress.tally = newTally()
    return event
  }

  private func adaptLearningRate(_ monitored: Double) {
    guard
      case .reduceOnPlateau(let factor, let patience, let delta, let cooldown, _) =
        options.schedule.kind,
      progress.plateau.reduces(monitored, patience: patience, delta: delta, cooldown: cooldown)
    else { return }
    progress.plateauFactor *= factor
  }

  private func stopEarly(
    _ monitored: Double, _ stopping: FitOptions.EarlyStopping, _ room: Buffer<S>?
  ) {
    if progress.stopping.improves(monitored, by: stopping.minimumDelta) {
      progress.bestEpoch = progress.epoch
      guard stopping.restoresBest else { return }
      if bestWeights == nil { bestWeights = room }
      bestWeights?.pointer.update(from: network.values.pointer, count: network.values.count)
      return
    }
    guard progress.stopping.wait > max(stopping.patience - 1, 0) else { return }
    progress.isStopped = true
  }

  /// The weights of the best epoch, if there is one.
  private func restoreBest() {
    guard let bestWeights else { return }
    network.values.pointer.update(from: bestWeights.pointer, count: bestWeights.count)
    network.parametersChanged()
  }

  // MARK: Evaluation

  /// Loss and metrics of data in inference: no dropout, moving statistics. The loss is the mean of
  /// the batches' losses, weighted by their rows.
  public func evaluate(
    _ data: TrainingData, batchSize: Int = 32
  ) throws(EngineError) -> Evaluation {
    try data.check(for: network, losses: options.losses)
    guard batchSize >= 1 else {
      throw EngineError(.invalidArgument, "batch size must be at least 1, got \(batchSize)")
    }
    return try withAllRows(data) { (batch) throws(EngineError) in
      try evaluate(data, rows: batch.rows, batchSize: min(batchSize, data.count))
    }
  }

  private func evaluate(
    _ data: TrainingData, rows: UnsafeBufferPointer<Int>, batchSize: Int
  ) throws(EngineError) -> Evaluation {
    let weights = try network.weights()
    let mode = ExecutionMode(takesMask: data.takesMask)
    var run: TrainingRun<S>?
    var total = newTally()
    var lossSum = 0.0
    for first in Swift.stride(from: 0, to: rows.count, by: batchSize) {
      let batch = TrainingBatch(
        data: data,
        rows: UnsafeBufferPointer(rebasing: rows[first..<min(first + batchSize, rows.count)]))
      if run?.fits(batch, mode: mode) != true {
        run = try TrainingRun(
          network: network, weights: weights, options: options, batch: batch.rows.count,
          times: batch.times, mode: mode, gradients: nil)
      }
      guard let run else { continue }
      try run.load(batch)
      run.execution.resetStates()
      run.execution.forward()
      var tally = newTally()
      try run.countPositions(into: &tally)
      run.evaluate(into: &tally, metrics: options.metrics)
      lossSum += tally.loss(weights: options.lossWeights) * Double(batch.rows.count)
      total.add(tally)
    }
    return Evaluation(loss: lossSum / Double(max(rows.count, 1)), metrics: means(total))
  }
}
