/// How a network is trained; fixed for the life of a trainer.
public struct TrainingOptions: Equatable, Sendable {
  /// Back-propagation through a limited number of steps (Williams & Peng 1990): after each `every`
  /// steps a step of the optimiser, for their loss, with error flowing back `through` steps. The
  /// state is carried along the whole sequence.
  public struct Truncation: Equatable, Sendable {
    public var every: Int
    /// A multiple of `every`.
    public var through: Int
    /// Error goes back beyond these steps, through the cells alone (``EligibilityTraces``).
    public var keepsTraces: Bool

    public init(every: Int, through: Int, keepsTraces: Bool = false) {
      self.every = every
      self.through = through
      self.keepsTraces = keepsTraces
    }

    /// Ends of parts whose states are needed at once, if there are `parts` of them.
    func boundaries(_ parts: Int) -> Int { min(parts, through / every) + 1 }
  }

  /// One for each output, or one for all.
  public var losses: [Loss]
  /// Factors of the outputs' losses; empty: 1.
  public var lossWeights: [Double] = []
  public var metrics: [Metric] = []
  public var optimizer = Optimizer.adam()
  public var schedule = LearningRateSchedule()
  /// Gradients are scaled by min(1, clipNorm / (norm + 1e-6)), of the norm over all of them.
  public var clipNorm: Double?
  /// Then each is clipped to [-clipValue, clipValue].
  public var clipValue: Double?
  /// The loss gains l1 Σ|w| + l2 Σw² over the trainable matrices (no biases, peepholes or scales).
  public var l1 = 0.0
  public var l2 = 0.0
  /// Factors of the losses by class; empty: 1.
  public var classWeights: [Double] = []
  /// Source of all randomness: shuffling, dropout.
  public var seed: UInt64 = 0
  /// Upper limit; the results do not depend on it.
  public var threads = 1
  /// Most rows that are computed at once: larger batches are computed in parts, whose gradients are
  /// added up. 0: no limit. The loss is the mean of the parts' losses, weighted by their rows.
  public var microBatch = 0
  /// Steps that are kept at once: of longer sequences only the states at the segments' ends are kept,
  /// and each segment is computed a second time on the way back. A multiple of 16; 0: everything
  /// is kept. The gradients are the same, bit for bit.
  public var segment = 0
  public var truncation: Truncation?

  public init(loss: Loss) { losses = [loss] }
  public init(losses: [Loss]) { self.losses = losses }

  /// With one loss and one weight for each output.
  func completed(outputs: Int) throws(EngineError) -> TrainingOptions {
    func require(
      _ holds: Bool, _ what: @autoclosure () -> String
    ) throws(EngineError) {
      guard holds else { throw EngineError(.invalidArgument, what()) }
    }
    var options = self
    if losses.count == 1 { options.losses = Array(repeating: losses[0], count: outputs) }
    try require(
      options.losses.count == outputs,
      "losses: the network has \(outputs) outputs, got \(losses.count)")
    if lossWeights.isEmpty { options.lossWeights = Array(repeating: 1, count: outputs) }
    try require(
      options.lossWeights.count == outputs && options.lossWeights.allSatisfy(\.isFinite),
      "loss weights: expected \(outputs) numbers, got \(lossWeights)")
    for loss in losses { try loss.check() }
    try optimizer.check()
    try schedule.check()
    try require(clipNorm.map { $0 > 0 } ?? true, "clip norm must be positive")
    try require(clipValue.map { $0 > 0 } ?? true, "clip value must be positive")
    try require(
      l1 >= 0 && l2 >= 0 && l1.isFinite && l2.isFinite, "l1 and l2 must not be negative")
    try require(
      classWeights.allSatisfy { $0.isFinite && $0 >= 0 }, "class weights must not be negative")
    try require(threads >= 1, "threads must be at least 1, got \(threads)")
    try require(microBatch >= 0, "micro-batch must not be negative, got \(microBatch)")
    try require(
      segment >= 0 && segment % WeightGradient<Float>.blockSteps == 0,
      "segment must be a multiple of \(WeightGradient<Float>.blockSteps) steps, got \(segment)")
    if let truncation {
      try require(
        truncation.every >= 1 && truncation.through >= truncation.every
          && truncation.through % truncation.every == 0,
        "truncation: steps to go back (\(truncation.through)) must be a multiple of the steps "
          + "between updates (\(truncation.every))")
      try require(
        !truncation.keepsTraces || truncation.through == truncation.every,
        "truncation: with eligibility traces error goes back to the beginning, not \(truncation.through) steps"
      )
      try require(segment == 0, "truncation and segments exclude each other")
      try require(microBatch == 0, "truncation and micro-batches exclude each other")
    }
    return options
  }
}
