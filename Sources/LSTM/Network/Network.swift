import KernelInterface

/// A network: its architecture and its parameters in one contiguous buffer.
///
/// Any number of threads may run it at once while nobody writes to its parameters.
public final class Network<S: Scalar>: @unchecked Sendable {
  public let description: NetworkDescription
  /// By node; nil for inputs.
  public let layers: [Layer<S>?]
  /// In the order of the layers; the order of the public interface.
  public let parameters: [Parameter]
  /// All parameters; `parameters` says which part is which. After writing to it call
  /// `parametersChanged`.
  public let values: Buffer<S>
  /// The weights in reduced precision; those parameters have no place in `values`.
  let reduction: WeightReduction<S>?
  /// Shape of each input, in the order of `description.inputs`.
  public let inputShapes: [SignalShape]
  public let outputShapes: [SignalShape]
  /// For inputs of ids: the smallest vocabulary of the embeddings that read it; else 0.
  let vocabularies: [Int32]

  private struct Cached {
    /// Counts the changes of the parameters.
    var version = 0
    var snapshot: WeightSnapshot<S>?
    var idle: Execution<S>?
    /// Of a tape that was freed.
    var idleTape: Execution<S>?
    /// States that a stateful network carries from call to call, with their batch size.
    var carried: CarriedStates<S>?
  }
  private let cached = Guarded(Cached())

  /// Lays the network out, with all parameters zero.
  ///
  /// - Parameter parameterLimit: most scalars that the parameters may take; a file of that many numbers
  ///   must not make the network ask for more memory than it fills.
  public convenience init(
    _ description: NetworkDescription, parameterLimit: Int = .max
  ) throws(EngineError) {
    try self.init(description, parameterLimit: parameterLimit, reduction: nil)
  }

  /// - Parameter reduction: the weights of a network in reduced precision (``reduced(to:)``).
  init(
    _ description: NetworkDescription, parameterLimit: Int = .max, reduction: WeightReduction<S>?
  ) throws(EngineError) {
    self.description = description
    self.reduction = reduction
    var shapes: [SignalShape] = []
    var layers: [Layer<S>?] = []
    var parameters: [Parameter] = []
    var paths = NamePaths()
    var count = 0
    for (index, node) in description.nodes.enumerated() {
      try paths.addLayer(node.layer.name)
      guard node.inputs.allSatisfy({ $0 >= 0 && $0 < index }) else {
        throw EngineError(
          .invalidArgument, "layer '\(node.layer.name)' reads a layer that does not come before it")
      }
      if case .input(let input) = node.layer.kind {
        try Network.check(input, named: node.layer.name)
        layers.append(nil)
        shapes.append(input.shape)
        continue
      }
      let layer: Layer<S>
      do throws(EngineError) {
        if case .finalState(let state) = node.layer.kind {
          let source = node.inputs.count == 1 ? layers[node.inputs[0]] : nil
          layer = try FinalStateLayer(name: node.layer.name, source: source, state: state)
        } else {
          layer = try LayerFactory.make(node.layer, inputShapes: node.inputs.map { shapes[$0] })
        }
        layer.node = index
        if let owner = node.sharesWith {
          try layer.share(with: layers.indices.contains(owner) ? layers[owner] : nil)
          layers.append(layer)
          shapes.append(layer.outputShape)
          continue
        }
      } catch { throw error.within("layer '\(node.layer.name)'") }
      for declaration in layer.declarations {
        var size = 1
        for extent in declaration.shape { size = try Memory.product(size, extent) }
        if reduction?.arrays[parameters.count] != nil { size = 0 }
        layer.offsets.append(count)
        let name = "\(node.layer.name)/\(declaration.name)"
        try paths.addArray(name)
        parameters.append(
          Parameter(
            name: name, shape: declaration.shape,
            offset: count, count: declaration.shape.reduce(1, *),
            initializer: declaration.initializer,
            isTrainable: declaration.isTrainable && node.layer.isTrainable, node: index))
        count = try Memory.sum(count, Memory.rowStride(size))
      }
      layers.append(layer)
      shapes.append(layer.outputShape)
    }
    let isInput = { (index: Int) in
      description.nodes.indices.contains(index) && layers[index] == nil
    }
    guard !description.inputs.isEmpty, description.inputs.allSatisfy(isInput) else {
      throw EngineError(.invalidArgument, "the network has no input, or one that is a layer")
    }
    guard !description.outputs.isEmpty,
      description.outputs.allSatisfy({ description.nodes.indices.contains($0) && !isInput($0) })
    else { throw EngineError(.invalidArgument, "the network has no output layer") }
    self.layers = layers
    self.parameters = parameters
    inputShapes = description.inputs.map { shapes[$0] }
    outputShapes = description.outputs.map { shapes[$0] }
    vocabularies = description.inputs.map { input in
      description.nodes.reduce(Int32(0)) { limit, node in
        guard node.inputs.contains(input),
          case .embedding(let vocabulary, _, _) = node.layer.kind
        else { return limit }
        let size = Int32(clamping: vocabulary)
        return limit == 0 ? size : min(limit, size)
      }
    }
    guard count <= parameterLimit else {
      throw EngineError(
        .shape, "the architecture has \(count) parameters, the weights fill \(parameterLimit)")
    }
    if let reduction {
      values = reduction.weights.parameters
    } else {
      values = try Buffer(count: count)
    }
  }

  private static func check(_ input: InputDescription, named name: String) throws(EngineError) {
    guard input.shape.features >= 1, input.shape.time ?? 0 >= 0 else {
      throw EngineError(.shape, "input '\(name)' needs at least one feature: \(input.shape)")
    }
  }

  /// Sets every parameter by its layer's initialiser; the same seed gives the same network.
  public func initialize(seed: UInt64) throws(EngineError) {
    try checkChangeable()
    for (index, parameter) in parameters.enumerated() {
      var generator = RandomGenerator(seed: RandomGenerator.derive(seed, index))
      try parameter.initializer.fill(
        values.pointer + parameter.offset, shape: parameter.shape, generator: &generator)
    }
    parametersChanged()
  }

  /// The parameter with this key.
  public func parameter(_ name: String) throws(EngineError) -> Parameter {
    guard let parameter = parameters.first(where: { $0.name == name }) else {
      throw EngineError(.notFound, "the network has no parameter '\(name)'")
    }
    return parameter
  }

  /// Tells the network that its parameters were written to: the next call uses the new values.
  public func parametersChanged() {
    cached.withLock {
      $0.version &+= 1
      $0.snapshot = nil
      $0.idle = nil
    }
  }

  /// Another one after each change of the parameters.
  var version: Int { cached.withLock { $0.version } }

  /// What holds the matrices; anything but float32 is for inference only (`reduced(to:)`).
  public var format: WeightFormat { reduction?.format ?? .float32 }

  /// Refuses what cannot be done with weights in reduced precision.
  func checkChangeable() throws(EngineError) {
    guard format == .float32 else {
      throw EngineError(
        .state,
        "the network's weights are \(format.name): it can be run and saved, not changed, "
          + "differentiated or trained; use the network that it was made from")
    }
  }

  /// The present weights, packed; made on first use and shared.
  public func weights() throws(EngineError) -> WeightSnapshot<S> {
    if let reduction { return reduction.weights }
    if let snapshot = cached.withLock({ $0.snapshot }) { return snapshot }
    let snapshot = try WeightSnapshot(network: self, forTraining: false)
    cached.withLock { $0.snapshot = snapshot }
    return snapshot
  }

  /// Steps of each output for the steps of each input.
  public func outputTimes(_ inputTimes: [Int]) throws(EngineError) -> [Int] {
    guard inputTimes.count == inputShapes.count else {
      throw EngineError(
        .shape, "the network has \(inputShapes.count) inputs, got \(inputTimes.count)")
    }
    var times: [Int] = []
    for (index, node) in description.nodes.enumerated() {
      guard let layer = layers[index] else {
        let position = description.inputs.firstIndex(of: index) ?? 0
        let time = inputTimes[position]
        let shape = inputShapes[position]
        guard time >= 0, shape.hasTime || time == 1 else {
          throw EngineError(.shape, "input \(position): \(time) steps, expected \(shape)")
        }
        times.append(time)
        continue
      }
      do throws(EngineError) {
        times.append(try layer.outputTime(node.inputs.map { times[$0] }))
      } catch { throw error.within("layer '\(layer.name)'") }
    }
    return description.outputs.map { times[$0] }
  }

  // MARK: Executions kept for the next call

  /// Larger executions are freed after their call,
  private static var largestIdleBytes: Int { 256 << 20 }
  /// and larger tapes when their owner frees them: all but the last of a loop's are used again at once.
  private static var largestIdleTapeBytes: Int { 1 << 30 }

  func takeExecution(
    batch: Int, times: [Int], mode: ExecutionMode
  ) throws(EngineError) -> Execution<S> {
    let weights = try weights()
    let idle = cached.withLock { cached -> Execution<S>? in
      guard let idle = cached.idle, idle.batch == batch, idle.times == times, idle.mode == mode,
        idle.weights === weights
      else { return nil }
      cached.idle = nil
      return idle
    }
    if let idle {
      idle.lie(idle: false)
      return idle
    }
    return try Execution(
      network: self, weights: weights, batch: batch, times: times, mode: mode)
  }

  func giveBack(_ execution: Execution<S>) {
    guard execution.arena.byteCount <= Network.largestIdleBytes else { return }
    execution.lie(idle: true)
    cached.withLock {
      let present = reduction?.weights ?? $0.snapshot
      $0.idle = present === execution.weights ? execution : nil
    }
  }

  /// An execution to differentiate, with weights of its own.
  func takeTape(
    batch: Int, times: [Int], mode: ExecutionMode
  ) throws(EngineError) -> Execution<S> {
    let idle = cached.withLock { cached -> Execution<S>? in
      guard let idle = cached.idleTape, idle.batch == batch, idle.times == times, idle.mode == mode
      else { return nil }
      cached.idleTape = nil
      return idle
    }
    if let idle {
      idle.lie(idle: false)
      if idle.weights.version != version { idle.weights.refresh(from: self) }
      return idle
    }
    return try Execution(
      network: self, weights: WeightSnapshot(network: self, forTraining: true), batch: batch,
      times: times, mode: mode)
  }

  func giveBackTape(_ execution: Execution<S>) {
    guard execution.arena.byteCount <= Network.largestIdleTapeBytes else { return }
    execution.lie(idle: true)
    cached.withLock { $0.idleTape = execution }
  }

  // MARK: States of stateful networks

  func withCarriedStates<R>(_ body: (inout CarriedStates<S>?) -> R) -> R {
    cached.withLock { body(&$0.carried) }
  }

  /// Stateful layers begin their next call from zero.
  public func resetStates() { cached.withLock { $0.carried = nil } }

  /// A layer continues its state from call to call.
  public var isStateful: Bool { layers.contains { $0?.isStateful == true } }
}

/// The final states of a stateful network's last call.
struct CarriedStates<S: Scalar> {
  let batch: Int
  let values: [Buffer<S>]
}
