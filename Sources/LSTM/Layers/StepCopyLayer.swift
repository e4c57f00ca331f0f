/// Layers whose output steps are copies of input steps, or zero: RepeatVector, UpSampling1D,
/// ZeroPadding1D.
final class StepCopyLayer<S: Scalar>: Layer<S> {
  enum Pattern {
    /// A vector, `count` times.
    case repeated(count: Int)
    /// Every step `times` times in a row.
    case upSampled(times: Int)
    /// Steps of zeros before and after.
    case padded(left: Int, right: Int)
  }

  private let pattern: Pattern

  init(name: String, inputShape: SignalShape, pattern: Pattern) throws(EngineError) {
    self.pattern = pattern
    let features = try inputShape.featureCount()
    switch pattern {
    case .repeated(let count):
      try LayerCheck.positive(count, "the number of repetitions")
      guard case .vector = inputShape else {
        throw EngineError(.shape, "repeats a vector (batch, features), got \(inputShape)")
      }
    case .upSampled(let times):
      try LayerCheck.positive(times, "the up-sampling factor")
      _ = try inputShape.sequenceFeatures()
    case .padded(let left, let right):
      guard left >= 0, right >= 0 else {
        throw EngineError(
          .invalidArgument, "the padding must not be negative, got (\(left), \(right))")
      }
      _ = try inputShape.sequenceFeatures()
    }
    var time: Int?
    if let steps = inputShape.hasTime ? inputShape.time : 1 {
      time = try Self.steps(pattern, of: steps)
    }
    super.init(
      name: name, inputShapes: [inputShape],
      outputShape: .sequence(time: time, features: features))
  }

  private static func steps(_ pattern: Pattern, of time: Int) throws(EngineError) -> Int {
    switch pattern {
    case .repeated(let count): count
    case .upSampled(let times): try Memory.product(time, times)
    case .padded(let left, let right): try Memory.sum(Memory.sum(time, left), right)
    }
  }

  override func outputTime(_ inputTimes: [Int]) throws(EngineError) -> Int {
    try Self.steps(pattern, of: inputTimes.first ?? 1)
  }

  override var obstacleToStreaming: String? {
    switch pattern {
    case .repeated(let count): "it makes \(count) steps of one vector"
    case .upSampled(let times): times == 1 ? nil : "it makes \(times) steps of each"
    case .padded(0, 0): nil
    case .padded: "it adds steps to the sequence"
    }
  }

  override func makeRun(
    inputs: [Signal<S>], plan: ExecutionPlan<S>
  ) throws(EngineError) -> LayerRun<S> {
    let input = try Self.only(inputs)
    let time = try outputTime([input.time])
    return StepCopyRun(
      pattern, input: input,
      output: try plan.signal(batch: input.batch, time: time, hasTime: true, width: input.width))
  }
}

private final class StepCopyRun<S: Scalar>: LayerRun<S> {
  private let pattern: StepCopyLayer<S>.Pattern
  private let input: Signal<S>

  init(_ pattern: StepCopyLayer<S>.Pattern, input: Signal<S>, output: Signal<S>) {
    self.pattern = pattern
    self.input = input
    super.init(output: output)
  }

  /// The input step that an output step is a copy of; nil: zeros.
  @inline(__always)
  private func source(of step: Int) -> Int? {
    switch pattern {
    case .repeated: return 0
    case .upSampled(let times): return step / times
    case .padded(let left, _):
      let t = step - left
      return t >= 0 && t < input.time ? t : nil
    }
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func forward() {
    let count = input.batch * input.stride
    for step in 0..<output.time {
      let to = output.values + step * count
      if let t = source(of: step) {
        to.update(from: input.values + t * count, count: count)
      } else {
        to.update(repeating: 0, count: count)
      }
    }
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func backward() {
    guard let delta = output.gradient, let inputGradient = input.gradient else { return }
    let count = input.batch * input.stride
    for step in 0..<output.time {
      guard let t = source(of: step) else { continue }
      let from = delta + step * count
      let to = inputGradient + t * count
      for i in 0..<count { to[i] += from[i] }
    }
  }
}
