import LSTM

/// The weights of whole-model `.h5` files and of `save_weights("x.h5")`: a group per layer, the order in
/// the attributes `layer_names` and `weight_names`, never in the links or in the names of groups.
struct KerasLegacyWeights {
  let group: HDF5Group
  /// Layers of the file that own arrays, with the arrays' paths.
  let layers: [(name: String, weights: [String])]
  let backend: String

  init(group: HDF5Group) throws(EngineError) {
    self.group = group
    guard let names = try group.attributes.texts("layer_names") else {
      throw EngineError(.format, "\(group.displayPath) has no attribute 'layer_names'")
    }
    var layers: [(name: String, weights: [String])] = []
    for name in names {
      let weights = try group.group(name).attributes.texts("weight_names") ?? []
      if !weights.isEmpty { layers.append((name, weights)) }
    }
    self.layers = layers
    backend = try group.attributes.text("backend") ?? ""
  }

  /// Rows of the first layer's kernel: the width of the model's input, if that has to be guessed.
  func firstKernelRows() throws(EngineError) -> Int? {
    guard let first = layers.first, let path = first.weights.first else { return nil }
    let shape = try group.group(first.name).dataset(path).shape
    return shape.count >= 2 ? shape[shape.count - 2] : nil
  }

  /// Reads every array.
  func read(
    into model: KerasModel, graph: KerasGraph
  ) throws(EngineError) -> [String: WeightArray] {
    let owners = try match(model)
    var result: [String: WeightArray] = [:]
    for (stored, layer) in zip(layers, owners) {
      let entries = try KerasWeightPlan.entries(of: layer, in: graph)
      try read(stored.name, stored.weights, into: layer, entries, &result)
    }
    return result
  }

  /// The model's layer for each stored one: by name if the names are the same, else by order (as Keras).
  private func match(_ model: KerasModel) throws(EngineError) -> [KerasLayer] {
    let owners = model.layers.filter { $0.hasWeights }
    guard owners.count == layers.count else {
      let expected = owners.map { "'\($0.name)'" }.joined(separator: ", ")
      let found = layers.map { "'\($0.name)'" }.joined(separator: ", ")
      throw EngineError(
        .shape,
        "the file has weights for \(layers.count) layers (\(found)), the architecture has "
          + "\(owners.count) with weights (\(expected))")
    }
    var byName: [String: KerasLayer] = [:]
    for layer in owners { byName[layer.name] = layer }
    let named = layers.compactMap { byName[$0.name] }
    return named.count == owners.count && byName.count == owners.count ? named : owners
  }

  private func read(
    _ name: String, _ paths: [String], into layer: KerasLayer, _ entries: [KerasWeightPlan.Entry],
    _ result: inout [String: WeightArray]
  ) throws(EngineError) {
    // (entry, role) in the file's order: all trainable arrays, then the others.
    var slots = KerasLegacyWeights.slots(entries)
    if slots.count != paths.count {
      slots = KerasLegacyWeights.separateSlots(entries)
      guard slots.count == paths.count else {
        throw EngineError(
          .format,
          "\(layer.displayName) has \(paths.count) arrays in the file, expected "
            + "\(KerasLegacyWeights.slots(entries).count)")
      }
    }
    var arrays: [[WeightArray]] = entries.map { _ in [] }
    var sources: [[String]] = entries.map { _ in [] }
    let group = try group.group(name)
    for (path, slot) in zip(paths, slots) {
      try KerasLegacyWeights.checkName(path, role: slot.role, layer)
      let dataset = try group.dataset(path)
      arrays[slot.entry].append(try dataset.read())
      sources[slot.entry].append(dataset.path)
    }
    for (index, entry) in entries.enumerated() {
      let decoded = try entry.unit.decode(arrays[index], from: sources[index], backend: backend)
      for (part, array) in decoded { result[entry.keyPrefix + part] = array }
    }
  }

  private struct Slot {
    var entry: Int
    var role: String
  }

  private static func slots(_ entries: [KerasWeightPlan.Entry]) -> [Slot] {
    var slots: [Slot] = []
    for wanted in [true, false] {
      for (index, entry) in entries.enumerated() {
        for role in entry.unit.roles {
          if (role.isTrainable && entry.layer.isTrainable) == wanted || entries.count == 1 && wanted
          {
            slots.append(Slot(entry: index, role: role.name))
          }
        }
      }
      if entries.count == 1 { break }
    }
    return slots
  }

  /// Keras 1: an array per gate.
  private static func separateSlots(_ entries: [KerasWeightPlan.Entry]) -> [Slot] {
    var slots: [Slot] = []
    for (index, entry) in entries.enumerated() {
      guard let count = entry.unit.separateGateCount else {
        slots += entry.unit.roles.map { Slot(entry: index, role: $0.name) }
        continue
      }
      slots += Array(repeating: Slot(entry: index, role: ""), count: count)
    }
    return slots
  }

  /// Order decides; but if the file's own name for an array says that it is another one, something is wrong.
  private static func checkName(
    _ path: String, role: String, _ layer: KerasLayer
  ) throws(EngineError) {
    let known = [
      "kernel", "recurrent_kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance",
      "embeddings",
    ]
    guard var name = path.split(separator: "/").last, known.contains(role) else { return }
    if let colon = name.firstIndex(of: ":") { name = name[..<colon] }
    while let last = name.last, last.isNumber || last == "_" { name.removeLast() }
    guard !known.contains(String(name)) || name == role else {
      throw EngineError(
        .format, "\(layer.displayName): the array '\(path)' stands where its \(role) should be")
    }
  }
}
