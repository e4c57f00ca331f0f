import LSTM

extension KerasReader {
  /// Weights of Keras without an architecture, for a network that has one: read as the Keras model that the
  /// network would be.
  static func readWeights(
    _ layout: HDF5Layout, for description: NetworkDescription
  ) throws(EngineError) -> ModelContents {
    let writer = KerasJSONWriter(description, purpose: .weightsOnly, namesModules: false)
    let json = try writer.write()
    let version = KerasVersion(
      try layout.root.attributes.text("keras_version") ?? "2.15.0", guessingFrom: json)
    var contents = try read(
      json, version, limits: layout.root.file.limits, format: layout.format
    ) { (model, graph) throws(EngineError) in
      if layout.format == .kerasLegacyWeights {
        return try KerasLegacyWeights(group: layout.root).read(into: model, graph: graph)
      }
      guard let store = try KerasStoreWeights(root: layout.root) else {
        throw EngineError(.format, "the file has no group 'layers'")
      }
      return try store.read(into: model, graph: graph)
    }
    // Back from Keras's names to the network's.
    var weights: [String: WeightArray] = [:]
    for (node, name) in writer.layers {
      for (key, array) in contents.weights where key.hasPrefix(name + "/") {
        weights[description.nodes[node].layer.name + key.dropFirst(name.count)] = array
      }
    }
    contents.weights = weights
    contents.description = description
    return contents
  }
}
