import KernelInterface

/// A layer of a network: shapes and parameters, immutable, shared by all executions.
///
/// Subclasses know one kind of layer each; `LayerFactory` makes them from a description.
open class Layer<S: Scalar> {
  public let name: String
  public let inputShapes: [SignalShape]
  public let outputShape: SignalShape
  public let declarations: [ParameterDeclaration]
  /// Index of the layer's node in the network.
  public internal(set) var node = 0
  /// Offsets of the parameters in the network's buffer, in the order of `declarations`.
  public internal(set) var offsets: [Int] = []

  public init(
    name: String, inputShapes: [SignalShape], outputShape: SignalShape,
    declarations: [ParameterDeclaration] = []
  ) {
    self.name = name
    self.inputShapes = inputShapes
    self.outputShape = outputShape
    self.declarations = declarations
  }

  /// Uses the parameters of another layer, which must have the same ones.
  final func share(with owner: Layer?) throws(EngineError) {
    guard let owner, owner.declarations.map(\.name) == declarations.map(\.name),
      owner.declarations.map(\.shape) == declarations.map(\.shape)
    else {
      throw EngineError(
        .invalidArgument,
        "cannot share the parameters of "
          + (owner.map { "'\($0.name)', which has other ones" }
            ?? "a layer that does not come before it"))
    }
    guard !isStateful else {
      throw EngineError(.unsupported, "a stateful layer cannot be called twice")
    }
    offsets = owner.offsets
  }

  /// Steps that come out when `inputTimes` steps go in; throws if the layer cannot take as many.
  open func outputTime(_ inputTimes: [Int]) throws(EngineError) -> Int {
    outputShape.hasTime ? inputTimes.first ?? 1 : 1
  }

  /// Widths of the layer's states, in the public order; empty if it has none.
  open var stateWidths: [Int] { [] }
  /// Begins each call with the state in which the previous one ended.
  open var isStateful: Bool { false }

  /// Why the layer cannot run step by step; nil if it can.
  open var obstacleToStreaming: String? { nil }

  /// The layer's parameters in the form in which its runs read them; nil if they read them as they
  /// are (through `WeightSnapshot.parameter`). Filled by `LayerWeights.refresh`.
  open func makeWeights(forTraining: Bool) throws(EngineError) -> LayerWeights<S>? { nil }

  /// Parameters, by their place in `declarations`, that a network in reduced precision holds as codes;
  /// empty for layers that stay as they are.
  open func reducedParameters(_ format: WeightFormat) -> [Int] { [] }

  /// Their int8 scales belong to rows (the vectors of an embedding), not to columns (output channels).
  open var scalesRows: Bool { false }

  /// As `makeWeights`, in reduced precision, for inference only. `refresh` will be given values that have been
  /// rounded; `arrays` hold them, in the order of `reducedParameters`.
  open func makeReducedWeights(
    _ format: WeightFormat, _ arrays: [ReducedArray]
  ) throws(EngineError) -> LayerWeights<S>? {
    try makeWeights(forTraining: false)
  }

  /// Binds the layer to the buffers of an execution.
  open func makeRun(
    inputs: [Signal<S>], plan: ExecutionPlan<S>
  ) throws(EngineError) -> LayerRun<S> {
    throw EngineError(.unsupported, "layer '\(name)' cannot be run")
  }
}

/// One layer's packed weights, part of a snapshot.
open class LayerWeights<S: Scalar> {
  public init() {}
  /// Packs anew; `parameters` is the base of the snapshot's buffer.
  open func refresh(_ parameters: UnsafePointer<S>) {}
}

/// A layer bound to the buffers of one execution. Neither pass allocates or fails: all sizes were
/// checked when the run was made. While the arena only measures, making a run must not touch memory.
///
/// Overrides of `forward` and `backward` carry `@_specialize(where S == Float)` and the same for
/// Double: a virtual call would otherwise reach the unspecialised body, which is a hundred times
/// slower (measured: 15 ns an element instead of 0.15).
open class LayerRun<S: Scalar> {
  public let output: Signal<S>
  /// Recurrent layers: (h), (h, c), or (h_f, c_f, h_b, c_b); the public order of states.
  public let states: [StateSlot<S>]
  /// The initial states were given by the caller, or carried over: learned ones do not count.
  public internal(set) var hasGivenStates = false

  public init(output: Signal<S>, states: [StateSlot<S>] = []) {
    self.output = output
    self.states = states
  }

  /// Whether `borrow` is understood.
  var canBorrow: Bool { false }

  /// From now on the run reads its first input there; nil: from the signal, as before.
  func borrow(_ rows: BorrowedRows<S>?) {}

  /// From now on the run writes its output there if it can, and says whether it does; nil: to the signal, as before.
  @discardableResult
  func writeOutput(to rows: BorrowedRows<S>?) -> Bool { false }

  /// Sets the initial states to what the layer has learned, if it learns them.
  open func setLearnedStates() {}

  /// Computes `output.values`, and the final states.
  open func forward() {}

  /// In a stream: the arguments of the fused step that computes all that `forward` does, except that
  /// c is updated in place; nil if there is more to it. `input` is set anew for each step of the
  /// first layer.
  func fusedStep() -> (LSTMStepArguments, KernelTable)? { nil }

  /// From `output.gradient` and the final states' gradients: *adds* to the inputs' gradients and to
  /// the parameters' gradients, *sets* the initial states' gradients.
  open func backward() {}

  /// Brings parameters up to date that a training pass itself observes (BatchNormalization's moving
  /// statistics); `parameters` is the base of the network's buffer. See `Execution.updateStatistics`.
  /// Returns whether it changed any.
  open func updateStatistics(_ parameters: UnsafeMutablePointer<S>) -> Bool { false }

  /// What the run recorded of its inside, by field name; time-major rows. See `TraceField`.
  open func trace(_ field: TraceField, direction: Int) -> TraceView<S>? { nil }
}

/// What can be seen of a recurrent layer at every step. The `delta` fields are the derivatives of
/// the loss with respect to the pre-activations (gates), c(t) and h(t), known after a backward pass.
public enum TraceField: Int32, CaseIterable, Sendable {
  case inputGate = 0
  case forgetGate, cellInput, outputGate, cell, hidden
  case updateGate, resetGate, candidate
  case inputGateDelta, forgetGateDelta, cellInputDelta, outputGateDelta, cellDelta, hiddenDelta
  /// One value a step: the Euclidean norms over batch and units of dL/dc(t) and dL/dh(t).
  case cellGradientNorm, hiddenGradientNorm
  /// What the layer read, in the order of time.
  case input
}

/// `time * batch` time-major rows of `width`, or `time` single values for the norms.
public struct TraceView<S: Scalar> {
  public let values: UnsafePointer<S>
  public let width: Int
  public let stride: Int
  /// Rows per step: the batch size, or 1 for norms.
  public let rowsPerStep: Int

  public init(values: UnsafePointer<S>, width: Int, stride: Int, rowsPerStep: Int) {
    self.values = values
    self.width = width
    self.stride = stride
    self.rowsPerStep = rowsPerStep
  }
}
