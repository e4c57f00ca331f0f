import LSTM

extension CellDescription {
  var json: JSONValue {
    switch self {
    case .simple(let cell):
      [
        "class": "simple_rnn", "units": .integer(cell.units), "activation": cell.activation.json,
        "use_bias": .bool(cell.useBias),
      ]
    case .gru(let cell):
      [
        "class": "gru", "units": .integer(cell.units), "activation": cell.activation.json,
        "recurrent_activation": cell.recurrentActivation.json, "use_bias": .bool(cell.useBias),
        "reset_after": .bool(cell.resetAfter),
      ]
    case .lstm(let cell):
      [
        "class": "lstm", "units": .integer(cell.units), "activation": cell.activation.json,
        "output_activation": cell.outputActivation.json,
        "recurrent_activation": cell.recurrentActivation.json, "use_bias": .bool(cell.useBias),
        "input_gate": .bool(cell.hasInputGate), "forget_gate": .bool(cell.hasForgetGate),
        "output_gate": .bool(cell.hasOutputGate), "coupled_gates": .bool(cell.couplesGates),
        "peephole_kind": cell.peepholeKind == .dense ? "dense" : "diagonal",
        "peephole_input": .bool(cell.inputPeephole), "peephole_forget": .bool(cell.forgetPeephole),
        "peephole_output": .bool(cell.outputPeephole),
        "projection_size": .optional(cell.projection),
        "projection_clip": .optional(cell.projectionClip), "cell_clip": .optional(cell.cellClip),
        "gate_clip": .optional(cell.gateClip), "layer_norm": .bool(cell.layerNorm),
        "layer_norm_epsilon": .number(cell.layerNormEpsilon), "zoneout": .number(cell.zoneout),
        "truncate_gates": .bool(cell.truncatesGates),
      ]
    }
  }

  init(_ object: StrictObject) throws(EngineError) {
    let units = try object.integer("units")
    let useBias = try object.flag("use_bias", default: true)
    switch try object.text("class") {
    case "simple_rnn":
      var cell = SimpleRNNDescription(units: units)
      cell.activation = try object.activation("activation", default: .tanh)
      cell.useBias = useBias
      self = .simple(cell)
    case "gru":
      var cell = GRUDescription(units: units)
      cell.activation = try object.activation("activation", default: .tanh)
      cell.recurrentActivation = try object.activation("recurrent_activation", default: .sigmoid)
      cell.useBias = useBias
      cell.resetAfter = try object.flag("reset_after", default: true)
      self = .gru(cell)
    case "lstm":
      self = .lstm(try LSTMDescription(object, units: units, useBias: useBias))
    default:
      throw object.malformed("class")
    }
    try object.finish()
  }
}

extension LSTMDescription {
  fileprivate init(_ object: StrictObject, units: Int, useBias: Bool) throws(EngineError) {
    self.init(units: units)
    self.useBias = useBias
    activation = try object.activation("activation", default: .tanh)
    outputActivation = try object.activation("output_activation", default: .tanh)
    recurrentActivation = try object.activation("recurrent_activation", default: .sigmoid)
    hasInputGate = try object.flag("input_gate", default: true)
    hasForgetGate = try object.flag("forget_gate", default: true)
    hasOutputGate = try object.flag("output_gate", default: true)
    couplesGates = try object.flag("coupled_gates", default: false)
    switch object.optional("peephole_kind")?.stringValue ?? "diagonal" {
    case "diagonal": peepholeKind = .diagonal
    case "dense": peepholeKind = .dense
    default: throw object.malformed("peephole_kind")
    }
    inputPeephole = try object.flag("peephole_input", default: false)
    forgetPeephole = try object.flag("peephole_forget", default: false)
    outputPeephole = try object.flag("peephole_output", default: false)
    if object.optional("projection_size") != nil {
      projection = try object.integer("projection_size")
    }
    projectionClip = try object.optionalNumber("projection_clip")
    cellClip = try object.optionalNumber("cell_clip")
    gateClip = try object.optionalNumber("gate_clip")
    layerNorm = try object.flag("layer_norm", default: false)
    layerNormEpsilon = try object.number("layer_norm_epsilon", default: 1e-5)
    zoneout = try object.number("zoneout", default: 0)
    truncatesGates = try object.flag("truncate_gates", default: false)
  }
}

extension RecurrentDescription {
  var json: JSONValue {
    [
      "cell": cell.json, "return_sequences": .bool(returnSequences),
      "go_backwards": .bool(goBackwards), "reads_mask_backwards": .bool(readsMaskBackwards),
      "stateful": .bool(isStateful),
      "masked_output": maskedOutput == .zero ? "zero" : "hold", "dropout": .number(dropout),
      "recurrent_dropout": .number(recurrentDropout),
      "learns_initial_state": .bool(learnsInitialState),
    ]
  }

  init(_ object: StrictObject) throws(EngineError) {
    self.init(cell: try CellDescription(try object.object("cell")))
    returnSequences = try object.flag("return_sequences", default: false)
    goBackwards = try object.flag("go_backwards", default: false)
    readsMaskBackwards = try object.flag("reads_mask_backwards", default: false)
    isStateful = try object.flag("stateful", default: false)
    switch object.optional("masked_output")?.stringValue ?? "hold" {
    case "hold": maskedOutput = .hold
    case "zero": maskedOutput = .zero
    default: throw object.malformed("masked_output")
    }
    dropout = try object.number("dropout", default: 0)
    recurrentDropout = try object.number("recurrent_dropout", default: 0)
    learnsInitialState = try object.flag("learns_initial_state", default: false)
    try object.finish()
  }
}
