/// Trains one network: holds the gradients, what the optimiser remembers, and the memory of a step.
///
/// Nothing else may use the network during a call. Everything is a function of the network, the
/// options and the data, to the last bit, at any number of threads.
public final class Trainer<S: Scalar> {
  public let network: Network<S>
  public let options: TrainingOptions
  /// dL/dparameters of the last step, laid out as the network's parameters; what lies between
  /// parameters is zero.
  public let gradients: Buffer<S>
  public var progress: TrainingProgress
  /// The optimiser's learning rate, before the schedule.
  public var baseLearningRate: Double
  public internal(set) var history = TrainingHistory()
  /// Hears the gradients of every update before anything is done with them, and may change them; false: no update.
  public var gradientHook: ((UnsafeMutableRawBufferPointer) -> Bool)?

  let optimizer: OptimizerState<S>
  let weights: WeightSnapshot<S>
  /// By parameter.
  private(set) var isTrainable: [Bool]
  /// Weights at the end of the best epoch, if early stopping wants them.
  var bestWeights: Buffer<S>?
  private var runs: [TrainingRun<S>] = []
  var segments: SegmentStates<S>?
  var traces: EligibilityTraces<S>?

  public init(_ network: Network<S>, _ options: TrainingOptions) throws(EngineError) {
    self.network = network
    self.options = try options.completed(outputs: network.outputShapes.count)
    gradients = try Buffer(count: network.values.count)
    optimizer = try OptimizerState(options.optimizer, count: network.values.count)
    weights = try WeightSnapshot(network: network, forTraining: true)
    isTrainable = network.parameters.map(\.isTrainable)
    progress = TrainingProgress(tally: Tally(outputs: 0, metrics: 0))
    baseLearningRate = options.optimizer.learningRate
    progress.tally = newTally()
    if self.options.segment > 0 || self.options.truncation != nil { try checkSegments() }
  }

  func newTally() -> Tally {
    Tally(outputs: network.outputShapes.count, metrics: options.metrics.count)
  }

  /// The rate of the next step.
  public var learningRate: Double {
    let factor = options.schedule.factor(step: progress.step, epoch: progress.epoch)
    let rate = baseLearningRate * factor * progress.plateauFactor
    if case .reduceOnPlateau(_, _, _, _, let minimum) = options.schedule.kind {
      return max(rate, min(minimum, baseLearningRate * factor))
    }
    return rate
  }

  /// Freezes (or frees) all parameters whose name is `name` or begins with `name/`. Statistics stay
  /// frozen.
  public func setTrainable(_ name: String, _ value: Bool) throws(EngineError) {
    var found = false
    for (index, parameter) in network.parameters.enumerated()
    where parameter.name == name || parameter.name.hasPrefix(name + "/") {
      found = true
      isTrainable[index] = value && parameter.isTrainable
    }
    guard found else {
      throw EngineError(.notFound, "the network has no layer or parameter '\(name)'")
    }
  }

  // MARK: Steps

  /// One step of the optimiser (with truncation several) for all rows of `data`.
  public func step(_ data: TrainingData) throws(EngineError) -> StepResult {
    try data.check(for: network, losses: options.losses)
    return try withAllRows(data) { (batch) throws(EngineError) in try self.step(batch) }
  }

  func step(_ batch: TrainingBatch) throws(EngineError) -> StepResult {
    if let truncation = options.truncation { return try truncatedStep(batch, truncation) }
    var result = try computeGradients(batch, accumulates: false)
    let update = try applyGradients()
    result.loss += update.penalty
    result.gradientNorm = update.gradientNorm
    return result
  }

  /// The first half of a step: gradients of the loss, without penalties, into (or, accumulating,
  /// added to) `gradients`.
  public func computeGradients(
    _ data: TrainingData, accumulates: Bool = false
  ) throws(EngineError) -> StepResult {
    try data.check(for: network, losses: options.losses)
    guard options.truncation == nil else {
      throw EngineError(.state, "with truncation gradients can only be applied at once: use step")
    }
    return try withAllRows(data) { (batch) throws(EngineError) in
      try self.computeGradients(batch, accumulates: accumulates)
    }
  }

  func computeGradients(
    _ batch: TrainingBatch, accumulates: Bool
  ) throws(EngineError) -> StepResult {
    weights.refresh(from: network)
    if !accumulates { gradients.zero() }
    let rows = batch.rows.count
    let part = options.microBatch == 0 ? rows : min(options.microBatch, rows)
    var tally = newTally()
    var loss = 0.0
    for first in Swift.stride(from: 0, to: rows, by: max(part, 1)) {
      let range = first..<min(first + part, rows)
      let share = Double(range.count) / Double(rows)
      let micro = TrainingBatch(
        data: batch.data, rows: UnsafeBufferPointer(rebasing: batch.rows[range]), steps: nil)
      let key = first == 0 ? stepKey : RandomGenerator.derive(stepKey, first)
      var partTally = newTally()
      if options.segment > 0 && micro.times.allSatisfy({ $0 > options.segment }) {
        try segmentedPass(micro, key: key, share: share, tally: &partTally)
      } else {
        try pass(micro, key: key, share: share, tally: &partTally)
      }
      loss += share * partTally.loss(weights: options.lossWeights)
      tally.add(partTally)
    }
    return StepResult(
      step: progress.step, loss: loss, gradientNorm: .nan, metrics: means(tally), tally: tally)
  }

  /// Source of the randomness of the next step.
  var stepKey: UInt64 { RandomGenerator.derive(options.seed, progress.step) }

  /// Forwards and backwards over whole sequences.
  private func pass(
    _ batch: TrainingBatch, key: UInt64, share: Double, tally: inout Tally
  ) throws(EngineError) {
    let run = try run(for: batch)
    let execution = run.execution
    try run.load(batch)
    try network.setInitialStates(of: execution, ForwardOptions())
    execution.context.isTraining = true
    execution.context.randomKey = key
    execution.context.firstStep = 0
    execution.forward()
    try run.countPositions(into: &tally)
    run.evaluate(
      into: &tally, metrics: options.metrics, weights: options.lossWeights, counts: tally.counts,
      share: share)
    try checkLoss(tally, run)
    execution.backward()
    if network.isStateful { try network.carryStates(of: execution) }
    execution.updateStatistics()
  }

  /// A run for the batch's shape: a kept one, or a new one.
  func run(for batch: TrainingBatch) throws(EngineError) -> TrainingRun<S> {
    let mode = ExecutionMode(keepsForBackward: true, takesMask: batch.data.takesMask)
    if let index = runs.firstIndex(where: { $0.fits(batch, mode: mode) }) {
      if index > 0 { runs.swapAt(0, index) }
      return runs[0]
    }
    // Kept are those for whole batches and for the last, smaller one; of each two if they come in
    // segments, of which the last may be shorter.
    let kept = options.segment > 0 || options.truncation != nil ? 4 : 2
    if runs.count >= kept { runs.removeLast() }
    let run = try TrainingRun(
      network: network, weights: weights, options: options, batch: batch.rows.count,
      times: batch.times, mode: mode, gradients: gradients.pointer)
    runs.insert(run, at: 0)
    return run
  }

  func withAllRows<Result>(
    _ data: TrainingData,
    _ body: (TrainingBatch) throws(EngineError) -> Result
  ) throws(EngineError) -> Result {
    let rows = try Buffer<Int>(count: data.count)
    for row in 0..<data.count { rows.pointer[row] = row }
    return try body(TrainingBatch(data: data, rows: UnsafeBufferPointer(rows.elements)))
  }

  func means(_ tally: Tally) -> [Double] {
    tally.metricSums.map { $0 / Double(max(tally.positions, 1)) }
  }

  func checkLoss(_ tally: Tally, _ run: TrainingRun<S>) throws(EngineError) {
    let loss = tally.loss(weights: options.lossWeights)
    guard !loss.isFinite else { return }
    restoreWeights()
    let origin = run.firstNonFinite() ?? "the targets or sample weights"
    throw EngineError(
      .numeric,
      "step \(progress.step): the loss is \(loss); the first value that is not finite is in \(origin)"
    )
  }

  /// Back to the weights from before the step.
  func restoreWeights() {
    network.values.pointer.update(from: weights.parameters.pointer, count: network.values.count)
    network.parametersChanged()
  }
}

/// What a step of training tells.
public struct StepResult: Sendable {
  /// Number of the step, from 0.
  public var step: Int
  /// Of the batch before the step, penalties included.
  public var loss: Double
  /// Euclidean norm over all trainable parameters before clipping.
  public var gradientNorm: Double
  /// In the order of the options.
  public var metrics: [Double]
  var tally: Tally
}

extension Tally {
  mutating func add(_ other: Tally) {
    for index in lossSums.indices { lossSums[index] += other.lossSums[index] }
    for index in counts.indices { counts[index] += other.counts[index] }
    for index in metricSums.indices { metricSums[index] += other.metricSums[index] }
  }
}
