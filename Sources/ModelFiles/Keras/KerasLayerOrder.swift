import LSTM

/// The order in which Keras holds the layers of a functional model that it makes of a configuration, whatever the
/// configuration's own order: the farthest from the outputs first, layers of the same depth as a walk back
/// from the outputs meets them (`map_graph` in Keras 3, `_map_graph_network` in tf.keras). Weights are
/// stored in this order, and loaded by it without looking at names.
struct KerasLayerOrder {
  private let description: NetworkDescription
  /// By node: the first call of the layer that it belongs to; a final state is an output of its layer.
  private let owners: [Int]
  private var ranks: [Int: Int] = [:]
  private var depths: [Int: Int] = [:]

  /// Nodes that are the first call of a layer, in Keras's order.
  ///
  /// - Parameter maskDepth: Operations that a Masking layer's input passes on its way to what reads the mask, beyond
  ///   the layer itself: none in tf.keras, whose graphs leave masks out, one or more in Keras 3.
  static func layers(of description: NetworkDescription, maskDepth: Int = 0) -> [Int] {
    KerasLayerOrder(description, maskDepth: maskDepth).sortedLayers
  }

  private var sortedLayers: [Int] {
    Set(owners).sorted { first, second in
      let (a, b) = (depths[first, default: 0], depths[second, default: 0])
      if a != b { return a > b }
      // What no output needs comes last, in the order of the network.
      let (p, q) = (ranks[first, default: .max], ranks[second, default: .max])
      return (p, first) < (q, second)
    }
  }

  private init(_ description: NetworkDescription, maskDepth: Int) {
    self.description = description
    var owners: [Int] = []
    for (index, node) in description.nodes.enumerated() {
      if case .finalState = node.layer.kind {
        owners.append(owners[node.inputs[0]])
      } else {
        owners.append(node.sharesWith ?? index)
      }
    }
    self.owners = owners
    walkBack(maskDepth: maskDepth)
  }

  /// The call that a node stands for: itself, or what a final state reads.
  private func call(_ node: Int) -> Int {
    if case .finalState = description.nodes[node].layer.kind {
      return description.nodes[node].inputs[0]
    }
    return node
  }

  /// Why `layers`, which have weights, do not have one order in every version of Keras; nil if they have.
  static func doubt(about layers: Set<Int>, of description: NetworkDescription) -> String? {
    let order = KerasLayerOrder(description, maskDepth: 0)
    if let unread = layers.subtracting(order.ranks.keys).min() {
      return "layer '\(description.nodes[unread].layer.name)', which leads to no output"
    }
    let wanted = order.sortedLayers.filter(layers.contains)
    // Merged masks add operations, too: how many differs among Keras's versions.
    for maskDepth in 1...4
    where self.layers(of: description, maskDepth: maskDepth).filter(layers.contains) != wanted {
      return
        "a branch with Masking behind layers with weights (its versions order the layers differently)"
    }
    return nil
  }

  private mutating func walkBack(maskDepth: Int) {
    var finished: Set<Int> = []
    /// Each call behind all that it reads.
    var calls: [Int] = []
    for output in description.outputs {
      var pending = [(call(output), isReady: false)]
      while let (node, isReady) = pending.popLast() {
        guard !finished.contains(node) else { continue }
        if isReady {
          finished.insert(node)
          calls.append(node)
          continue
        }
        if ranks[owners[node]] == nil { ranks[owners[node]] = ranks.count }
        pending.append((node, true))
        pending += description.nodes[node].inputs.reversed().map { (call($0), false) }
      }
    }
    var callDepths: [Int: Int] = [:]
    for node in calls.reversed() {
      let depth = max(callDepths[node, default: 0], depths[owners[node], default: 0])
      depths[owners[node]] = depth
      callDepths[node] = depth
      var distance = 1
      if case .masking = description.nodes[node].layer.kind { distance += maskDepth }
      for source in description.nodes[node].inputs.map(call) {
        callDepths[source] = max(callDepths[source, default: 0], depth + distance)
      }
    }
  }
}
