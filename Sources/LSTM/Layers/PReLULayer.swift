/// y = x for x > 0, α x below, with a learned α for each feature, or for each step and feature
/// (He et al. 2015).
final class PReLULayer<S: Scalar>: Layer<S> {
  /// One row of α for all steps.
  private let sharesTime: Bool

  /// α is (features), or (time, features) if each step has its own.
  init(name: String, inputShape: SignalShape, sharesTime: Bool) throws(EngineError) {
    let width = try inputShape.featureCount()
    var shape = [width]
    if inputShape.hasTime, !sharesTime, inputShape.time != 1 {
      guard let time = inputShape.time else {
        throw EngineError(
          .shape, "has a slope for each step, which needs a fixed number of steps: \(inputShape)")
      }
      shape = [time, width]
    }
    self.sharesTime = shape.count == 1
    super.init(
      name: name, inputShapes: [inputShape], outputShape: inputShape,
      declarations: [ParameterDeclaration("alpha", shape, .zeros)])
  }

  override func outputTime(_ inputTimes: [Int]) throws(EngineError) -> Int {
    let time = inputTimes.first ?? 1
    if !sharesTime, let steps = inputShapes[0].time, time != steps {
      throw EngineError(.shape, "was built for \(steps) steps, got \(time)")
    }
    return time
  }

  override var obstacleToStreaming: String? {
    sharesTime ? nil : "it has parameters for each step of the sequence"
  }

  override func makeRun(
    inputs: [Signal<S>], plan: ExecutionPlan<S>
  ) throws(EngineError) -> LayerRun<S> {
    let input = try Self.only(inputs)
    return PReLURun(
      input: input, output: try plan.signal(like: input, width: input.width),
      alpha: plan.parameter(self, 0), alphaGradient: plan.gradient(self, 0),
      alphaStride: sharesTime ? 0 : input.width)
  }
}

private final class PReLURun<S: Scalar>: LayerRun<S> {
  private let input: Signal<S>
  private let alpha: UnsafePointer<S>
  private let alphaGradient: UnsafeMutablePointer<S>?
  /// From one step's slopes to the next one's.
  private let alphaStride: Int

  init(
    input: Signal<S>, output: Signal<S>, alpha: UnsafePointer<S>,
    alphaGradient: UnsafeMutablePointer<S>?, alphaStride: Int
  ) {
    self.input = input
    self.alpha = alpha
    self.alphaGradient = alphaGradient
    self.alphaStride = alphaStride
    super.init(output: output)
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func forward() {
    for row in 0..<input.rows {
      let slopes = alpha + row / input.batch * alphaStride
      let x = input.values + row * input.stride
      let y = output.values + row * output.stride
      for j in 0..<input.width { y[j] = x[j] > 0 ? x[j] : slopes[j] * x[j] }
    }
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func backward() {
    guard let delta = output.gradient, let alphaGradient else { return }
    WeightGradient<S>.forEachBlock(of: 0..<input.time) { block in
      for row in block.lowerBound * input.batch..<block.upperBound * input.batch {
        let x = input.values + row * input.stride
        let g = delta + row * output.stride
        let sums = alphaGradient + row / input.batch * alphaStride
        for j in 0..<input.width { sums[j] += x[j] > 0 ? 0 : g[j] * x[j] }
      }
    }
    guard let inputGradient = input.gradient else { return }
    for row in 0..<input.rows {
      let slopes = alpha + row / input.batch * alphaStride
      let x = input.values + row * input.stride
      let g = delta + row * output.stride
      let dx = inputGradient + row * input.stride
      for j in 0..<input.width { dx[j] += x[j] > 0 ? g[j] : slopes[j] * g[j] }
    }
  }
}
