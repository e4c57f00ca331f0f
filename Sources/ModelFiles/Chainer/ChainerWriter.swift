import LSTM

extension ChainerFormat {
  /// Writes what `serializers.load_hdf5` reads: `L.LSTM` or `L.StatefulPeepholeLSTM` for a single LSTM of one
  /// direction, `L.StatefulGRU` for a GRU that resets before the product, NStep links for everything else.
  static func write(
    _ contents: ModelContents, to root: HDF5GroupWriter, prefix: String?, compression: Int
  ) throws(EngineError) {
    let storage = HDF5Storage(number: contents.storedNumber, compression: compression)
    let modules = try ModuleNaming.modules(
      of: contents.description, prefix: prefix, separator: "/")
    for module in modules {
      let name = String(module.name.map { $0 == "." ? "/" : $0 })
      func put(_ field: String, _ array: WeightArray?) throws(EngineError) {
        guard let array else { return }
        try root.write(array, to: name.isEmpty ? field : "\(name)/\(field)", as: storage)
      }
      guard let first = module.layers.first else { continue }
      if case .plain(let kind) = first.kind {
        try writePlain(contents, first, kind, put)
        if case .batchNormalization = kind {
          try root.write(
            try WeightArray(shape: []), to: "\(name)/N", as: HDF5Storage(number: .int64))
        }
        continue
      }
      for layer in module.layers {
        try layer.requireExchangeable("Chainer")
        try layer.requireUsualActivations("Chainer", allowsRelu: true)
        try layer.requireNoClips("Chainer")
      }
      if module.layers.count == 1, case .recurrent(let description) = first.kind,
        case .lstm(let cell) = description.cell
      {
        try writeInterleaved(contents, first, cell, put)
        continue
      }
      if module.layers.count == 1, case .recurrent(let description) = first.kind,
        case .gru(let cell) = description.cell, !cell.resetAfter
      {
        try writeGated(contents, first, cell, put)
        continue
      }
      var group = 0
      for layer in module.layers {
        for direction in layer.directions {
          try writeStacked(contents, layer, direction.key, direction.description.cell, group, put)
          group += 1
        }
      }
    }
  }

  private static func writeInterleaved(
    _ contents: ModelContents, _ layer: LayerTarget, _ cell: LSTMDescription,
    _ put: (String, WeightArray?) throws(EngineError) -> Void
  ) throws(EngineError) {
    guard cell.hasAllGates, cell.projection == nil else {
      throw EngineError(
        .unsupported,
        "\(layer.displayName) has a projection, or lacks a gate; Chainer's LSTM does not")
    }
    let order = [1, 2, 0, 3]
    let key = layer.name + "/"
    let kernel = try contents.array(key + "kernel")
    let recurrent = try contents.array(key + "recurrent_kernel")
    try put("upward/W", try kernel.interleavingColumns(order).transposed())
    try put("lateral/W", try recurrent.interleavingColumns(order).transposed())
    let bias = try contents.arrayOrZeros(key + "bias", shape: [4 * cell.units])
    try put("upward/b", try bias.interleavingColumns(order))
    guard cell.hasPeepholes else { return }
    for (letter, name) in [("i", "input"), ("f", "forget"), ("o", "output")] {
      let matrix = try WeightArray(shape: [cell.units, cell.units])
      if let own = contents.weights["\(key)peephole_\(name)"] {
        if own.shape.count == 2 {
          matrix.copy(from: try own.transposed())
        } else {
          for unit in 0..<cell.units { matrix[unit, unit] = own.values[unit] }
        }
      }
      try put("peep_\(letter)/W", matrix)
    }
  }

  private static func writeStacked(
    _ contents: ModelContents, _ layer: LayerTarget, _ key: String, _ cell: CellDescription,
    _ group: Int, _ put: (String, WeightArray?) throws(EngineError) -> Void
  ) throws(EngineError) {
    let gates = try TorchFormat.gateCount(of: cell, layer)
    guard cell.outputWidth == cell.units else {
      throw EngineError(
        .unsupported, "\(layer.displayName) has a projection, which Chainer does not know")
    }
    let units = cell.units
    let order = gates == 3 ? [1, 0, 2] : Array(0..<gates)
    let kernel = try contents.array(key + "kernel").permutingColumnBlocks(order, of: gates)
    let recurrent = try contents.array(key + "recurrent_kernel")
      .permutingColumnBlocks(order, of: gates)
    let zeros = try WeightArray(shape: [gates * units])
    var biases = (input: contents.weights[key + "bias"] ?? zeros, hidden: zeros)
    if biases.input.shape.count == 2 {
      biases = (try biases.input.element(0), try biases.input.element(1))
    }
    let inputBias = try biases.input.permutingColumnBlocks(order, of: gates)
    let hiddenBias = try biases.hidden.permutingColumnBlocks(order, of: gates)
    for gate in 0..<gates {
      func block(_ array: WeightArray) throws(EngineError) -> WeightArray {
        try array.permutingColumnBlocks([gate], of: gates)
      }
      try put("\(group)/w\(gate)", try block(kernel).transposed())
      try put("\(group)/w\(gates + gate)", try block(recurrent).transposed())
      try put("\(group)/b\(gate)", try block(inputBias))
      try put("\(group)/b\(gates + gate)", try block(hiddenBias))
    }
  }

  private static func writePlain(
    _ contents: ModelContents, _ layer: LayerTarget, _ kind: LayerKind,
    _ put: (String, WeightArray?) throws(EngineError) -> Void
  ) throws(EngineError) {
    func own(_ part: String) -> WeightArray? { contents.weights["\(layer.name)/\(part)"] }
    switch kind {
    case .dense:
      try put("W", try contents.array("\(layer.name)/kernel").transposed())
      try put("b", own("bias"))
    case .embedding:
      try put("W", own("embeddings"))
    case .conv1D:
      try put("W", try contents.array("\(layer.name)/kernel").reversingAxes())
      try put("b", own("bias"))
    case .batchNormalization:
      try put("gamma", own("gamma"))
      try put("beta", own("beta"))
      try put("avg_mean", own("moving_mean"))
      try put("avg_var", own("moving_variance"))
    case .layerNormalization:
      try put("gamma", own("gamma"))
      try put("beta", own("beta"))
    case .prelu:
      try put("W", own("alpha"))
    default: break
    }
  }
}
