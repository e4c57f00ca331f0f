import LSTM

/// Writes Keras's layouts, in the forms that Keras 3 and tf.keras both load.
struct KerasWriter {
  let contents: ModelContents
  let json: JSONValue
  let model: KerasModel
  let graph: KerasGraph
  /// Network layer name by Keras layer name.
  private let ownNames: [String: String]
  let compression: Int

  init(
    _ contents: ModelContents, purpose: KerasJSONWriter.Purpose, namesModules: Bool,
    compression: Int
  ) throws(EngineError) {
    self.contents = contents
    self.compression = compression
    let writer = KerasJSONWriter(
      contents.description, purpose: purpose, namesModules: namesModules)
    try writer.checkVersions()
    (needsKeras2, needsKeras3) = (writer.needsKeras2, writer.needsKeras3)
    json = try writer.write()
    // What was written is read back: one place knows which arrays a layer has, and in which order.
    let version = KerasVersion(writer.needsKeras3 ? "3.0.0" : "2.15.0", guessingFrom: json)
    model = try KerasParser(version: version, limits: FileLimits()).model(json)
    (_, graph) = try KerasGraph.flatten(model)
    if !contents.description.isChain {
      let weighted = Set(model.layers.filter(\.hasWeights).map(\.name))
      let nodes = writer.layers.filter { weighted.contains($0.name) }.map(\.node)
      if let doubt = KerasLayerOrder.doubt(about: Set(nodes), of: contents.description) {
        throw writer.refuse(doubt)
      }
    }
    var ownNames: [String: String] = [:]
    for (node, name) in writer.layers {
      ownNames[name] = contents.description.nodes[node].layer.name
    }
    self.ownNames = ownNames
  }

  /// Version that the file claims: what it needs, or what every reader accepts.
  private var versionText: String { needsKeras3 ? "3.0.0" : "2.15.0" }
  private let needsKeras2, needsKeras3: Bool

  private var storage: HDF5Storage {
    HDF5Storage(
      number: contents.precision.number, compression: compression)
  }

  /// The array of one role, in Keras's shape.
  private func array(
    _ layer: KerasLayer, _ unit: KerasWeightUnit, _ role: KerasWeightUnit.Role
  ) throws(EngineError) -> WeightArray {
    let key = "\(ownNames[layer.name] ?? layer.name)/\(unit.part)\(role.name)"
    guard let array = contents.weights[key] else {
      throw EngineError(.notFound, "the network has no parameter '\(key)'")
    }
    // PReLU that shares its slopes over time: (1, features).
    if role.name == "alpha", role.shape.count == 2 {
      return try array.reshaped([1, array.count])
    }
    return array
  }

  // MARK: - Whole models and weights in the old layout

  func writeWholeModel(_ root: HDF5GroupWriter) throws(EngineError) {
    try root.attributes.set("keras_version", versionText)
    try root.attributes.set("backend", "tensorflow")
    try root.attributes.set("model_config", json.text())
    try writeLegacyWeights(try root.group("model_weights"))
  }

  func writeLegacyWeights(_ group: HDF5GroupWriter) throws(EngineError) {
    let layers = model.storedLayers
    try group.attributes.set("layer_names", layers.map(\.name))
    try group.attributes.set("backend", "tensorflow")
    try group.attributes.set("keras_version", versionText)
    for layer in layers {
      let layerGroup = try group.group(layer.name)
      var names: [String] = []
      for unit in layer.units {
        for role in unit.roles {
          let name = "\(layer.name)/\(path(of: unit, in: layer))\(role.name):0"
          try layerGroup.write(try array(layer, unit, role), to: name, as: storage)
          names.append(name)
        }
      }
      try layerGroup.attributes.set("weight_names", names)
    }
  }

  private func path(of unit: KerasWeightUnit, in layer: KerasLayer) -> String {
    guard case .cell(let cell) = unit.kind else { return "" }
    let cellName = cell.storeName
    switch unit.part {
    case "forward/": return "forward_\(layer.name)/\(cellName)/"
    case "backward/": return "backward_\(layer.name)/\(cellName)/"
    default: return "\(cellName)/"
    }
  }

  // MARK: - .weights.h5 and .keras

  func writeStore(_ root: HDF5GroupWriter) throws(EngineError) {
    let container = try root.group(KerasStoreNames.Style.layers.groupName)
    var names = KerasStoreNames(style: .layers)
    for layer in model.storedLayers {
      let group = try container.group(names.name(for: layer))
      // tf.keras needs the empty groups of objects without variables.
      try group.group("vars").attributes.set("name", layer.name)
      for unit in layer.units {
        try writeUnit(unit, of: layer, in: group)
      }
      if layer.units.isEmpty, layer.className == "TimeDistributed" {
        try group.group("layer/vars").attributes.set("name", layer.name + "_layer")
      }
    }
    try root.group("vars").attributes.set("name", model.name)
  }

  private func writeUnit(
    _ unit: KerasWeightUnit, of layer: KerasLayer, in group: HDF5GroupWriter
  ) throws(EngineError) {
    let object = unit.storePath.isEmpty ? group : try group.group(unit.storePath)
    let variables = try object.group("vars")
    if case .cell(let cell) = unit.kind {
      try variables.attributes.set("name", cell.storeName)
      if unit.part == "forward/" {
        try group.group("forward_layer/vars").attributes.set("name", "forward_\(layer.name)")
      } else if unit.part == "backward/" {
        try group.group("backward_layer/vars").attributes.set("name", "backward_\(layer.name)")
      }
    } else if !unit.storePath.isEmpty {
      try variables.attributes.set("name", layer.name + "_layer")
    }
    for (index, role) in unit.roles.enumerated() {
      try variables.write(try array(layer, unit, role), to: String(index), as: storage)
    }
  }

  /// A `.keras` archive: members are stored, not deflated, as Keras does.
  func writeArchive(to path: String) throws(EngineError) {
    let weights = try HDF5FileWriter.image { (root) throws(EngineError) in try writeStore(root) }
    let metadata: JSONValue = [
      "keras_version": .string(needsKeras2 ? "2.15.0" : "3.0.0"),
      "date_saved": "2024-01-01@00:00:00",
    ]
    var metadataText = metadata.text()
    var configText = json.text()
    try metadataText.withUTF8Bytes { (metadata) throws(EngineError) in
      try configText.withUTF8Bytes { (config) throws(EngineError) in
        try ZipArchive.write(
          [
            ("metadata.json", metadata), ("config.json", config),
            ("model.weights.h5", UnsafeRawBufferPointer(weights.elements)),
          ], to: path)
      }
    }
  }
}

extension CellDescription {
  /// What Keras calls the cell inside a layer.
  fileprivate var storeName: String {
    switch self {
    case .simple: "simple_rnn_cell"
    case .gru: "gru_cell"
    case .lstm: "lstm_cell"
    }
  }
}

extension String {
  fileprivate mutating func withUTF8Bytes<Result>(
    _ body: (UnsafeRawBufferPointer) throws(EngineError) -> Result
  ) throws(EngineError) -> Result {
    var outcome: Swift.Result<Result, EngineError>?
    withUTF8 { bytes in
      do throws(EngineError) {
        outcome = .success(try body(UnsafeRawBufferPointer(bytes)))
      } catch { outcome = .failure(error) }
    }
    guard let outcome else { throw EngineError(.state, "the text has no bytes") }
    return try outcome.get()
  }
}
