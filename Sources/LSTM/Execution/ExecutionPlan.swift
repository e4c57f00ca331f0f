/// What a layer needs to bind itself to an execution.
public final class ExecutionPlan<S: Scalar> {
  public let mode: ExecutionMode
  public let arena: Arena
  public let context: RunContext
  public let weights: WeightSnapshot<S>
  /// Base of the gradient buffer, laid out as the parameters; nil unless the mode keeps for the
  /// backward pass.
  public let parameterGradients: UnsafeMutablePointer<S>?

  init(
    mode: ExecutionMode, arena: Arena, context: RunContext, weights: WeightSnapshot<S>,
    parameterGradients: UnsafeMutablePointer<S>?
  ) {
    self.mode = mode
    self.arena = arena
    self.context = context
    self.weights = weights
    self.parameterGradients = parameterGradients
  }

  /// A new signal with rows of its own (and gradients, if the mode wants them).
  public func signal(
    batch: Int, time: Int, hasTime: Bool, width: Int, mask: UnsafeMutablePointer<UInt8>? = nil
  ) throws(EngineError) -> Signal<S> {
    let stride = try Memory.matrixStride(width)
    let count = try Memory.product(time, batch, stride)
    return Signal(
      batch: batch, time: time, hasTime: hasTime, width: width, stride: stride,
      values: try arena.allocate(count: count),
      // A backward pass begins by zeroing it.
      gradient: mode.keepsForBackward ? try arena.allocate(count: count, zeroed: false) : nil,
      mask: mask, ids: nil)
  }

  /// A state of `batch` rows.
  public func state(batch: Int, width: Int) throws(EngineError) -> StateSlot<S> {
    let stride = try Memory.matrixStride(width)
    let count = try Memory.product(batch, stride)
    return StateSlot(
      width: width, stride: stride, initial: try arena.allocate(count: count),
      final: try arena.allocate(count: count),
      initialGradient: mode.keepsForBackward ? try arena.allocate(count: count) : nil,
      finalGradient: mode.keepsForBackward ? try arena.allocate(count: count) : nil)
  }

  /// The layer's parameter number `index`, as it is stored.
  public func parameter(_ layer: Layer<S>, _ index: Int) -> UnsafePointer<S> {
    UnsafePointer(weights.parameters.pointer + layer.offsets[index])
  }

  /// The gradient of the layer's parameter number `index`.
  public func gradient(_ layer: Layer<S>, _ index: Int) -> UnsafeMutablePointer<S>? {
    parameterGradients.map { $0 + layer.offsets[index] }
  }
}
