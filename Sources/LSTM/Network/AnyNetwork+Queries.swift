/// What callers ask a network of either number type before they run it.
extension AnyNetwork {
  /// Shape of each input, in the order of the description.
  public var inputShapes: [SignalShape] {
    switch self {
    case .float32(let network): network.inputShapes
    case .float64(let network): network.inputShapes
    }
  }

  /// Shape of each output, in the order of the description.
  public var outputShapes: [SignalShape] {
    switch self {
    case .float32(let network): network.outputShapes
    case .float64(let network): network.outputShapes
    }
  }

  /// Shape of what each node gives, in the order of the description.
  public var nodeShapes: [SignalShape] {
    description.nodes.indices.map { index in
      if let position = description.inputs.firstIndex(of: index) { return inputShapes[position] }
      return switch self {
      case .float32(let network): network.layers[index]?.outputShape ?? .vector(features: 0)
      case .float64(let network): network.layers[index]?.outputShape ?? .vector(features: 0)
      }
    }
  }

  /// Widths of each node's states: empty, (h), (h, c), or those of both directions.
  public var stateWidths: [[Int]] {
    switch self {
    case .float32(let network): network.layers.map { $0?.stateWidths ?? [] }
    case .float64(let network): network.layers.map { $0?.stateWidths ?? [] }
    }
  }

  /// For each input of ids the number of legal ones; 0 for other inputs.
  public var vocabularies: [Int] {
    switch self {
    case .float32(let network): network.vocabularies.map(Int.init)
    case .float64(let network): network.vocabularies.map(Int.init)
    }
  }

  /// Steps of each output for the steps of each input.
  public func outputTimes(_ inputTimes: [Int]) throws(EngineError) -> [Int] {
    switch self {
    case .float32(let network): try network.outputTimes(inputTimes)
    case .float64(let network): try network.outputTimes(inputTimes)
    }
  }

  public var isStateful: Bool {
    switch self {
    case .float32(let network): network.isStateful
    case .float64(let network): network.isStateful
    }
  }

  /// Stateful layers begin their next call from zero.
  public func resetStates() {
    switch self {
    case .float32(let network): network.resetStates()
    case .float64(let network): network.resetStates()
    }
  }

  /// The contiguous buffer of all parameters.
  public var parameterBytes: UnsafeMutableRawBufferPointer {
    switch self {
    case .float32(let network): UnsafeMutableRawBufferPointer(network.values.elements)
    case .float64(let network): UnsafeMutableRawBufferPointer(network.values.elements)
    }
  }

  /// A network of its own with the same architecture, parameters and carried states.
  public func copy() throws(EngineError) -> AnyNetwork {
    switch self {
    case .float32(let network): .float32(try network.copy())
    case .float64(let network): .float64(try network.copy())
    }
  }

  /// Bytes that a recorded pass (or a plain one) of this batch takes, without taking them.
  public func memoryNeeded(
    batch: Int, times: [Int], mode: ExecutionMode
  ) throws(EngineError) -> Int {
    switch self {
    case .float32(let network):
      try network.memoryNeeded(batch: batch, times: times, mode: mode)
    case .float64(let network):
      try network.memoryNeeded(batch: batch, times: times, mode: mode)
    }
  }
}

extension Network {
  func copy() throws(EngineError) -> Network {
    // Weights in reduced precision never change: copies share them.
    let copy = try Network(description, reduction: reduction)
    if reduction == nil { copy.values.pointer.update(from: values.pointer, count: values.count) }
    if let carried = withCarriedStates({ $0 }) { copy.withCarriedStates { $0 = carried } }
    return copy
  }

  func memoryNeeded(
    batch: Int, times: [Int], mode: ExecutionMode
  ) throws(EngineError) -> Int {
    _ = try outputTimes(times)
    let arena = Arena(.measure)
    let weights =
      format == .float32 || mode.keepsForBackward
      ? try WeightSnapshot(network: self, forTraining: mode.keepsForBackward) : try weights()
    _ = try Execution(
      network: self, weights: weights, batch: batch, times: times, mode: mode, arena: arena)
    return arena.byteCount
  }
}
