import LSTM

/// The weight units of a model in Keras's orders, with the parameter keys they fill.
struct KerasWeightPlan {
  struct Entry {
    var unit: KerasWeightUnit
    /// `lstm/`; the unit's own part (`forward/`) comes behind it.
    var keyPrefix: String
    var layer: KerasLayer
  }

  /// Units of one layer of the outermost model; several if that layer is itself a model.
  static func entries(
    of layer: KerasLayer, in graph: KerasGraph
  ) throws(EngineError) -> [Entry] {
    if case .model(let model) = layer.content {
      var entries: [Entry] = []
      for inner in model.layers { entries += try self.entries(of: inner, in: graph) }
      return entries
    }
    guard !layer.units.isEmpty else { return [] }
    let names = graph.nodeNames(of: layer)
    var entries: [Entry] = []
    for unit in layer.units {
      guard unit.node < names.count else {
        throw EngineError(.format, "\(layer.displayName) is not connected to the model")
      }
      entries.append(Entry(unit: unit, keyPrefix: names[unit.node] + "/", layer: layer))
    }
    return entries
  }
}
