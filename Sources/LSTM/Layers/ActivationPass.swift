/// An activation at the end of a layer, in place on the layer's output.
struct ActivationPass<S: Scalar> {
  private let activation: Activation
  private let output: Signal<S>
  /// A copy of the pre-activations, for functions whose derivative cannot be had from their value.
  private let preactivations: UnsafeMutablePointer<S>?

  init(
    _ activation: Activation, on output: Signal<S>, plan: ExecutionPlan<S>
  ) throws(EngineError) {
    self.activation = activation
    self.output = output
    preactivations =
      plan.mode.keepsForBackward && activation.derivativeNeedsInput && activation != .softmax
      ? try plan.arena.allocate(count: Memory.product(output.rows, output.stride)) : nil
  }

  @inline(__always)
  func forward() {
    if activation == .linear { return }
    preactivations?.update(from: output.values, count: output.rows * output.stride)
    S.activate(
      activation, rows: output.rows, width: output.width, values: output.values,
      stride: output.stride)
  }

  /// Turns the output's gradient into that of the pre-activations, in place.
  @inline(__always)
  func backward() {
    guard activation != .linear, let gradient = output.gradient else { return }
    S.activationGradient(
      activation, rows: output.rows, width: output.width,
      input: preactivations ?? output.values, output: output.values, gradient: gradient,
      stride: output.stride)
  }
}
