/// One step of a causal convolution. The state is the window (batch, reach * features), oldest step
/// first, zero at the beginning, which is what the steps before a sequence count for.
final class ConvolutionStreamRun<S: Scalar>: LayerRun<S> {
  private let layer: Convolution1DLayer<S>
  private let input: Signal<S>
  private let weights: MatrixWeights<S>
  private let bias: UnsafePointer<S>?
  private let past: StateSlot<S>
  private let activation: ActivationPass<S>

  init(
    _ layer: Convolution1DLayer<S>, input: Signal<S>, plan: ExecutionPlan<S>
  ) throws(EngineError) {
    self.layer = layer
    self.input = input
    weights = try plan.weights.packed(MatrixWeights<S>.self, of: layer)
    bias = layer.convolution.useBias ? plan.parameter(layer, 1) : nil
    past = try plan.state(
      batch: input.batch, width: Memory.product(layer.reach, layer.inputWidth))
    let output = try plan.signal(
      batch: input.batch, time: 1, hasTime: true, width: layer.convolution.filters)
    activation = try ActivationPass(layer.convolution.activation, on: output, plan: plan)
    super.init(output: output, states: layer.reach == 0 ? [] : [past])
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func forward() {
    for row in 0..<output.rows {
      let to = output.values + row * output.stride
      if let bias {
        to.update(from: bias, count: output.width)
      } else {
        to.update(repeating: 0, count: output.width)
      }
    }
    let groups = layer.convolution.groups
    for tap in 0..<layer.convolution.kernelSize {
      let place = tap * layer.convolution.dilation
      let isPresent = place == layer.reach
      let from =
        isPresent
        ? UnsafePointer(input.values) : UnsafePointer(past.initial + place * layer.inputWidth)
      for group in 0..<groups {
        S.product(
          rows: input.rows, a: from + group * layer.groupInputs,
          aStride: isPresent ? input.stride : past.stride,
          b: weights.forward[tap * groups + group],
          c: output.values + group * layer.groupFilters, cStride: output.stride,
          initial: .accumulate, threads: 1)
      }
    }
    activation.forward()
    shift()
  }

  /// The window of the next step.
  @inline(__always)
  private func shift() {
    let width = layer.inputWidth
    let kept = past.width - width
    guard kept >= 0 else { return }
    for b in 0..<input.rows {
      let to = past.final + b * past.stride
      to.update(from: past.initial + (b * past.stride + width), count: kept)
      (to + kept).update(from: input.values + b * input.stride, count: width)
    }
  }
}
