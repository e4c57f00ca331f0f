/// The largest, or the mean, of each window of steps. Padding takes no part in either.
final class Pooling1DLayer<S: Scalar>: Layer<S> {
  let pooling: Pooling1DDescription

  init(name: String, inputShape: SignalShape, pooling: Pooling1DDescription) throws(EngineError) {
    let width = try inputShape.sequenceFeatures()
    try LayerCheck.positive(pooling.poolSize, "the pool size")
    try LayerCheck.positive(pooling.stride, "the stride")
    self.pooling = pooling
    var time: Int?
    if let steps = inputShape.time { time = try Self.window(pooling, steps).outputTime }
    super.init(
      name: name, inputShapes: [inputShape], outputShape: .sequence(time: time, features: width))
  }

  private static func window(
    _ pooling: Pooling1DDescription, _ time: Int
  ) throws(EngineError) -> SlidingWindow {
    try SlidingWindow(
      padding: pooling.padsToSame ? .same : .valid, stride: pooling.stride, time: time,
      reach: pooling.poolSize - 1)
  }

  override func outputTime(_ inputTimes: [Int]) throws(EngineError) -> Int {
    try Self.window(pooling, inputTimes.first ?? 1).outputTime
  }

  override var obstacleToStreaming: String? {
    pooling.poolSize == 1 && pooling.stride == 1 ? nil : "it pools \(pooling.poolSize) steps"
  }

  override func makeRun(
    inputs: [Signal<S>], plan: ExecutionPlan<S>
  ) throws(EngineError) -> LayerRun<S> {
    let input = try Self.only(inputs)
    let window = try Self.window(pooling, input.time)
    let output = try plan.signal(
      batch: input.batch, time: window.outputTime, hasTime: true, width: input.width)
    return Pooling1DRun(pooling, window, input: input, output: output)
  }
}

private final class Pooling1DRun<S: Scalar>: LayerRun<S> {
  private let pooling: Pooling1DDescription
  private let window: SlidingWindow
  private let input: Signal<S>

  init(
    _ pooling: Pooling1DDescription, _ window: SlidingWindow, input: Signal<S>, output: Signal<S>
  ) {
    self.pooling = pooling
    self.window = window
    self.input = input
    super.init(output: output)
  }

  /// The input steps of an output step's window.
  @inline(__always)
  private func steps(_ step: Int) -> Range<Int> {
    let first = step * window.stride - window.before
    return max(first, 0)..<min(first + pooling.poolSize, input.time)
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func forward() {
    for step in 0..<output.time {
      let steps = steps(step)
      for b in 0..<input.batch {
        let y = output.values + (step * output.batch + b) * output.stride
        Pool.reduce(input, steps: steps, row: b, kind: pooling.kind, into: y)
      }
    }
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func backward() {
    guard let delta = output.gradient else { return }
    for step in 0..<output.time {
      let steps = steps(step)
      for b in 0..<input.batch {
        let row = (step * output.batch + b) * output.stride
        Pool.addGradient(
          input, steps: steps, row: b, kind: pooling.kind, output: output.values + row,
          delta: delta + row)
      }
    }
  }
}

/// The largest, or the mean, of all steps of a sequence. The mean leaves masked steps out (as in
/// Keras, where the largest does not); a row of which every step is masked has the mean 0.
final class GlobalPooling1DLayer<S: Scalar>: Layer<S> {
  private let kind: PoolingKind

  init(
    name: String, inputShape: SignalShape, kind: PoolingKind, keepsTime: Bool
  ) throws(EngineError) {
    let width = try inputShape.sequenceFeatures()
    self.kind = kind
    super.init(
      name: name, inputShapes: [inputShape],
      outputShape: keepsTime ? .sequence(time: 1, features: width) : .vector(features: width))
  }

  override func outputTime(_ inputTimes: [Int]) throws(EngineError) -> Int {
    guard inputTimes.first ?? 1 >= 1 else {
      throw EngineError(.shape, "pools all steps, but the sequence has none")
    }
    return 1
  }

  override var obstacleToStreaming: String? { "it pools all steps of the sequence" }

  override func makeRun(
    inputs: [Signal<S>], plan: ExecutionPlan<S>
  ) throws(EngineError) -> LayerRun<S> {
    let input = try Self.only(inputs)
    let output = try plan.signal(
      batch: input.batch, time: 1, hasTime: outputShape.hasTime, width: input.width)
    return GlobalPooling1DRun(kind, input: input, output: output)
  }
}

private final class GlobalPooling1DRun<S: Scalar>: LayerRun<S> {
  private let kind: PoolingKind
  private let input: Signal<S>

  init(_ kind: PoolingKind, input: Signal<S>, output: Signal<S>) {
    self.kind = kind
    self.input = input
    super.init(output: output)
  }

  private var mask: UnsafeMutablePointer<UInt8>? { kind == .average ? input.mask : nil }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func forward() {
    for b in 0..<input.batch {
      Pool.reduce(
        input, steps: 0..<input.time, row: b, kind: kind, mask: mask,
        into: output.values + b * output.stride)
    }
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func backward() {
    guard let delta = output.gradient else { return }
    for b in 0..<input.batch {
      Pool.addGradient(
        input, steps: 0..<input.time, row: b, kind: kind, mask: mask,
        output: output.values + b * output.stride, delta: delta + b * output.stride)
    }
  }
}

/// Pooling of some steps of one batch row.
private enum Pool<S: Scalar> {
  @inline(__always)
  static func reduce(
    _ input: Signal<S>, steps: Range<Int>, row b: Int, kind: PoolingKind,
    mask: UnsafeMutablePointer<UInt8>? = nil, into y: UnsafeMutablePointer<S>
  ) {
    y.update(repeating: kind == .max ? -S.infinity : 0, count: input.width)
    var count = 0
    for t in steps {
      let row = t * input.batch + b
      if mask?[row] == 0 { continue }
      count += 1
      let x = input.values + row * input.stride
      switch kind {
      // What is not a number wins, and stays.
      case .max: for j in 0..<input.width where x[j] > y[j] || x[j].isNaN { y[j] = x[j] }
      case .average: for j in 0..<input.width { y[j] += x[j] }
      }
    }
    guard kind == .average, count > 0 else { return }
    for j in 0..<input.width { y[j] /= S(count) }
  }

  /// The gradient of a largest value goes to the first step that has it.
  @inline(__always)
  static func addGradient(
    _ input: Signal<S>, steps: Range<Int>, row b: Int, kind: PoolingKind,
    mask: UnsafeMutablePointer<UInt8>? = nil, output y: UnsafePointer<S>,
    delta: UnsafeMutablePointer<S>
  ) {
    guard let inputGradient = input.gradient else { return }
    var count = 0
    for t in steps where mask?[t * input.batch + b] != 0 { count += 1 }
    for t in steps {
      let row = t * input.batch + b
      if mask?[row] == 0 { continue }
      let x = input.values + row * input.stride
      let dx = inputGradient + row * input.stride
      switch kind {
      case .max:
        for j in 0..<input.width where x[j] == y[j] {
          dx[j] += delta[j]
          delta[j] = 0
        }
      case .average: for j in 0..<input.width { dx[j] += delta[j] / S(count) }
      }
    }
  }
}
