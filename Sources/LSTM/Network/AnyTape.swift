/// A forward pass that kept everything, of either number type: to be differentiated and traced.
public final class AnyTape {
  private enum Recording {
    case float32(Execution<Float>)
    case float64(Execution<Double>)
  }
  private let recording: Recording
  public let network: AnyNetwork
  /// A backward pass was made, so that gradients and deltas can be read.
  public private(set) var hasGradients = false

  public init(
    _ network: AnyNetwork, inputs: [TensorView], options: ForwardOptions = .init(),
    recordsGradientFlow: Bool = false
  ) throws(EngineError) {
    let mode = ExecutionMode(
      keepsForBackward: true, recordsGradientFlow: recordsGradientFlow,
      takesMask: options.lengths != nil || options.mask != nil)
    self.network = network
    switch network {
    case .float32(let network):
      recording = .float32(try network.run(inputs, mode: mode, options: options))
    case .float64(let network):
      recording = .float64(try network.run(inputs, mode: mode, options: options))
    }
  }

  /// The next tape of the same shape is recorded in the same memory.
  deinit {
    switch (recording, network) {
    case (.float32(let execution), .float32(let network)): network.giveBackTape(execution)
    case (.float64(let execution), .float64(let network)): network.giveBackTape(execution)
    default: break
    }
  }

  public var batch: Int {
    switch recording {
    case .float32(let execution): execution.batch
    case .float64(let execution): execution.batch
    }
  }

  /// Steps of each input.
  public var times: [Int] {
    switch recording {
    case .float32(let execution): execution.times
    case .float64(let execution): execution.times
    }
  }

  public func readOutput(_ index: Int, into view: TensorView) throws(EngineError) {
    switch recording {
    case .float32(let execution): try execution.readOutput(index, into: view)
    case .float64(let execution): try execution.readOutput(index, into: view)
    }
  }

  public func readFinalState(_ index: Int, into view: TensorView) throws(EngineError) {
    switch recording {
    case .float32(let execution): try execution.readState(index, .final, into: view)
    case .float64(let execution): try execution.readState(index, .final, into: view)
    }
  }

  /// The state before the first step: given, learned, carried over, or zero.
  public func readInitialState(_ index: Int, into view: TensorView) throws(EngineError) {
    switch recording {
    case .float32(let execution): try execution.readState(index, .initial, into: view)
    case .float64(let execution): try execution.readState(index, .initial, into: view)
    }
  }

  /// From dL/doutputs and dL/dfinal states (empty: zero) to all other gradients.
  public func backward(
    outputGradients: [TensorView], stateGradients: [TensorView] = []
  ) throws(EngineError) {
    switch recording {
    case .float32(let execution):
      try execution.backward(outputGradients: outputGradients, stateGradients: stateGradients)
    case .float64(let execution):
      try execution.backward(outputGradients: outputGradients, stateGradients: stateGradients)
    }
    hasGradients = true
  }

  /// dL/dparameters, laid out as the network's parameters.
  public func parameterGradients() throws(EngineError) -> UnsafeMutableRawBufferPointer {
    try checkGradients()
    let base: UnsafeMutableRawPointer? =
      switch recording {
      case .float32(let execution): UnsafeMutableRawPointer(execution.parameterGradients)
      case .float64(let execution): UnsafeMutableRawPointer(execution.parameterGradients)
      }
    return UnsafeMutableRawBufferPointer(start: base, count: network.parameterBytes.count)
  }

  public func readInputGradient(_ index: Int, into view: TensorView) throws(EngineError) {
    try checkGradients()
    switch recording {
    case .float32(let execution): try execution.readInputGradient(index, into: view)
    case .float64(let execution): try execution.readInputGradient(index, into: view)
    }
  }

  public func readInitialStateGradient(_ index: Int, into view: TensorView) throws(EngineError) {
    try checkGradients()
    switch recording {
    case .float32(let execution): try execution.readState(index, .initialGradient, into: view)
    case .float64(let execution): try execution.readState(index, .initialGradient, into: view)
    }
  }

  /// Shape of a recorded field as (batch, time, width); norms are (1, time, 1).
  public func traceShape(
    layer: String, _ field: TraceField, direction: Int
  ) throws(EngineError) -> (batch: Int, time: Int, width: Int) {
    switch recording {
    case .float32(let execution):
      let (view, time) = try execution.trace(layer, field, direction, hasGradients)
      return (view.rowsPerStep, time, view.width)
    case .float64(let execution):
      let (view, time) = try execution.trace(layer, field, direction, hasGradients)
      return (view.rowsPerStep, time, view.width)
    }
  }

  /// Copies a recorded field into an array of the shape that `traceShape` gives.
  public func readTrace(
    layer: String, _ field: TraceField, direction: Int, into view: TensorView
  ) throws(EngineError) {
    switch recording {
    case .float32(let execution):
      let (trace, time) = try execution.trace(layer, field, direction, hasGradients)
      try trace.write(time: time, into: view)
    case .float64(let execution):
      let (trace, time) = try execution.trace(layer, field, direction, hasGradients)
      try trace.write(time: time, into: view)
    }
  }

  private func checkGradients() throws(EngineError) {
    guard hasGradients else {
      throw EngineError(.state, "gradients exist only after a backward pass")
    }
  }
}

extension TraceField {
  /// Known only after a backward pass.
  var needsGradients: Bool {
    rawValue >= TraceField.inputGateDelta.rawValue && self != .input
  }
  /// Known only if the pass records gradient flow.
  public var isNorm: Bool { self == .cellGradientNorm || self == .hiddenGradientNorm }
}

extension Execution {
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  func backward(
    outputGradients: [TensorView], stateGradients: [TensorView]
  ) throws(EngineError) {
    zeroGradients(given: outputGradients.count)
    for (index, view) in outputGradients.enumerated() { try setOutputGradient(index, view) }
    for (index, view) in stateGradients.enumerated() { try setState(index, .finalGradient, view) }
    backward()
  }

  /// A field of a layer's run, and its number of steps.
  func trace(
    _ layer: String, _ field: TraceField, _ direction: Int, _ hasGradients: Bool
  ) throws(EngineError) -> (TraceView<S>, time: Int) {
    guard let node = network.layers.firstIndex(where: { $0?.name == layer }), let run = runs[node]
    else { throw EngineError(.notFound, "the network has no layer '\(layer)'") }
    guard !field.needsGradients || hasGradients else {
      throw EngineError(.state, "field \(field) exists only after a backward pass")
    }
    guard !field.isNorm || mode.recordsGradientFlow else {
      throw EngineError(
        .state, "field \(field) exists only if the tape was recorded with gradient flow")
    }
    let read = signals[network.description.nodes[node].inputs.first ?? 0]
    if field == .input {
      let view = TraceView(
        values: UnsafePointer(read.values), width: read.width, stride: read.stride,
        rowsPerStep: batch)
      return (view, read.time)
    }
    guard let view = run.trace(field, direction: direction) else {
      throw EngineError(
        .notFound, "layer '\(layer)' has no field \(field) in direction \(direction)")
    }
    return (view, read.time)
  }
}

extension TraceView {
  func write(time: Int, into view: TensorView) throws(EngineError) {
    guard view.batch == rowsPerStep, view.time == time, view.width == width else {
      throw EngineError(
        .shape,
        "expected (batch, time, width) = (\(rowsPerStep), \(time), \(width)), got "
          + "(\(view.batch), \(view.time), \(view.width))")
    }
    view.write(from: values, stride: stride)
  }
}
