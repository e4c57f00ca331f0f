/// An activation as a layer of its own.
final class ActivationLayer<S: Scalar>: Layer<S> {
  let activation: Activation

  init(name: String, inputShape: SignalShape, activation: Activation) throws(EngineError) {
    _ = try inputShape.featureCount()
    self.activation = activation
    super.init(name: name, inputShapes: [inputShape], outputShape: inputShape)
  }

  override func makeRun(
    inputs: [Signal<S>], plan: ExecutionPlan<S>
  ) throws(EngineError) -> LayerRun<S> {
    let input = try Self.only(inputs)
    let output = try plan.signal(like: input, width: input.width)
    return ActivationRun(activation, input: input, output: output)
  }
}

private final class ActivationRun<S: Scalar>: LayerRun<S> {
  private let activation: Activation
  private let input: Signal<S>

  init(_ activation: Activation, input: Signal<S>, output: Signal<S>) {
    self.activation = activation
    self.input = input
    super.init(output: output)
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func forward() {
    output.values.update(from: input.values, count: output.rows * output.stride)
    S.activate(
      activation, rows: output.rows, width: output.width, values: output.values,
      stride: output.stride)
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func backward() {
    guard let delta = output.gradient, let inputGradient = input.gradient else { return }
    S.activationGradient(
      activation, rows: output.rows, width: output.width, input: input.values,
      output: output.values, gradient: delta, stride: output.stride)
    for row in 0..<output.rows {
      let from = delta + row * output.stride
      let to = inputGradient + row * input.stride
      for j in 0..<output.width { to[j] += from[j] }
    }
  }
}
