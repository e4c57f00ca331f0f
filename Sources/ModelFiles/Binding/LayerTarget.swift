import LSTM

/// A layer of an architecture that owns weights, as the thing that a file's arrays are bound to.
struct LayerTarget {
  /// Indirect, because a description takes half a kilobyte. (And in one of that size the case is two bits
  /// beside bytes that are never written: to valgrind, a jump on uninitialised memory.)
  indirect enum Kind {
    case recurrent(RecurrentDescription)
    case bidirectional(BidirectionalDescription)
    /// A layer that is not recurrent (without its TimeDistributed).
    case plain(LayerKind)
  }

  let name: String
  let kind: Kind

  var isRecurrent: Bool {
    if case .plain = kind { false } else { true }
  }

  /// Directions with the part of the parameter key that stands before the array's name.
  var directions: [(key: String, description: RecurrentDescription)] {
    switch kind {
    case .recurrent(let description): [("\(name)/", description)]
    case .bidirectional(let description):
      [("\(name)/forward/", description.forward), ("\(name)/backward/", description.backward)]
    case .plain: []
    }
  }

  static func targets(of description: NetworkDescription) -> [LayerTarget] {
    description.nodes.compactMap { node in
      guard node.sharesWith == nil else { return nil }
      var kind = node.layer.kind
      if case .timeDistributed(let inner) = kind { kind = inner }
      switch kind {
      case .recurrent(let description):
        return LayerTarget(name: node.layer.name, kind: .recurrent(description))
      case .bidirectional(let description):
        return LayerTarget(name: node.layer.name, kind: .bidirectional(description))
      case .dense, .embedding, .batchNormalization, .layerNormalization, .conv1D, .prelu:
        return LayerTarget(name: node.layer.name, kind: .plain(kind))
      default:
        return nil
      }
    }
  }

  /// What the layer is called in messages.
  var displayName: String { "layer '\(name)'" }
}

extension RecurrentDescription {
  /// Refuses what arrays of another framework cannot fill: initial states, layer normalisation.
  func requirePlain(_ framework: String, _ layer: String) throws(EngineError) {
    if learnsInitialState {
      throw EngineError(
        .unsupported, "\(layer) has learned initial states, which \(framework) does not know")
    }
    if case .lstm(let cell) = cell, cell.layerNorm {
      throw EngineError(
        .unsupported, "\(layer) normalises its gates, which \(framework) does not know")
    }
  }
}

extension LSTMDescription {
  /// Every gate is there and none is coupled.
  var hasAllGates: Bool { hasInputGate && hasForgetGate && hasOutputGate && !couplesGates }
}
