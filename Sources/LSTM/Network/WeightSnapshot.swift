/// A network's parameters at one moment, with the packed forms that the kernels read. Executions
/// and streams keep the snapshot they were made with.
public final class WeightSnapshot<S: Scalar>: @unchecked Sendable {
  public let parameters: Buffer<S>
  public let isForTraining: Bool
  /// Of the network's parameters, when they were taken over.
  private(set) var version: Int?
  /// In reduced precision, for inference only.
  let isReduced: Bool
  /// By node; nil for layers that read their parameters as they are.
  private let packed: [LayerWeights<S>?]

  init(network: Network<S>, forTraining: Bool) throws(EngineError) {
    try network.checkChangeable()
    parameters = try Buffer(count: network.values.count)
    isForTraining = forTraining
    isReduced = false
    var packed: [LayerWeights<S>?] = []
    for layer in network.layers { packed.append(try layer?.makeWeights(forTraining: forTraining)) }
    self.packed = packed
    refresh(from: network)
  }

  /// Weights that were packed before.
  init(parameters: Buffer<S>, packed: [LayerWeights<S>?]) {
    self.parameters = parameters
    self.packed = packed
    isForTraining = false
    isReduced = true
  }

  /// Takes over the network's present parameters.
  public func refresh(from network: Network<S>) {
    version = network.version
    parameters.pointer.update(from: network.values.pointer, count: parameters.count)
    for weights in packed { weights?.refresh(UnsafePointer(parameters.pointer)) }
  }

  /// The packed weights of a node, as the type that its layer made.
  public func packed<W: LayerWeights<S>>(_ type: W.Type, of layer: Layer<S>) throws(EngineError)
    -> W
  {
    guard let weights = packed[layer.node] as? W else {
      throw EngineError(.state, "layer '\(layer.name)' has no packed weights of type \(type)")
    }
    return weights
  }
}
