import LSTM

extension TensorFlow1Format {
  /// The forget bias that TensorFlow's cells add by default; it is taken off the stored bias.
  private static let forgetBias = 1.0

  /// Writes variables under the names of `dynamic_rnn`, `MultiRNNCell` and their bidirectional forms.
  ///
  /// - Parameter prefix: the outermost scope; nil: TensorFlow's default.
  static func write(
    _ contents: ModelContents, to root: HDF5GroupWriter, prefix: String?, compression: Int
  ) throws(EngineError) {
    let storage = HDF5Storage(number: contents.storedNumber, compression: compression)
    let targets = LayerTarget.targets(of: contents.description)
    let recurrent = targets.filter { $0.isRecurrent }
    let scopes = try scopes(of: recurrent, prefix: prefix)
    var cells: [JSONValue] = []
    for (layer, paths) in zip(recurrent, scopes) {
      try layer.requireExchangeable("TensorFlow 1")
      try layer.requireUsualActivations("TensorFlow 1")
      try layer.requireNoClips("TensorFlow 1", cell: true)
      for (direction, path) in zip(layer.directions, paths) {
        let arrays = try variables(contents, direction.key, direction.description.cell, layer)
        for (name, array) in arrays { try root.write(array, to: "\(path)/\(name)", as: storage) }
        if direction.key.hasSuffix("/backward/") { continue }
        cells.append(arguments(of: direction.description.cell))
      }
    }
    for layer in targets {
      guard case .plain(let kind) = layer.kind else { continue }
      for (part, array) in contents.weights where part.hasPrefix(layer.name + "/") {
        var name = part
        if case .embedding = kind { name = layer.name + "/embeddings" }
        try root.write(array, to: name, as: storage)
      }
    }
    try root.attributes.set("framework", "tensorflow")
    try root.attributes.set("cells", JSONValue.array(cells).text())
  }

  private static func scopes(
    of layers: [LayerTarget], prefix: String?
  ) throws(EngineError) -> [[String]] {
    let isBidirectional = layers.contains { $0.directions.count == 2 }
    guard layers.allSatisfy({ ($0.directions.count == 2) == isBidirectional }) else {
      throw EngineError(
        .unsupported, "TensorFlow 1 has no scope for a stack of layers with one and two directions")
    }
    let isSingle = layers.count == 1
    let stem =
      prefix
      ?? (isBidirectional ? (isSingle ? "bidirectional_rnn" : "stack_bidirectional_rnn") : "rnn")
    let base = stem.hasSuffix("/") || stem.isEmpty ? stem : stem + "/"
    return layers.enumerated().map { index, layer in
      let cell = cellName(layer.directions[0].description.cell)
      if isBidirectional {
        let inner = isSingle ? base : "\(base)cell_\(index)/bidirectional_rnn/"
        return ["\(inner)fw/\(cell)", "\(inner)bw/\(cell)"]
      }
      return [isSingle ? "\(base)\(cell)" : "\(base)multi_rnn_cell/cell_\(index)/\(cell)"]
    }
  }

  private static func cellName(_ cell: CellDescription) -> String {
    switch cell {
    case .simple: "basic_rnn_cell"
    case .gru: "gru_cell"
    case .lstm: "lstm_cell"
    }
  }

  /// The arguments of the cell's constructor, which its variables do not tell.
  private static func arguments(of cell: CellDescription) -> JSONValue {
    switch cell {
    case .simple(let cell): return ["cell": "BasicRNNCell", "units": .integer(cell.units)]
    case .gru(let cell): return ["cell": "GRUCell", "units": .integer(cell.units)]
    case .lstm(let cell):
      var object: JSONObject = ["cell": "LSTMCell", "units": .integer(cell.units)]
      if cell.hasPeepholes { object["use_peepholes"] = .bool(true) }
      if let projection = cell.projection { object["num_proj"] = .integer(projection) }
      if let clip = cell.cellClip { object["cell_clip"] = .number(clip) }
      if let clip = cell.projectionClip { object["proj_clip"] = .number(clip) }
      object["forget_bias"] = .number(forgetBias)
      return .object(object)
    }
  }

  private static func variables(
    _ contents: ModelContents, _ key: String, _ cell: CellDescription, _ layer: LayerTarget
  ) throws(EngineError) -> [(String, WeightArray)] {
    let kernel = try contents.array(key + "kernel")
    let recurrent = try contents.array(key + "recurrent_kernel")
    switch cell {
    case .simple(let cell):
      let bias = try contents.arrayOrZeros(key + "bias", shape: [cell.units])
      return [("kernel", try WeightArray.joiningRows([kernel, recurrent])), ("bias", bias)]
    case .gru(let cell):
      guard !cell.resetAfter else {
        throw EngineError(
          .unsupported,
          "\(layer.displayName) has reset_after=True; TensorFlow 1's GRUCell resets before")
      }
      let bias = try contents.arrayOrZeros(key + "bias", shape: [3 * cell.units])
      let both = try WeightArray.joiningRows([kernel, recurrent])
      return [
        ("gates/kernel", try both.permutingColumnBlocks([1, 0], of: 3)),
        ("gates/bias", try bias.permutingColumnBlocks([1, 0], of: 3)),
        ("candidate/kernel", try both.permutingColumnBlocks([2], of: 3)),
        ("candidate/bias", try bias.permutingColumnBlocks([2], of: 3)),
      ]
    case .lstm(let cell):
      guard cell.hasAllGates, cell.peepholeKind == .diagonal || !cell.hasPeepholes else {
        throw EngineError(
          .unsupported,
          "\(layer.displayName) lacks a gate, or has dense peepholes; TensorFlow 1's "
            + "LSTMCell does not")
      }
      let order = [0, 2, 1, 3]
      let bias = try contents.arrayOrZeros(key + "bias", shape: [4 * cell.units])
      let stored = try bias.permutingColumnBlocks(order, of: 4)
      for index in 2 * cell.units..<3 * cell.units { stored.values[index] -= forgetBias }
      var result = [
        (
          "kernel",
          try WeightArray.joiningRows([kernel, recurrent]).permutingColumnBlocks(order, of: 4)
        ),
        ("bias", stored),
      ]
      if cell.hasPeepholes {
        for (letter, name) in [("i", "input"), ("f", "forget"), ("o", "output")] {
          let key = "\(key)peephole_\(name)"
          let array = try contents.arrayOrZeros(key, shape: [cell.units])
          result.append(("w_\(letter)_diag", array))
        }
      }
      if cell.projection != nil {
        result.append(("projection/kernel", try contents.array(key + "projection")))
      }
      return result
    }
  }
}
