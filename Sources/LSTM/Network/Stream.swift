/// The state of one running batch of sequences: one step goes in, one comes out. A step, and what
/// resets, copies out or copies in the state, neither allocates nor locks. Keeps the weights that it was made with until `updateWeights`.
public final class Stream<S: Scalar>: @unchecked Sendable {
  public let network: Network<S>
  public private(set) var execution: Execution<S>
  /// The same step as a list of calls; usable for chains in single precision.
  public let program: StreamProgram

  public convenience init(_ network: Network<S>, batch: Int) throws(EngineError) {
    for layer in network.layers {
      if let layer, let obstacle = layer.obstacleToStreaming {
        throw EngineError(
          .unsupported, "layer '\(layer.name)' cannot run step by step: \(obstacle)")
      }
    }
    self.init(
      network,
      running: try Stream.makeExecution(network, weights: network.weights(), batch: batch))
    reset()
  }

  /// A second stream with the same weights and in the same state.
  public func copy() throws(EngineError) -> Stream {
    let copy = try Stream.makeExecution(
      network, weights: execution.weights, batch: execution.batch)
    copy.takeStates(of: execution)
    let stream = Stream(network, running: copy)
    stream.threads = threads
    return stream
  }

  private init(_ network: Network<S>, running execution: Execution<S>) {
    self.network = network
    self.execution = execution
    program = StreamProgram(layers: network.layers.count)
    assemble()
  }

  deinit { program.free() }

  /// Upper limit for the number of threads of a step, 1 at first. With more than one a step may lock
  /// and wake threads; it pays from about 256 units.
  public var threads: Int {
    get { program.threads }
    set { program.threads = newValue }
  }

  private func assemble() {
    guard let execution = execution as? Execution<Float> else { return }
    program.assemble(execution)
  }

  private static func makeExecution(
    _ network: Network<S>, weights: WeightSnapshot<S>, batch: Int
  ) throws(EngineError) -> Execution<S> {
    try Execution(
      network: network, weights: weights, batch: batch,
      times: network.inputShapes.map { _ in 1 }, mode: ExecutionMode(isStream: true))
  }

  /// Step 1 of a step: the input (batch, 1, features).
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public func setInput(_ index: Int, _ view: TensorView) throws(EngineError) {
    try execution.setInput(index, view)
  }

  /// Step 2: from inputs and state to outputs and new state.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public func advance() {
    execution.forward()
    execution.carryStates()
  }

  /// Step 3: the output (batch, 1, features).
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public func readOutput(_ index: Int, into view: TensorView) throws(EngineError) {
    try execution.readOutput(index, into: view)
  }

  /// All states to their initial values: zero, or what the network has learned.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public func reset() {
    execution.resetStates()
    for run in execution.runs { run?.setLearnedStates() }
    execution.statesWereGiven()
  }

  /// Takes over the network's present weights; the state stays.
  public func updateWeights() throws(EngineError) {
    let fresh = try Stream.makeExecution(
      network, weights: network.weights(), batch: execution.batch)
    fresh.takeStates(of: execution)
    execution = fresh
    assemble()
  }

  /// Scalars that `snapshot` writes.
  public var stateCount: Int {
    execution.states.reduce(0) { $0 + $1.width * execution.batch }
  }

  /// Copies the whole state out: the states of all recurrent layers in order, each (batch, width).
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public func snapshot(into values: UnsafeMutablePointer<S>) {
    var next = values
    for state in execution.states {
      for row in 0..<execution.batch {
        next.update(from: state.initial + row * state.stride, count: state.width)
        next += state.width
      }
    }
  }

  /// Copies a whole state in, as `snapshot` wrote it.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public func restore(from values: UnsafePointer<S>) {
    var next = values
    for state in execution.states {
      for row in 0..<execution.batch {
        (state.initial + row * state.stride).update(from: next, count: state.width)
        next += state.width
      }
    }
  }
}
