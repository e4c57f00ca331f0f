import LSTM

extension KerasJSONWriter {
  // MARK: - Recurrent layers

  func recurrent(
    _ description: RecurrentDescription, returnsState: Bool
  ) throws(EngineError) -> (String, JSONObject) {
    guard !description.learnsInitialState else { throw refuse("learned initial states") }
    var options: JSONObject = [:]
    let className: String
    switch description.cell {
    case .simple(let cell):
      className = "SimpleRNN"
      options["units"] = .integer(cell.units)
      options["activation"] = try activation(cell.activation)
      options["use_bias"] = .bool(cell.useBias)
    case .gru(let cell):
      className = "GRU"
      options["units"] = .integer(cell.units)
      options["activation"] = try activation(cell.activation)
      options["recurrent_activation"] = try activation(cell.recurrentActivation)
      options["use_bias"] = .bool(cell.useBias)
      options["reset_after"] = .bool(cell.resetAfter)
    case .lstm(let cell):
      className = "LSTM"
      try checkExpressible(cell)
      options["units"] = .integer(cell.units)
      options["activation"] = try activation(cell.activation)
      options["recurrent_activation"] = try activation(cell.recurrentActivation)
      options["use_bias"] = .bool(cell.useBias)
      options["unit_forget_bias"] = .bool(true)
    }
    options["return_sequences"] = .bool(description.returnSequences)
    options["return_state"] = .bool(returnsState)
    options["go_backwards"] = .bool(description.goBackwards)
    options["stateful"] = .bool(description.isStateful)
    options["dropout"] = .number(description.dropout)
    options["recurrent_dropout"] = .number(description.recurrentDropout)
    if description.readsMaskBackwards, hasMasks {
      throw refuse("a mask that runs against its sequence (a stack of cells that goes backwards)")
    }
    if description.maskedOutput == .zero, hasMasks {
      options["zero_output_for_mask"] = .bool(true)
    }
    // An option that Keras 3 refuses: right for a file that it would misunderstand.
    if needsKeras2 { options["time_major"] = .bool(false) }
    return (className, options)
  }

  func bidirectional(
    _ layer: BidirectionalDescription, name: String, returnsState: Bool
  ) throws(EngineError) -> JSONObject {
    if purpose == .model, hasMasks, layer.forward.returnSequences,
      layer.forward.maskedOutput == .hold
    {
      throw refuse("repeated outputs at masked steps of a Bidirectional (Keras 2.2's rule)")
    }
    func inner(_ direction: RecurrentDescription, _ part: String) throws(EngineError) -> JSONValue {
      try self.inner(direction, name: "\(part)_\(name)", returnsState: returnsState)
    }
    var options: JSONObject = ["layer": try inner(layer.forward, "forward")]
    var mirrored = layer.forward
    mirrored.goBackwards = true
    if layer.backward != mirrored {
      options["backward_layer"] = try inner(layer.backward, "backward")
    }
    let names: [BidirectionalDescription.Merge: String] = [
      .concat: "concat", .sum: "sum", .multiply: "mul", .average: "ave",
    ]
    options["merge_mode"] = .string(names[layer.merge] ?? "concat")
    return options
  }

  private func inner(
    _ direction: RecurrentDescription, name: String, returnsState: Bool
  ) throws(EngineError) -> JSONValue {
    var direction = direction
    direction.maskedOutput = .hold  // Bidirectional sets it itself.
    let (className, options) = try recurrent(direction, returnsState: returnsState)
    var config: JSONObject = ["name": .string(name)]
    for member in options.members { config[member.key] = member.value }
    return [
      "module": "keras.layers", "class_name": .string(className), "config": .object(config),
      "registered_name": .null,
    ]
  }

  private func checkExpressible(_ cell: LSTMDescription) throws(EngineError) {
    guard cell.hasAllGates else { throw refuse("missing or coupled gates") }
    guard !cell.hasPeepholes else { throw refuse("peepholes") }
    guard cell.projection == nil else { throw refuse("projections") }
    guard !cell.layerNorm else { throw refuse("layer normalisation inside the cell") }
    guard purpose == .model else { return }
    guard cell.cellClip == nil, cell.gateClip == nil, cell.projectionClip == nil else {
      throw refuse("clipping")
    }
    guard cell.zoneout == 0 else { throw refuse("zoneout") }
    guard cell.activation == cell.outputActivation else {
      throw refuse("different activations of cell input and cell state")
    }
  }

  // MARK: - Activations

  func activation(_ activation: Activation) throws(EngineError) -> JSONValue {
    switch activation {
    case .linear: return "linear"
    case .tanh: return "tanh"
    case .sigmoid: return "sigmoid"
    case .hardSigmoid, .hardSigmoidKeras2:
      guard purpose == .weightsOnly || !(needsKeras2 && needsKeras3) else {
        throw refuse("both definitions of hard_sigmoid in one model")
      }
      return "hard_sigmoid"
    case .relu(0, nil, 0): return "relu"
    case .elu(1): return "elu"
    case .selu: return "selu"
    case .gelu(false): return "gelu"
    case .silu: return "swish"
    case .softplus: return "softplus"
    case .softsign: return "softsign"
    case .exponential: return "exponential"
    case .softmax: return "softmax"
    default:
      guard purpose == .model else { return "linear" }
      throw refuse("the activation \(activation.json.text()) inside a layer")
    }
  }

  /// Activations with constants have layers of their own.
  func activationLayer(_ activation: Activation) throws(EngineError) -> (String, JSONObject) {
    switch activation {
    case .relu(0, nil, 0), .elu(1): break
    case .relu(let slope, nil, 0): return ("LeakyReLU", ["alpha": .number(slope)])
    case .relu(let slope, let maximum, let threshold):
      return (
        "ReLU",
        [
          "max_value": .optional(maximum), "negative_slope": .number(slope),
          "threshold": .number(threshold),
        ]
      )
    case .elu(let alpha): return ("ELU", ["alpha": .number(alpha)])
    default: break
    }
    return ("Activation", ["activation": try self.activation(activation)])
  }

  // MARK: - Versions

  /// A mask can reach a recurrent layer.
  private var hasMasks: Bool {
    description.nodes.contains { node in
      switch node.layer.kind {
      case .masking, .embedding(_, _, masksZero: true): true
      default: false
      }
    }
  }

  /// The model means hard_sigmoid as Keras 2 does; Keras 3 would compute something else.
  var needsKeras2: Bool { purpose == .model && activations.contains(.hardSigmoidKeras2) }

  /// The model means hard_sigmoid as Keras 3 does.
  var needsKeras3: Bool { purpose == .model && activations.contains(.hardSigmoid) || readsStates }

  /// A layer gets its initial states from others, for which no form of connections serves both.
  private var readsStates: Bool { description.nodes.contains(where: \.readsInitialStates) }

  private var activations: [Activation] {
    func ofCell(_ cell: CellDescription) -> [Activation] {
      switch cell {
      case .simple(let cell): [cell.activation]
      case .gru(let cell): [cell.activation, cell.recurrentActivation]
      case .lstm(let cell):
        [cell.activation, cell.outputActivation, cell.recurrentActivation]
      }
    }
    func ofKind(_ kind: LayerKind) -> [Activation] {
      switch kind {
      case .recurrent(let layer): ofCell(layer.cell)
      case .bidirectional(let layer): ofCell(layer.forward.cell) + ofCell(layer.backward.cell)
      case .timeDistributed(let inner): ofKind(inner)
      case .dense(_, let activation, _), .activation(let activation): [activation]
      case .conv1D(let layer): [layer.activation]
      default: []
      }
    }
    return description.nodes.flatMap { ofKind($0.layer.kind) }
  }

  /// Keras 3 can be kept from a model of Keras 2 only through its recurrent layers.
  func checkVersions() throws(EngineError) {
    guard needsKeras2 else { return }
    guard !readsStates else {
      throw refuse("hard_sigmoid as Keras 2 means it together with states from other layers")
    }
    let hasRecurrent = description.nodes.contains { node in
      switch node.layer.kind {
      case .recurrent, .bidirectional: true
      default: false
      }
    }
    guard hasRecurrent else {
      throw refuse("hard_sigmoid as Keras 2 means it (Keras 3 would read it without a word)")
    }
  }

  func refuse(_ what: String) -> EngineError {
    EngineError(
      .unsupported,
      "Keras cannot express \(what); save as 'carousel'"
        + (what == "peepholes" ? ", 'tf1', 'onnx' or 'chainer'" : ""))
  }
}
