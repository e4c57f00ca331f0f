import LSTM

extension ONNXFormat {
  /// Writes the tensors and attributes of ONNX's recurrent operators: at the root for one layer, in a group per
  /// layer for several.
  static func write(
    _ contents: ModelContents, to root: HDF5GroupWriter, compression: Int
  ) throws(EngineError) {
    let storage = HDF5Storage(number: contents.storedNumber, compression: compression)
    let targets = LayerTarget.targets(of: contents.description)
    for layer in targets {
      guard layer.isRecurrent else {
        throw EngineError(
          .unsupported,
          "\(layer.displayName) is not recurrent; the ONNX layout holds the tensors of "
            + "LSTM, GRU and RNN operators only")
      }
      let group = targets.count == 1 ? root : try root.group(layer.name)
      try write(layer, contents, to: group, storage)
    }
  }

  private static func write(
    _ layer: LayerTarget, _ contents: ModelContents, to group: HDF5GroupWriter,
    _ storage: HDF5Storage
  ) throws(EngineError) {
    try layer.requireExchangeable("ONNX")
    try layer.requireNoClips("ONNX", gates: true)
    let cell = layer.directions[0].description.cell
    guard layer.directions.allSatisfy({ $0.description.cell == cell }) else {
      throw EngineError(.unsupported, "\(layer.displayName) has two directions that differ")
    }
    let kind = try operatorKind(cell, layer)
    var tensors: [String: [WeightArray]] = [:]
    for direction in layer.directions {
      for (name, array) in try tensorsOfDirection(contents, direction.key, cell) {
        tensors[name, default: []].append(try array.reshaped([1] + array.shape))
      }
    }
    for (name, parts) in tensors {
      try group.write(try WeightArray.joiningRows(parts), to: name, as: storage)
    }
    let names = try activationNames(cell, layer)
    let attributes = group.attributes
    try attributes.set("op_type", kind)
    try attributes.set("opset", 14)
    try attributes.set("direction", layer.directions.count == 2 ? "bidirectional" : "forward")
    try attributes.set("hidden_size", cell.units)
    try attributes.set(
      "activations", Array(repeating: names, count: layer.directions.count).flatMap { $0 })
    try attributes.set("layout", 0)
    switch cell {
    case .lstm(let lstm):
      try attributes.set("input_forget", lstm.couplesGates ? 1 : 0)
      if let clip = lstm.gateClip { try attributes.set("clip", clip) }
    case .gru(let gru): try attributes.set("linear_before_reset", gru.resetAfter ? 1 : 0)
    case .simple: break
    }
  }

  private static func operatorKind(
    _ cell: CellDescription, _ layer: LayerTarget
  ) throws(EngineError) -> String {
    switch cell {
    case .simple: return "RNN"
    case .gru: return "GRU"
    case .lstm(let lstm):
      guard lstm.hasInputGate, lstm.hasOutputGate, lstm.hasForgetGate, lstm.projection == nil,
        lstm.peepholeKind == .diagonal || !lstm.hasPeepholes
      else {
        throw EngineError(
          .unsupported,
          "\(layer.displayName) lacks a gate, or has a projection or dense peepholes; "
            + "ONNX's LSTM does not")
      }
      return "LSTM"
    }
  }

  private static func activationNames(
    _ cell: CellDescription, _ layer: LayerTarget
  ) throws(EngineError) -> [String] {
    let functions: [Activation]
    switch cell {
    case .simple(let cell): functions = [cell.activation]
    case .gru(let cell): functions = [cell.recurrentActivation, cell.activation]
    case .lstm(let cell):
      functions = [cell.recurrentActivation, cell.activation, cell.outputActivation]
    }
    var names: [String] = []
    for function in functions {
      switch function {
      case .sigmoid: names.append("Sigmoid")
      case .tanh: names.append("Tanh")
      case .relu(0, nil, 0): names.append("Relu")
      case .softsign: names.append("Softsign")
      case .softplus: names.append("Softplus")
      case .elu(1): names.append("Elu")
      case .hardSigmoidKeras2: names.append("HardSigmoid")
      default:
        throw EngineError(
          .unsupported, "\(layer.displayName): ONNX has no activation \(function.json.text())")
      }
    }
    return names
  }

  /// W, R, B and P of one direction, without the axis of directions.
  private static func tensorsOfDirection(
    _ contents: ModelContents, _ key: String, _ cell: CellDescription
  ) throws(EngineError) -> [(String, WeightArray)] {
    var kernel = try contents.array(key + "kernel")
    var recurrent = try contents.array(key + "recurrent_kernel")
    var bias = contents.weights[key + "bias"]
    var result: [(String, WeightArray)] = []
    if case .lstm(let lstm) = cell {
      // ONNX keeps the rows of a coupled forget gate, unused: zeros.
      if lstm.couplesGates {
        func widen(_ array: WeightArray) throws(EngineError) -> WeightArray {
          let parts = try [0, 1, 2].map { (block) throws(EngineError) in
            try array.permutingColumnBlocks([block], of: 3)
          }
          return try WeightArray.joiningColumns([
            parts[0], try WeightArray(shape: parts[0].shape), parts[1], parts[2],
          ])
        }
        kernel = try widen(kernel)
        recurrent = try widen(recurrent)
        if let own = bias { bias = try widen(own) }
      }
      // input, forget, cell, output to i, o, f, c.
      let order = [0, 3, 1, 2]
      kernel = try kernel.permutingColumnBlocks(order, of: 4)
      recurrent = try recurrent.permutingColumnBlocks(order, of: 4)
      if let own = bias { bias = try own.permutingColumnBlocks(order, of: 4) }
      if lstm.hasPeepholes {
        var parts: [WeightArray] = []
        for name in ["input", "output", "forget"] {
          parts.append(
            try contents.arrayOrZeros("\(key)peephole_\(name)", shape: [lstm.units]))
        }
        result.append(("P", try WeightArray.joiningColumns(parts)))
      }
    }
    result.append(("W", try kernel.transposed()))
    result.append(("R", try recurrent.transposed()))
    if let bias {
      // Two biases; the second is zero unless the cell has two of its own.
      let both =
        bias.shape.count == 2
        ? try bias.reshaped([bias.count])
        : try WeightArray.joiningColumns([bias, try WeightArray(shape: bias.shape)])
      result.append(("B", both))
    }
    return result
  }
}
