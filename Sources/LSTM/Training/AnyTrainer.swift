/// A trainer of either number type, for callers that learn the type at run time.
public enum AnyTrainer {
  case float32(Trainer<Float>)
  case float64(Trainer<Double>)

  public init(_ network: AnyNetwork, _ options: TrainingOptions) throws(EngineError) {
    switch network {
    case .float32(let network): self = .float32(try Trainer(network, options))
    case .float64(let network): self = .float64(try Trainer(network, options))
    }
  }

  public var network: AnyNetwork {
    switch self {
    case .float32(let trainer): .float32(trainer.network)
    case .float64(let trainer): .float64(trainer.network)
    }
  }

  public var options: TrainingOptions {
    switch self {
    case .float32(let trainer): trainer.options
    case .float64(let trainer): trainer.options
    }
  }

  public var progress: TrainingProgress {
    switch self {
    case .float32(let trainer): trainer.progress
    case .float64(let trainer): trainer.progress
    }
  }

  public var history: TrainingHistory {
    switch self {
    case .float32(let trainer): trainer.history
    case .float64(let trainer): trainer.history
    }
  }

  /// The rate of the next step, with the schedule.
  public var learningRate: Double {
    switch self {
    case .float32(let trainer): trainer.learningRate
    case .float64(let trainer): trainer.learningRate
    }
  }

  /// The rate without the schedule.
  public var baseLearningRate: Double {
    switch self {
    case .float32(let trainer): trainer.baseLearningRate
    case .float64(let trainer): trainer.baseLearningRate
    }
  }

  public func setBaseLearningRate(_ rate: Double) throws(EngineError) {
    guard rate >= 0, rate.isFinite else {
      throw EngineError(.invalidArgument, "the learning rate must not be negative, got \(rate)")
    }
    switch self {
    case .float32(let trainer): trainer.baseLearningRate = rate
    case .float64(let trainer): trainer.baseLearningRate = rate
    }
  }

  public func setTrainable(_ name: String, _ value: Bool) throws(EngineError) {
    switch self {
    case .float32(let trainer): try trainer.setTrainable(name, value)
    case .float64(let trainer): try trainer.setTrainable(name, value)
    }
  }

  public func step(_ data: TrainingData) throws(EngineError) -> StepResult {
    switch self {
    case .float32(let trainer): try trainer.step(data)
    case .float64(let trainer): try trainer.step(data)
    }
  }

  public func computeGradients(
    _ data: TrainingData, accumulates: Bool
  ) throws(EngineError) -> StepResult {
    switch self {
    case .float32(let trainer): try trainer.computeGradients(data, accumulates: accumulates)
    case .float64(let trainer): try trainer.computeGradients(data, accumulates: accumulates)
    }
  }

  public func applyGradients() throws(EngineError) -> (gradientNorm: Double, penalty: Double) {
    switch self {
    case .float32(let trainer): try trainer.applyGradients()
    case .float64(let trainer): try trainer.applyGradients()
    }
  }

  /// See ``Trainer/gradientHook``.
  public func setGradientHook(_ hook: ((UnsafeMutableRawBufferPointer) -> Bool)?) {
    switch self {
    case .float32(let trainer): trainer.gradientHook = hook
    case .float64(let trainer): trainer.gradientHook = hook
    }
  }

  /// All gradients, laid out as the network's parameters.
  public var gradientBytes: UnsafeMutableRawBufferPointer {
    switch self {
    case .float32(let trainer): UnsafeMutableRawBufferPointer(trainer.gradients.elements)
    case .float64(let trainer): UnsafeMutableRawBufferPointer(trainer.gradients.elements)
    }
  }

  @discardableResult
  public func fit(
    _ data: TrainingData, validation: TrainingData?, options: FitOptions,
    progress: ((FitEvent) -> Bool)?
  ) throws(EngineError) -> Bool {
    switch self {
    case .float32(let trainer):
      try trainer.fit(data, validation: validation, options: options, progress: progress)
    case .float64(let trainer):
      try trainer.fit(data, validation: validation, options: options, progress: progress)
    }
  }

  public func evaluate(
    _ data: TrainingData, batchSize: Int
  ) throws(EngineError) -> Evaluation {
    switch self {
    case .float32(let trainer): try trainer.evaluate(data, batchSize: batchSize)
    case .float64(let trainer): try trainer.evaluate(data, batchSize: batchSize)
    }
  }

  public func stepByteCount(
    batch: Int, times: [Int], takesMask: Bool = false
  ) throws(EngineError) -> Int {
    switch self {
    case .float32(let trainer):
      try trainer.stepByteCount(batch: batch, times: times, takesMask: takesMask)
    case .float64(let trainer):
      try trainer.stepByteCount(batch: batch, times: times, takesMask: takesMask)
    }
  }

  public var heldByteCount: Int {
    switch self {
    case .float32(let trainer): trainer.heldByteCount
    case .float64(let trainer): trainer.heldByteCount
    }
  }

  /// Everything that training depends on, but the network itself and the options.
  public func state() throws(EngineError) -> TrainerState {
    switch self {
    case .float32(let trainer): try trainer.state()
    case .float64(let trainer): try trainer.state()
    }
  }

  /// Goes on from a state that a trainer of the same network and options gave.
  public func restore(_ state: TrainerState) throws(EngineError) {
    switch self {
    case .float32(let trainer): try trainer.restore(state)
    case .float64(let trainer): try trainer.restore(state)
    }
  }
}
