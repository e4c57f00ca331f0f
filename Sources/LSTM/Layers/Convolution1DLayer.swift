/// Convolution over time (Keras `Conv1D`), kernel (width, features / groups, filters):
///
///     y(t) = φ(b + sum over taps w, ascending, of x(stride t + dilation w - before) K(w))
///
/// Steps outside the sequence are left out of the sum. A causal convolution of stride 1 also runs
/// step by step; its state is the window of steps before the present one.
final class Convolution1DLayer<S: Scalar>: Layer<S> {
  let convolution: Conv1DDescription
  /// Steps from the first tap to the last.
  let reach: Int
  var inputWidth: Int { inputShapes[0].features }
  /// Features that each group reads, and filters that it has.
  var groupInputs: Int { inputWidth / convolution.groups }
  var groupFilters: Int { convolution.filters / convolution.groups }

  init(
    name: String, inputShape: SignalShape, convolution: Conv1DDescription
  ) throws(EngineError) {
    let width = try inputShape.sequenceFeatures()
    try LayerCheck.positive(convolution.filters, "the number of filters")
    try LayerCheck.positive(convolution.kernelSize, "the kernel size")
    try LayerCheck.positive(convolution.stride, "the stride")
    try LayerCheck.positive(convolution.dilation, "the dilation")
    try LayerCheck.positive(convolution.groups, "the number of groups")
    guard convolution.stride == 1 || convolution.dilation == 1 else {
      throw EngineError(
        .invalidArgument,
        "a stride of \(convolution.stride) and a dilation of \(convolution.dilation) exclude each "
          + "other")
    }
    let groups = convolution.groups
    guard width % groups == 0, convolution.filters % groups == 0 else {
      throw EngineError(
        .shape,
        "\(groups) groups must divide the \(width) input features and the \(convolution.filters) "
          + "filters")
    }
    self.convolution = convolution
    reach = try Memory.product(convolution.kernelSize - 1, convolution.dilation)
    let receptive = convolution.kernelSize
    let fanIn = try Memory.product(receptive, width / groups)
    let fanOut = try Memory.product(receptive, convolution.filters)
    var declarations = [
      ParameterDeclaration(
        "kernel", [receptive, width / groups, convolution.filters],
        .glorotUniform(fanIn: fanIn, fanOut: fanOut))
    ]
    if convolution.useBias {
      declarations.append(ParameterDeclaration("bias", [convolution.filters], .zeros))
    }
    var time: Int?
    if let steps = inputShape.time {
      time = try SlidingWindow(convolution, time: steps, reach: reach).outputTime
    }
    super.init(
      name: name, inputShapes: [inputShape],
      outputShape: .sequence(time: time, features: convolution.filters),
      declarations: declarations)
  }

  override func outputTime(_ inputTimes: [Int]) throws(EngineError) -> Int {
    try SlidingWindow(convolution, time: inputTimes.first ?? 1, reach: reach).outputTime
  }

  override var obstacleToStreaming: String? {
    if convolution.padding == .causal || reach == 0, convolution.stride == 1 { return nil }
    return convolution.stride == 1
      ? "its output at a step depends on later steps (only causal padding does not)"
      : "a stride of \(convolution.stride) drops steps"
  }

  override func makeWeights(forTraining: Bool) throws(EngineError) -> LayerWeights<S>? {
    let filters = convolution.filters
    var places: [MatrixWeights<S>.Place] = []
    for tap in 0..<convolution.kernelSize {
      for group in 0..<convolution.groups {
        places.append(
          .init(
            offset: offsets[0] + tap * groupInputs * filters + group * groupFilters,
            stride: filters))
      }
    }
    return try MatrixWeights(
      places, rows: groupInputs, columns: groupFilters, forTraining: forTraining)
  }

  override func makeRun(
    inputs: [Signal<S>], plan: ExecutionPlan<S>
  ) throws(EngineError) -> LayerRun<S> {
    let input = try Self.only(inputs)
    if plan.mode.isStream { return try ConvolutionStreamRun(self, input: input, plan: plan) }
    return try Convolution1DRun(self, input: input, plan: plan)
  }
}
