import LSTM

/// `.weights.h5`: a tree of objects that follows the attributes of Keras's classes. Names come from classes
/// and positions, so the architecture is needed to read it.
struct KerasStoreWeights {
  let root: HDF5Group
  let style: KerasStoreNames.Style

  /// nil if `root` has none of the groups that mark this layout.
  init?(root: HDF5Group) throws(EngineError) {
    self.root = root
    if try root.groupIfPresent(KerasStoreNames.Style.layers.groupName) != nil {
      style = .layers
    } else if try root.groupIfPresent(KerasStoreNames.Style.checkpointDependencies.groupName) != nil
    {
      style = .checkpointDependencies
    } else {
      return nil
    }
  }

  /// Names of root members that are not the model's weights.
  func ignored() throws(EngineError) -> [String] {
    let reasons = [
      "optimizer": "the optimiser's state", "metrics": "metrics", "_metrics": "metrics",
      "compile_metrics": "metrics", "seed_generator": "the state of a random generator",
    ]
    var result: [String] = []
    for name in try root.names() where name != style.groupName && name != "vars" {
      guard let reason = reasons[name] else {
        throw EngineError(.format, "the file has the group '\(name)', which is not part of a model")
      }
      result.append("\(name): \(reason)")
    }
    return result
  }

  func read(
    into model: KerasModel, graph: KerasGraph
  ) throws(EngineError) -> [String: WeightArray] {
    var result: [String: WeightArray] = [:]
    try read(model, from: root, graph, &result)
    return result
  }

  /// Rows of the first kernel, where a Sequential does not say the width of its input.
  func firstKernelRows(of model: KerasModel) throws(EngineError) -> Int? {
    var names = KerasStoreNames(style: style)
    let container = try root.group(style.groupName)
    for layer in model.layers where !layer.isInput {
      let name = names.name(for: layer)
      guard let unit = layer.units.first else { continue }
      let path = unit.storePath.isEmpty ? "vars/0" : "\(unit.storePath)/vars/0"
      let shape = try container.groupIfPresent(name)?.datasetIfPresent(path)?.shape ?? []
      return shape.count >= 2 ? shape[shape.count - 2] : nil
    }
    return nil
  }

  private func read(
    _ model: KerasModel, from group: HDF5Group, _ graph: KerasGraph,
    _ result: inout [String: WeightArray]
  ) throws(EngineError) {
    let container = try group.group(style.groupName)
    var names = KerasStoreNames(style: style)
    var known: Set<String> = []
    for layer in model.storedLayers {
      let name = names.name(for: layer)
      known.insert(name)
      if case .model(let inner) = layer.content {
        if inner.layers.contains(where: { $0.hasWeights }) {
          try read(inner, from: try container.group(name), graph, &result)
        }
        continue
      }
      for entry in try KerasWeightPlan.entries(of: layer, in: graph) {
        try read(entry, from: try layerGroup(name, in: container, of: layer), &result)
      }
    }
    for name in try container.names() where !known.contains(name) {
      guard try !hasVariables(try container.group(name), depth: 0) else {
        throw EngineError(
          .shape,
          "the file has weights for '\(container.path)/\(name)', the architecture has no such layer"
        )
      }
    }
  }

  private func layerGroup(
    _ name: String, in container: HDF5Group, of layer: KerasLayer
  ) throws(EngineError) -> HDF5Group {
    guard let group = try container.groupIfPresent(name) else {
      throw EngineError(
        .shape,
        "the file has no weights for \(layer.displayName): '\(container.path)/\(name)' is missing")
    }
    return group
  }

  private func read(
    _ entry: KerasWeightPlan.Entry, from layerGroup: HDF5Group,
    _ result: inout [String: WeightArray]
  ) throws(EngineError) {
    let path = entry.unit.storePath.isEmpty ? "vars" : entry.unit.storePath + "/vars"
    guard let variables = try layerGroup.groupIfPresent(path) else {
      throw EngineError(
        .format, "\(entry.layer.displayName): the group '\(layerGroup.path)/\(path)' is missing")
    }
    let roles = entry.unit.roles
    let found = try variables.names().count
    guard found == roles.count else {
      throw EngineError(
        .format,
        "\(entry.layer.displayName) has \(found) arrays in '\(variables.path)', expected \(roles.count)"
      )
    }
    var arrays: [WeightArray] = []
    var sources: [String] = []
    // By number, not in the order of the links: `10` sorts before `2`.
    for index in roles.indices {
      let dataset = try variables.dataset(String(index))
      arrays.append(try dataset.read())
      sources.append(dataset.path)
    }
    for (part, array) in try entry.unit.decode(arrays, from: sources) {
      result[entry.keyPrefix + part] = array
    }
  }

  /// Whether a group of `vars` below is not empty.
  private func hasVariables(_ group: HDF5Group, depth: Int) throws(EngineError) -> Bool {
    guard depth < 16 else { return true }
    for name in try group.names() {
      switch try group.kind(of: name) {
      case .group:
        if name == "seed_generator" { continue }
        if try hasVariables(try group.group(name), depth: depth + 1) { return true }
      default: return true
      }
    }
    return false
  }
}
