/// Hands its input on as it is: the output *is* the input's memory.
final class IdentityLayer<S: Scalar>: Layer<S> {
  init(name: String, inputShape: SignalShape) throws(EngineError) {
    _ = try inputShape.featureCount()
    super.init(name: name, inputShapes: [inputShape], outputShape: inputShape)
  }

  override func makeRun(
    inputs: [Signal<S>], plan: ExecutionPlan<S>
  ) throws(EngineError) -> LayerRun<S> {
    LayerRun(output: try Self.only(inputs))
  }
}
