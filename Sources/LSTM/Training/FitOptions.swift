/// How often, in what portions, and how long the data are gone through.
public struct FitOptions: Equatable, Sendable {
  /// Stops when what is monitored has not fallen by more than `minimumDelta` for `patience` epochs.
  public struct EarlyStopping: Equatable, Sendable {
    public var patience: Int
    public var minimumDelta: Double
    /// The weights of the best epoch are those that remain.
    public var restoresBest: Bool

    public init(patience: Int = 0, minimumDelta: Double = 0, restoresBest: Bool = true) {
      self.patience = patience
      self.minimumDelta = minimumDelta
      self.restoresBest = restoresBest
    }
  }

  /// Epochs that the trainer shall have finished, those of earlier calls (and of a checkpoint)
  /// included.
  public var epochs = 1
  public var batchSize = 32
  /// A new order for each epoch, a function of the options' seed and the epoch.
  public var shuffles = true
  /// Share of the rows, the last ones, that is not trained on but validated with.
  public var validationSplit = 0.0
  public var earlyStopping: EarlyStopping?

  public init() {}

  func check() throws(EngineError) {
    func require(_ holds: Bool, _ what: String) throws(EngineError) {
      guard holds else { throw EngineError(.invalidArgument, what) }
    }
    try require(epochs >= 0, "epochs must not be negative, got \(epochs)")
    try require(batchSize >= 1, "batch size must be at least 1, got \(batchSize)")
    try require(
      validationSplit >= 0 && validationSplit < 1,
      "validation split must be at least 0 and less than 1, got \(validationSplit)")
    guard let earlyStopping else { return }
    try require(
      earlyStopping.patience >= 0 && earlyStopping.minimumDelta >= 0,
      "early stopping: patience and minimum delta must not be negative")
  }
}

/// What a callback hears after each batch, and after each epoch.
public struct FitEvent: Sendable {
  /// Index of the epoch, from 0.
  public var epoch: Int
  /// Batches done, and all, of this epoch.
  public var batch: Int
  public var batchCount: Int
  public var isEndOfEpoch: Bool
  /// Steps of the optimiser made.
  public var step: Int
  /// Means over the epoch so far.
  public var loss: Double
  public var metrics: [Double]
  public var gradientNorm: Double
  public var learningRate: Double
  /// At the end of an epoch, if there are validation data.
  public var validation: Evaluation?
}

/// Loss and metrics of data in inference.
public struct Evaluation: Equatable, Sendable {
  public var loss: Double
  public var metrics: [Double]
}
