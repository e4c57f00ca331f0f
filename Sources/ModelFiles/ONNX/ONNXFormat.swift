import LSTM

/// Tensors of ONNX's `LSTM`, `GRU` and `RNN` operators: `W`, `R`, `B`, `P` with the operator's attributes, at
/// the root or one group per operator. Directions come first; LSTM gates are i, o, f, c.
enum ONNXFormat {
  /// One operator: where its tensors are, and its attributes.
  struct Operator {
    let path: [String]
    let kind: String
    let hiddenSize: Int
    let inputSize: Int
    let directions: Int
    let activations: [Activation]
    let clip: Double?
    let couplesGates: Bool
    let resetsAfter: Bool
    let hasBias: Bool
    let hasPeepholes: Bool

    var gates: Int { kind == "LSTM" ? 4 : kind == "GRU" ? 3 : 1 }
    /// Blocks of the file in the order of the engine: LSTM i, o, f, c to i, f, c, o.
    var order: [Int] {
      switch kind {
      case "LSTM": couplesGates ? [0, 3, 1] : [0, 2, 3, 1]
      case "GRU": [0, 1, 2]
      default: [0]
      }
    }
  }

  static func recognises(_ catalog: ArrayCatalog) -> Bool {
    catalog.names.contains { $0.last == "W" && catalog.contains($0.dropLast() + ["R"]) }
  }

  /// The operators of a file, in the order of their names.
  static func operators(
    _ catalog: ArrayCatalog, _ root: HDF5Group
  ) throws(EngineError) -> [Operator] {
    var result: [Operator] = []
    for name in catalog.names where name.last == "W" {
      let path = Array(name.dropLast())
      guard catalog.contains(path + ["R"]) else { continue }
      let group = try root.group(path.joined(separator: "/"))
      result.append(try parse(catalog, path, group.attributes))
    }
    return result
  }

  private static func parse(
    _ catalog: ArrayCatalog, _ path: [String], _ attributes: HDF5Attributes
  ) throws(EngineError) -> Operator {
    let name = path.isEmpty ? "the operator" : "'\(path.joined(separator: "/"))'"
    func refuse(_ why: String) -> EngineError { EngineError(.unsupported, "\(name): \(why)") }
    let kind = try attributes.text("op_type") ?? "LSTM"
    guard ["LSTM", "GRU", "RNN"].contains(kind) else { throw refuse("operator '\(kind)'") }
    let recurrent = try catalog.shape(path + ["R"])
    let input = try catalog.shape(path + ["W"])
    guard recurrent.count == 3, input.count == 3, input[0] == recurrent[0], input[0] > 0,
      input[1] == recurrent[1]
    else {
      throw EngineError(
        .shape,
        "\(name): W has shape \(describe(input)) and R \(describe(recurrent)), expected "
          + "(directions, gates * hidden, inputs) and (directions, gates * hidden, hidden)")
    }
    let units = recurrent[2]
    guard try attributes.integer("hidden_size") ?? units == units else {
      throw EngineError(.shape, "\(name): hidden_size is not \(units), the width of R")
    }
    let direction =
      try attributes.text("direction") ?? (input[0] == 2 ? "bidirectional" : "forward")
    guard direction != "reverse" else {
      throw refuse("direction 'reverse' puts its outputs in the order of the input; not supported")
    }
    guard ["forward", "bidirectional"].contains(direction),
      input[0] == (direction == "forward" ? 1 : 2)
    else {
      throw EngineError(
        .shape, "\(name): direction '\(direction)' does not go with W of shape \(describe(input))")
    }
    let clip = try attributes.number("clip")
    guard clip == nil || kind == "LSTM" else { throw refuse("'clip' of a \(kind)") }
    let couples = try attributes.integer("input_forget") ?? 0
    return Operator(
      path: path, kind: kind, hiddenSize: units, inputSize: input[2], directions: input[0],
      activations: try activations(attributes, kind, directions: input[0], refuse),
      clip: clip, couplesGates: kind == "LSTM" && couples != 0,
      resetsAfter: try attributes.integer("linear_before_reset") ?? 0 != 0,
      hasBias: catalog.contains(path + ["B"]), hasPeepholes: catalog.contains(path + ["P"]))
  }

  private static func activations(
    _ attributes: HDF5Attributes, _ kind: String, directions: Int, _ refuse: (String) -> EngineError
  ) throws(EngineError) -> [Activation] {
    let defaults = [
      "LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"],
    ]
    let perDirection = defaults[kind] ?? []
    let names = try attributes.texts("activations") ?? []
    guard !names.isEmpty else {
      return try perDirection.map { (name) throws(EngineError) in
        try activation(name, nil, nil, refuse)
      }
    }
    guard names.count == perDirection.count * directions else {
      throw refuse("\(names.count) activations for \(directions) direction(s)")
    }
    let alphas = try attributes.numbers("activation_alpha") ?? []
    let betas = try attributes.numbers("activation_beta") ?? []
    var result: [Activation] = []
    for (index, name) in names.enumerated() {
      result.append(
        try activation(
          name, index < alphas.count ? alphas[index] : nil,
          index < betas.count ? betas[index] : nil, refuse))
    }
    if directions == 2 {
      guard Array(result[..<perDirection.count]) == Array(result[perDirection.count...]) else {
        throw refuse("the directions have different activations")
      }
    }
    return Array(result.prefix(perDirection.count))
  }

  private static func activation(
    _ name: String, _ alpha: Double?, _ beta: Double?, _ refuse: (String) -> EngineError
  ) throws(EngineError) -> Activation {
    switch name.lowercased() {
    case "sigmoid": return .sigmoid
    case "tanh": return .tanh
    case "relu": return .relu
    case "softsign": return .softsign
    case "softplus": return .softplus
    case "elu": return .elu(alpha: alpha ?? 1)
    case "leakyrelu": return .relu(slope: alpha ?? 0.01)
    case "hardsigmoid":
      let (alpha, beta) = (Float(alpha ?? 0.2), Float(beta ?? 0.5))
      if alpha == 0.2, beta == 0.5 { return .hardSigmoidKeras2 }
      if abs(alpha - 1 / 6) < 1e-6, beta == 0.5 { return .hardSigmoid }
      throw refuse("HardSigmoid with alpha \(alpha) and beta \(beta)")
    default: throw refuse("activation '\(name)'")
    }
  }

  // MARK: - Architecture

  /// The architecture that the file itself tells: its operators in a chain.
  static func describeNetwork(_ operators: [Operator]) throws(EngineError) -> NetworkDescription {
    guard let first = operators.first else { throw EngineError(.format, "there are no operators") }
    var layers: [LayerDescription] = []
    var names: Set<String> = []
    var width = first.inputSize
    for (index, op) in operators.enumerated() {
      guard op.inputSize == width else {
        throw EngineError(
          .state, "the file's operators are no chain; build the network, then load_weights")
      }
      var recurrent = RecurrentDescription(cell: cell(of: op), returnSequences: true)
      recurrent.maskedOutput = .zero
      let name = op.path.last ?? op.kind.lowercased()
      var kind = LayerKind.recurrent(recurrent)
      if op.directions == 2 {
        var backward = recurrent
        backward.goBackwards = true
        kind = .bidirectional(BidirectionalDescription(forward: recurrent, backward: backward))
      }
      let isTaken = !names.insert(name).inserted
      layers.append(LayerDescription(name: isTaken ? "\(name)_\(index)" : name, kind: kind))
      width = op.directions * op.hiddenSize
    }
    return NetworkDescription(
      name: "onnx", input: InputDescription(shape: .sequence(time: nil, features: first.inputSize)),
      layers: layers)
  }

  private static func cell(of op: Operator) -> CellDescription {
    switch op.kind {
    case "GRU":
      var cell = GRUDescription(units: op.hiddenSize)
      cell.recurrentActivation = op.activations[0]
      cell.activation = op.activations[1]
      cell.useBias = op.hasBias
      cell.resetAfter = op.resetsAfter
      return .gru(cell)
    case "RNN":
      var cell = SimpleRNNDescription(units: op.hiddenSize)
      cell.activation = op.activations[0]
      cell.useBias = op.hasBias
      return .simple(cell)
    default:
      var cell = LSTMDescription(units: op.hiddenSize)
      cell.recurrentActivation = op.activations[0]
      cell.activation = op.activations[1]
      cell.outputActivation = op.activations[2]
      cell.useBias = op.hasBias
      cell.couplesGates = op.couplesGates
      cell.gateClip = op.clip
      cell.inputPeephole = op.hasPeepholes
      cell.forgetPeephole = op.hasPeepholes && !op.couplesGates
      cell.outputPeephole = op.hasPeepholes
      return .lstm(cell)
    }
  }

  // MARK: - Weights

  static func read(
    _ catalog: ArrayCatalog, _ operators: [Operator], into description: NetworkDescription,
    _ report: inout LoadReport
  ) throws(EngineError) -> [String: WeightArray] {
    let targets = LayerTarget.targets(of: description).filter { $0.isRecurrent }
    let units = operators.map {
      ModuleBinding<Operator>.Unit(path: $0.path, index: nil, isRecurrent: true, module: $0)
    }
    var result: [String: WeightArray] = [:]
    let pairs =
      targets.count == units.count && operators.allSatisfy { $0.path.isEmpty }
      ? zip(targets, units).map { ($0, $1) }
      : try ModuleBinding.match(targets, with: units).map { ($0.target, $0.unit) }
    for (target, unit) in pairs {
      let op = unit.module
      guard target.directions.count == op.directions else {
        throw EngineError(
          .shape,
          "\(target.displayName) has \(target.directions.count) direction(s), "
            + "the operator has \(op.directions)")
      }
      for (index, direction) in target.directions.enumerated() {
        let cell = direction.description.cell
        try direction.description.requirePlain("ONNX", target.displayName)
        guard cell.gateCountOfONNX == op.gates, cell.units == op.hiddenSize,
          cell.outputWidth == cell.units
        else {
          throw EngineError(
            .shape,
            "\(target.displayName) is not the operator of the file: \(op.kind) of "
              + "\(op.hiddenSize) units")
        }
        let arrays = try readDirection(catalog, op, index, cell, target)
        for (part, array) in arrays { result[direction.key + part] = array }
      }
      if op.couplesGates {
        report.ignored.append("the forget gate's rows: the operator couples its gates")
      }
    }
    return result
  }

  private static func readDirection(
    _ catalog: ArrayCatalog, _ op: Operator, _ index: Int, _ cell: CellDescription,
    _ target: LayerTarget
  ) throws(EngineError) -> [String: WeightArray] {
    let (gates, units) = (op.gates, op.hiddenSize)
    if case .lstm(let lstm) = cell, lstm.couplesGates != op.couplesGates {
      throw EngineError(
        .shape, "\(target.displayName): the operator has input_forget = \(op.couplesGates ? 1 : 0)")
    }
    func tensor(_ name: String, _ shape: [Int]) throws(EngineError) -> WeightArray {
      try catalog.read(op.path + [name], expecting: [op.directions] + shape).element(index)
    }
    var result = [
      "kernel": try tensor("W", [gates * units, op.inputSize]).transposed()
        .permutingColumnBlocks(op.order, of: gates),
      "recurrent_kernel": try tensor("R", [gates * units, units]).transposed()
        .permutingColumnBlocks(op.order, of: gates),
    ]
    if op.hasBias {
      let both = try tensor("B", [2 * gates * units]).reshaped([2, gates * units])
      if case .gru(let gru) = cell, gru.resetAfter {
        result["bias"] = both
      } else {
        result["bias"] = try both.element(0).adding(try both.element(1))
          .permutingColumnBlocks(op.order, of: gates)
      }
    }
    if case .lstm(let lstm) = cell, op.hasPeepholes {
      // P is i, o, f.
      let peepholes = try tensor("P", [3 * units]).reshaped([3, units])
      if lstm.inputPeephole { result["peephole_input"] = try peepholes.element(0) }
      if lstm.outputPeephole { result["peephole_output"] = try peepholes.element(1) }
      if lstm.forgetPeephole { result["peephole_forget"] = try peepholes.element(2) }
    }
    return result
  }
}

extension CellDescription {
  fileprivate var gateCountOfONNX: Int {
    switch self {
    case .lstm: 4
    case .gru: 3
    case .simple: 1
    }
  }
}
