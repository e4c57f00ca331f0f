/// Where training stands.
public struct TrainingProgress: Equatable, Sendable {
  /// Steps of the optimiser made.
  public var step = 0
  /// Epochs finished.
  public var epoch = 0
  /// Rows of the present epoch that were trained on.
  public var row = 0
  /// Sum over the rows of the present epoch of their batches' losses.
  var lossSum = 0.0
  /// Metrics of the present epoch.
  var tally: Tally
  /// What reducing the learning rate on plateaus has come to.
  public internal(set) var plateauFactor = 1.0
  var plateau = Plateau()
  var stopping = Plateau()
  /// Epoch of the best weights.
  public internal(set) var bestEpoch = -1
  /// Early stopping has ended the training.
  public internal(set) var isStopped = false

  init(tally: Tally) { self.tally = tally }
}

/// One value per epoch and name, in the order in which the names were first heard of.
public struct TrainingHistory: Equatable, Sendable {
  public private(set) var names: [String] = []
  public private(set) var values: [[Double]] = []

  public init() {}

  public subscript(name: String) -> [Double]? {
    names.firstIndex(of: name).map { values[$0] }
  }

  mutating func append(_ name: String, _ value: Double) { append(name, contentsOf: [value]) }

  mutating func append(_ name: String, contentsOf new: [Double]) {
    if let index = names.firstIndex(of: name) {
      values[index] += new
    } else {
      names.append(name)
      values.append(new)
    }
  }
}
