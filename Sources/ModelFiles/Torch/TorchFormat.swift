import LSTM

/// PyTorch state_dicts in HDF5: one dataset per key.
enum TorchFormat {
  /// Endings of a recurrent module's keys, with its layer and direction: `weight_ih_l0_reverse`.
  struct RecurrentKey {
    var field: String
    /// nil: a cell (`weight_ih`).
    var layer: Int?
    var isReverse: Bool

    init?(_ leaf: String) {
      var rest = leaf
      isReverse = rest.hasSuffix("_reverse")
      if isReverse { rest.removeLast("_reverse".count) }
      let fields = ["weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr"]
      guard let field = fields.first(where: { rest.hasPrefix($0) }) else { return nil }
      self.field = field
      rest.removeFirst(field.count)
      if rest.isEmpty {
        guard !isReverse, field != "weight_hr" else { return nil }
        return
      }
      guard rest.hasPrefix("_l"), let number = Int(rest.dropFirst(2)), number >= 0, number < 4096
      else { return nil }
      layer = number
    }
  }

  /// Leaves of modules that are not recurrent.
  private static let plainLeaves: Set<String> = [
    "weight", "bias", "running_mean", "running_var", "num_batches_tracked",
  ]

  static func recognises(_ catalog: ArrayCatalog) -> Bool {
    catalog.names.contains { RecurrentKey($0.last ?? "") != nil }
  }

  private enum Module {
    /// Endings by direction: `_l0`, `_l0_reverse`; or nothing.
    case recurrent(suffixes: [String])
    case plain
  }

  /// Reads the weights of `description` out of a state_dict.
  static func read(
    _ catalog: ArrayCatalog, into description: NetworkDescription
  ) throws(EngineError) -> [String: WeightArray] {
    let targets = LayerTarget.targets(of: description)
    let pairs = try ModuleBinding.match(targets, with: try modules(of: catalog))
    var result: [String: WeightArray] = [:]
    for (target, unit) in pairs {
      switch (unit.module, target.kind) {
      case (.recurrent(let suffixes), .recurrent), (.recurrent(let suffixes), .bidirectional):
        try readRecurrent(catalog, unit.path, suffixes, target, &result)
      case (.plain, .plain(let kind)):
        for (part, array) in try readPlain(catalog, unit.path, kind) {
          result["\(target.name)/\(part)"] = array
        }
      default: break
      }
    }
    return result
  }

  private static func modules(
    of catalog: ArrayCatalog
  ) throws(EngineError) -> [ModuleBinding<Module>.Unit] {
    var order: [[String]] = []
    var recurrent: [[String]: [Int?: Set<Bool>]] = [:]
    var plain: Set<[String]> = []
    for name in catalog.names {
      let leaf = name.last ?? ""
      let path = Array(name.dropLast())
      if !order.contains(path) { order.append(path) }
      if let key = RecurrentKey(leaf) {
        recurrent[path, default: [:]][key.layer, default: []].insert(key.isReverse)
      } else if plainLeaves.contains(leaf) {
        plain.insert(path)
        if leaf == "num_batches_tracked" { catalog.ignore(name, because: "a training counter") }
      } else {
        throw EngineError(
          .format,
          "'\(name.joined(separator: "."))' is no array of a PyTorch layer that is supported")
      }
    }
    var units: [ModuleBinding<Module>.Unit] = []
    for path in order {
      if let layers = recurrent[path] {
        let isSingle = layers.count == 1
        for layer in layers.keys.sorted(by: { ($0 ?? -1) < ($1 ?? -1) }) {
          let stem = layer.map { "_l\($0)" } ?? ""
          let isBidirectional = layers[layer]?.contains(true) ?? false
          units.append(
            .init(
              path: path, index: isSingle ? nil : layer, isRecurrent: true,
              module: .recurrent(suffixes: isBidirectional ? [stem, stem + "_reverse"] : [stem])))
        }
      } else if plain.contains(path) {
        units.append(.init(path: path, index: nil, isRecurrent: false, module: .plain))
      }
    }
    return units
  }

  // MARK: - Recurrent layers

  private static func readRecurrent(
    _ catalog: ArrayCatalog, _ path: [String], _ suffixes: [String], _ target: LayerTarget,
    _ result: inout [String: WeightArray]
  ) throws(EngineError) {
    let directions = target.directions
    guard directions.count == suffixes.count else {
      throw EngineError(
        .shape,
        "\(target.displayName) has \(directions.count) direction(s), the file's module "
          + "'\(path.joined(separator: "."))' has \(suffixes.count)")
    }
    for (direction, suffix) in zip(directions, suffixes) {
      try direction.description.requirePlain("PyTorch", target.displayName)
      func name(_ field: String) -> [String] { path + [field + suffix] }
      let arrays = try readDirection(catalog, direction.description.cell, target, name)
      for (part, array) in arrays { result[direction.key + part] = array }
    }
  }

  private static func readDirection(
    _ catalog: ArrayCatalog, _ cell: CellDescription, _ target: LayerTarget,
    _ name: (String) -> [String]
  ) throws(EngineError) -> [String: WeightArray] {
    let gates = try gateCount(of: cell, target)
    let rows = gates * cell.units
    var result: [String: WeightArray] = [:]
    let input = try catalog.read(name("weight_ih"))
    guard input.shape.count == 2, input.shape[0] == rows else {
      throw EngineError(
        .shape,
        "'\(name("weight_ih").joined(separator: "."))' has shape \(describe(input.shape)), "
          + "\(target.displayName) needs \(rows) rows (\(gates) gates of \(cell.units))")
    }
    let hidden = try catalog.read(name("weight_hh"), expecting: [rows, cell.outputWidth])
    // The network's blocks from PyTorch's: GRU is r, z, n there and z, r, h here; LSTM agrees.
    let order = gates == 3 ? [1, 0, 2] : Array(0..<gates)
    result["kernel"] = try input.transposed().permutingColumnBlocks(order, of: gates)
    result["recurrent_kernel"] = try hidden.transposed().permutingColumnBlocks(order, of: gates)

    if let inputBias = try catalog.readIfPresent(name("bias_ih"), expecting: [rows]) {
      let hiddenBias = try catalog.read(name("bias_hh"), expecting: [rows])
      let bias: WeightArray
      if gates == 3 {
        bias = try WeightArray.joiningRows([
          try inputBias.reshaped([1, rows]), try hiddenBias.reshaped([1, rows]),
        ])
      } else {
        bias = try inputBias.adding(hiddenBias)
      }
      result["bias"] = try bias.permutingColumnBlocks(order, of: gates)
    }
    if case .lstm(let cell) = cell, let projection = cell.projection {
      result["projection"] =
        try catalog.read(name("weight_hr"), expecting: [projection, cell.units]).transposed()
    }
    return result
  }

  /// Gates of PyTorch's cell; refuses cells that PyTorch does not have.
  static func gateCount(
    of cell: CellDescription, _ target: LayerTarget
  ) throws(EngineError) -> Int {
    switch cell {
    case .simple: return 1
    case .gru(let cell):
      guard cell.resetAfter else {
        throw EngineError(
          .unsupported, "\(target.displayName) has reset_after=False; PyTorch's GRU resets after")
      }
      return 3
    case .lstm(let cell):
      guard cell.hasAllGates, !cell.hasPeepholes else {
        throw EngineError(
          .unsupported,
          "\(target.displayName) has peepholes, or lacks a gate; PyTorch's LSTM is the plain one")
      }
      return 4
    }
  }

  // MARK: - Other layers

  private static func readPlain(
    _ catalog: ArrayCatalog, _ path: [String], _ kind: LayerKind
  ) throws(EngineError) -> [String: WeightArray] {
    let weight = path + ["weight"]
    let bias = path + ["bias"]
    var result: [String: WeightArray] = [:]
    switch kind {
    case .dense:
      result["kernel"] = try catalog.read(weight).transposed()
      result["bias"] = try catalog.readIfPresent(bias)
    case .embedding(let vocabulary, let dimension, _):
      result["embeddings"] = try catalog.read(weight, expecting: [vocabulary, dimension])
    case .conv1D(let description):
      // (filters, inputs, width) to (width, inputs, filters)
      result["kernel"] = try catalog.read(weight).reversingAxes()
      result["bias"] = try catalog.readIfPresent(bias, expecting: [description.filters])
    case .batchNormalization:
      result["gamma"] = try catalog.readIfPresent(weight)
      result["beta"] = try catalog.readIfPresent(bias)
      result["moving_mean"] = try catalog.read(path + ["running_mean"])
      result["moving_variance"] = try catalog.read(path + ["running_var"])
    case .layerNormalization:
      result["gamma"] = try catalog.readIfPresent(weight)
      result["beta"] = try catalog.readIfPresent(bias)
    case .prelu:
      result["alpha"] = try catalog.read(weight)
    default:
      break
    }
    return result
  }
}
