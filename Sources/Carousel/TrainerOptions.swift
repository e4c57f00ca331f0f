import CCarousel
import LSTM

extension carousel_trainer_options: VersionedStruct {}

/// The header's terms for losses, optimisers and schedules in the engine's.
extension carousel_trainer_options {
  func training(outputs: Int) throws(EngineError) -> TrainingOptions {
    var options = TrainingOptions(loss: .meanSquaredError)
    if loss_count > 0 || losses != nil {
      guard loss_count == 1 || loss_count == outputs else {
        throw EngineError(
          .invalidArgument,
          "options->loss_count is \(UInt(bitPattern: loss_count)), expected 1 or \(outputs): the "
            + "network's outputs")
      }
      let losses = try Argument.required(losses, "options->losses")
      var weights: [Double] = []
      options.losses = []
      for index in 0..<loss_count {
        options.losses.append(try losses[index].engine())
        weights.append(losses[index].weight == 0 ? 1 : losses[index].weight)
      }
      if loss_count == outputs {
        options.lossWeights = weights
      } else {
        options.lossWeights = Array(repeating: weights[0], count: outputs)
      }
    }
    options.metrics = try engineMetrics()
    options.optimizer = try optimizer.engine()
    options.schedule = try schedule.engine()
    options.clipNorm = clip_norm == 0 ? nil : clip_norm
    options.clipValue = clip_value == 0 ? nil : clip_value
    options.l1 = l1
    options.l2 = l2
    options.classWeights = try engineClassWeights()
    options.seed = seed
    options.threads = try Settings.threads(threads, "options->threads")
    options.microBatch = try Argument.size(micro_batch, "options->micro_batch", from: 0)
    options.segment = try Argument.size(segment, "options->segment", from: 0)
    let every = try Argument.size(truncate_every, "options->truncate_every", from: 0)
    let through = try Argument.size(truncate_through, "options->truncate_through", from: 0)
    if every > 0 || through > 0 {
      options.truncation = .init(
        every: every, through: through == 0 ? every : through,
        keepsTraces: eligibility_traces != 0)
    } else if eligibility_traces != 0 {
      throw EngineError(
        .invalidArgument, "options->eligibility_traces needs options->truncate_every")
    }
    return options
  }

  private func engineMetrics() throws(EngineError) -> [Metric] {
    guard metric_count > 0 else { return [] }
    guard metric_count <= CAROUSEL_METRICS else {
      throw EngineError(
        .invalidArgument,
        "options->metric_count is \(UInt(bitPattern: metric_count)), expected at most "
          + "\(CAROUSEL_METRICS)")
    }
    let metrics = try Argument.required(metrics, "options->metrics")
    var result: [Metric] = []
    for index in 0..<metric_count {
      switch metrics[index] {
      case CAROUSEL_METRIC_ACCURACY: result.append(.accuracy)
      case CAROUSEL_METRIC_MAE: result.append(.meanAbsoluteError)
      case CAROUSEL_METRIC_MSE: result.append(.meanSquaredError)
      default: throw Argument.unknown(metrics[index].rawValue, "options->metrics")
      }
    }
    return result
  }

  private func engineClassWeights() throws(EngineError) -> [Double] {
    guard class_weight_count > 0 else { return [] }
    guard class_weight_count <= Int(Int32.max) else {
      throw EngineError(
        .invalidArgument,
        "options->class_weight_count is \(UInt(bitPattern: class_weight_count)), too many")
    }
    let weights = try Argument.required(class_weights, "options->class_weights")
    return Array(UnsafeBufferPointer(start: weights, count: class_weight_count))
  }
}

extension carousel_loss {
  fileprivate func engine() throws(EngineError) -> Loss {
    switch kind {
    case CAROUSEL_LOSS_MSE: return .meanSquaredError
    case CAROUSEL_LOSS_MAE: return .meanAbsoluteError
    case CAROUSEL_LOSS_HUBER: return .huber(delta: delta == 0 ? 1 : delta)
    case CAROUSEL_LOSS_BINARY_CROSSENTROPY: return .binaryCrossEntropy(fromLogits: from_logits != 0)
    case CAROUSEL_LOSS_CATEGORICAL_CROSSENTROPY:
      return .categoricalCrossEntropy(fromLogits: from_logits != 0)
    case CAROUSEL_LOSS_SPARSE_CATEGORICAL_CROSSENTROPY:
      return .sparseCategoricalCrossEntropy(fromLogits: from_logits != 0)
    default: throw Argument.unknown(kind.rawValue, "options->losses")
    }
  }
}

extension carousel_optimizer {
  fileprivate func engine() throws(EngineError) -> Optimizer {
    func number(_ value: Double, default usual: Double) -> Double {
      value == 0 ? usual : value < 0 ? 0 : value
    }
    var result: Optimizer
    switch kind {
    case CAROUSEL_OPTIMIZER_ADAM, CAROUSEL_OPTIMIZER_ADAMW:
      result = .adam(
        beta1: number(beta_1, default: 0.9), beta2: number(beta_2, default: 0.999),
        epsilon: number(epsilon, default: 1e-8))
      result.decouplesDecay = kind == CAROUSEL_OPTIMIZER_ADAMW
    case CAROUSEL_OPTIMIZER_SGD:
      result = .sgd(momentum: number(momentum, default: 0), nesterov: nesterov != 0)
    case CAROUSEL_OPTIMIZER_RMSPROP:
      result = .rmsprop(
        rho: number(rho, default: 0.99), epsilon: number(epsilon, default: 1e-8),
        momentum: number(momentum, default: 0), centered: centered != 0)
    default: throw Argument.unknown(kind.rawValue, "options->optimizer.kind")
    }
    result.learningRate = number(learning_rate, default: result.learningRate)
    result.weightDecay = number(weight_decay, default: result.decouplesDecay ? 0.004 : 0)
    return result
  }
}

extension carousel_schedule {
  fileprivate func engine() throws(EngineError) -> LearningRateSchedule {
    let interval = try Argument.size(interval, "options->schedule.interval", from: 0)
    let kind: LearningRateSchedule.Kind
    switch self.kind {
    case CAROUSEL_SCHEDULE_CONSTANT: kind = .constant
    case CAROUSEL_SCHEDULE_STEP: kind = .step(interval: interval, factor: factor)
    case CAROUSEL_SCHEDULE_EXPONENTIAL: kind = .exponential(interval: interval, factor: factor)
    case CAROUSEL_SCHEDULE_COSINE: kind = .cosine(interval: interval, minimum: minimum)
    case CAROUSEL_SCHEDULE_PLATEAU:
      kind = .reduceOnPlateau(
        factor: factor,
        patience: try Argument.size(patience, "options->schedule.patience", from: 0),
        minimumDelta: minimum_delta,
        cooldown: try Argument.size(cooldown, "options->schedule.cooldown", from: 0),
        minimum: minimum)
    default: throw Argument.unknown(self.kind.rawValue, "options->schedule.kind")
    }
    return LearningRateSchedule(
      kind, unit: counts_epochs != 0 ? .epoch : .step,
      warmup: try Argument.size(warmup, "options->schedule.warmup", from: 0))
  }
}
