/// Makes the layer that computes what a description says.
enum LayerFactory<S: Scalar> {
  static func make(
    _ description: LayerDescription, inputShapes: [SignalShape]
  ) throws(EngineError) -> Layer<S> {
    guard inputShapes.count == 1, let shape = inputShapes.first else {
      throw EngineError(.shape, "takes one input, got \(inputShapes.count)")
    }
    return try make(description.kind, name: description.name, inputShape: shape)
  }

  /// A layer with one input; also the inner layer of a TimeDistributed.
  static func make(
    _ kind: LayerKind, name: String, inputShape shape: SignalShape
  ) throws(EngineError) -> Layer<S> {
    switch kind {
    case .recurrent(let description):
      return try RecurrentLayer(name: name, inputShape: shape, description: description)
    case .bidirectional(let description):
      return try BidirectionalLayer(name: name, inputShape: shape, description: description)
    default: throw EngineError(.unsupported, "layer kind \(kind) is not built yet")
    }
  }
}
