/// The layers that disturb their input in training and hand it on otherwise.
///
/// Randomness is a function of the pass's key, the layer, the batch row and the element's place in the row.
/// It is drawn again in the backward pass instead of being kept.
final class DropoutLayer<S: Scalar>: Layer<S> {
  let kind: DropoutDescription

  init(name: String, inputShape: SignalShape, kind: DropoutDescription) throws(EngineError) {
    _ = try inputShape.featureCount()
    switch kind {
    case .elements(let rate), .channels(let rate), .gaussian(let rate), .alpha(let rate):
      try LayerCheck.rate(rate, "the dropout rate")
    case .noise(let deviation):
      try LayerCheck.notNegative(deviation, "the standard deviation of the noise")
    case .identity: break
    }
    if case .channels = kind { _ = try inputShape.sequenceFeatures() }
    self.kind = kind
    super.init(name: name, inputShapes: [inputShape], outputShape: inputShape)
  }

  /// Training changes nothing either.
  static func isIdentity(_ kind: DropoutDescription) -> Bool {
    switch kind {
    case .elements(let amount), .channels(let amount), .gaussian(let amount), .alpha(let amount),
      .noise(let amount):
      amount == 0
    case .identity: true
    }
  }

  override func makeRun(
    inputs: [Signal<S>], plan: ExecutionPlan<S>
  ) throws(EngineError) -> LayerRun<S> {
    let input = try Self.only(inputs)
    let output = try plan.signal(like: input, width: input.width)
    return DropoutRun(self, input: input, output: output, context: plan.context)
  }
}

private final class DropoutRun<S: Scalar>: LayerRun<S> {
  private let kind: DropoutDescription
  private let node: Int
  private let input: Signal<S>
  private let context: RunContext
  /// Of the last forward pass; nil if it was not a training pass.
  private var key: UInt64?

  init(
    _ layer: DropoutLayer<S>, input: Signal<S>, output: Signal<S>, context: RunContext
  ) {
    kind = layer.kind
    node = layer.node
    self.input = input
    self.context = context
    super.init(output: output)
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func forward() {
    key = context.isTraining ? RandomGenerator.derive(context.randomKey, node) : nil
    guard let key else {
      output.values.update(from: input.values, count: input.rows * input.stride)
      return
    }
    forEachRow(key) { row, element, from, to in
      let x = input.values + from
      let y = output.values + to
      for j in 0..<input.width {
        let (factor, offset) = disturbance(row, element, j)
        y[j] = x[j] * factor + offset
      }
    }
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func backward() {
    guard let delta = output.gradient, let inputGradient = input.gradient else { return }
    guard let key else {
      for i in 0..<input.rows * input.stride { inputGradient[i] += delta[i] }
      return
    }
    forEachRow(key) { row, element, from, to in
      let dx = inputGradient + from
      let g = delta + to
      for j in 0..<input.width { dx[j] += g[j] * disturbance(row, element, j).factor }
    }
  }

  /// Calls `body` with each row's key, its first element's index, and its places in memory.
  @inline(__always)
  private func forEachRow(_ key: UInt64, _ body: (UInt64, Int, Int, Int) -> Void) {
    for b in 0..<input.batch {
      let rowKey = RandomGenerator.derive(key, context.firstRow &+ b)
      for t in 0..<input.time {
        let row = t * input.batch + b
        body(
          rowKey, (context.firstStep &+ t) &* input.width, row * input.stride, row * output.stride)
      }
    }
  }

  /// y = x factor + offset for feature j of a row.
  @inline(__always)
  private func disturbance(_ rowKey: UInt64, _ element: Int, _ j: Int) -> (factor: S, offset: S) {
    let index = element &+ j
    switch kind {
    case .elements(let rate):
      return (keeps(rowKey, index, rate) ? S(1 / (1 - rate)) : 0, 0)
    case .channels(let rate):
      return (keeps(rowKey, j, rate) ? S(1 / (1 - rate)) : 0, 0)
    case .gaussian(let rate):
      let deviation = (rate / (1 - rate)).squareRoot()
      return (S(1 + deviation * RandomGenerator.normal(key: rowKey, index: index)), 0)
    case .noise(let deviation):
      return (1, S(deviation * RandomGenerator.normal(key: rowKey, index: index)))
    case .alpha(let rate):
      // Klambauer et al. 2017: what is dropped becomes SELU's lowest value; then mean and
      // variance are set right again.
      let low = -ActivationMath.seluAlpha * ActivationMath.seluScale
      let a = 1 / ((1 - rate) * (1 + rate * low * low)).squareRoot()
      let b = -a * low * rate
      return keeps(rowKey, index, rate) ? (S(a), S(b)) : (0, S(a * low + b))
    case .identity: return (1, 0)
    }
  }

  @inline(__always)
  private func keeps(_ key: UInt64, _ index: Int, _ rate: Double) -> Bool {
    RandomGenerator.uniform(key: key, index: index) >= rate
  }
}
