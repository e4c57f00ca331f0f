/// Masks and zeroes the steps of which every feature equals a value (Keras `Masking`).
final class MaskingLayer<S: Scalar>: Layer<S> {
  let value: S

  init(name: String, inputShape: SignalShape, value: Double) throws(EngineError) {
    _ = try inputShape.sequenceFeatures()
    self.value = S(value)
    super.init(name: name, inputShapes: [inputShape], outputShape: inputShape)
  }

  override func makeRun(
    inputs: [Signal<S>], plan: ExecutionPlan<S>
  ) throws(EngineError) -> LayerRun<S> {
    try MaskingRun(value: value, input: Self.only(inputs), plan: plan)
  }
}

private final class MaskingRun<S: Scalar>: LayerRun<S> {
  private let value: S
  private let input: Signal<S>
  private let mask: UnsafeMutablePointer<UInt8>
  /// Per row, 1 where the value differs; the mask also excludes what the incoming mask does.
  private let differs: UnsafeMutablePointer<UInt8>

  init(value: S, input: Signal<S>, plan: ExecutionPlan<S>) throws(EngineError) {
    self.value = value
    self.input = input
    mask = try plan.arena.allocate(count: input.rows)
    differs = try plan.arena.allocate(count: input.rows)
    super.init(
      output: try plan.signal(
        batch: input.batch, time: input.time, hasTime: true, width: input.width, mask: mask))
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func forward() {
    for row in 0..<input.rows {
      let from = input.values + row * input.stride
      let to = output.values + row * output.stride
      var isValid = false
      for j in 0..<input.width where from[j] != value { isValid = true }
      for j in 0..<input.width { to[j] = isValid ? from[j] : 0 }
      differs[row] = isValid ? 1 : 0
      mask[row] = isValid && input.mask?[row] != 0 ? 1 : 0
    }
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func backward() {
    guard let delta = output.gradient, let inputGradient = input.gradient else { return }
    for row in 0..<input.rows where differs[row] != 0 {
      let from = delta + row * output.stride
      let to = inputGradient + row * input.stride
      for j in 0..<input.width { to[j] += from[j] }
    }
  }
}
