import LSTM
import ModelFiles

/// Architectures of the fixtures that are not Keras models, from their short descriptions.
enum Architectures {
  /// Whether `make` knows how the fixture is described; Tests/python reads the others.
  static func knows(_ entry: Fixtures.Entry) -> Bool {
    entry.architecture?.contains("\"network\"") == false
  }

  static func make(_ entry: Fixtures.Entry) throws -> NetworkDescription {
    let json = try JSONValue(parsing: entry.architecture ?? "")
    switch entry.format {
    case "torch-state-dict-h5": return try torch(json)
    case "chainer-hdf5": return try chainer(json)
    case "tf1-variables-h5": return try tf1(json)
    default: return try onnx(json)
    }
  }

  private static func chain(
    _ shape: SignalShape, _ layers: [(String, LayerKind)]
  ) -> NetworkDescription {
    NetworkDescription(
      input: InputDescription(shape: shape),
      layers: layers.map { LayerDescription(name: $0.0, kind: $0.1) })
  }

  private static func recurrent(_ cell: CellDescription, bidirectional: Bool) -> LayerKind {
    var forward = RecurrentDescription(cell: cell, returnSequences: true)
    forward.maskedOutput = .zero
    guard bidirectional else { return .recurrent(forward) }
    var backward = forward
    backward.goBackwards = true
    return .bidirectional(BidirectionalDescription(forward: forward, backward: backward))
  }

  private static func torch(_ json: JSONValue) throws -> NetworkDescription {
    var layers: [(String, LayerKind)] = []
    var shape = SignalShape.sequence(time: nil, features: 0)
    for (index, module) in json["modules"].list.enumerated() {
      let name = module["name"].text.isEmpty ? "any" : module["name"].text
      switch module["type"].text {
      case "Embedding":
        shape = .ids(time: nil)
        layers.append(
          (
            name,
            .embedding(
              vocabulary: module["num_embeddings"].number,
              dimension: module["embedding_dim"].number, masksZero: false)
          ))
      case "Linear":
        if json["select"].text == "last" {
          // Not a layer, but an option of the recurrent one before it.
          if case .recurrent(var last) = layers[layers.count - 1].1 {
            last.returnSequences = false
            layers[layers.count - 1].1 = .recurrent(last)
          }
        }
        layers.append(
          (name, .dense(units: module["out_features"].number, activation: .linear, useBias: true)))
      case let type:
        if index == 0 { shape = .sequence(time: nil, features: module["input_size"].number) }
        let count = max(1, module["num_layers"].number)
        let units = module["hidden_size"].number
        let useBias = module["bias"] != .bool(false)
        for layer in 0..<count {
          let cell: CellDescription
          switch type {
          case "LSTM":
            var lstm = LSTMDescription(units: units)
            lstm.useBias = useBias
            if module["proj_size"].number > 0 { lstm.projection = module["proj_size"].number }
            cell = .lstm(lstm)
          case "GRU":
            var gru = GRUDescription(units: units)
            gru.useBias = useBias
            cell = .gru(gru)
          default:
            var simple = SimpleRNNDescription(units: units)
            simple.useBias = useBias
            if module["nonlinearity"].text == "relu" { simple.activation = .relu }
            cell = .simple(simple)
          }
          layers.append(
            (
              count == 1 ? name : "\(name)_l\(layer)",
              recurrent(cell, bidirectional: module["bidirectional"] == .bool(true))
            ))
        }
      }
    }
    return chain(shape, layers)
  }

  private static func chainer(_ json: JSONValue) throws -> NetworkDescription {
    let links = json["chain"].list.isEmpty ? [json] : json["chain"].list
    var layers: [(String, LayerKind)] = []
    var width = 0
    for link in links {
      let name = link["name"].text.isEmpty ? "any" : link["name"].text
      let arguments = link["args"].list.map(\.number)
      switch link["link"].text {
      case "Linear":
        layers.append((name, .dense(units: arguments[1], activation: .linear, useBias: true)))
      case "NStepLSTM", "NStepBiLSTM":
        if width == 0 { width = arguments[1] }
        for layer in 0..<arguments[0] {
          layers.append(
            (
              arguments[0] == 1 ? name : "\(name)_l\(layer)",
              recurrent(
                .lstm(LSTMDescription(units: arguments[2])),
                bidirectional: link["link"].text == "NStepBiLSTM")
            ))
        }
      case let kind:
        if width == 0 { width = arguments[0] }
        var lstm = LSTMDescription(units: arguments[1])
        if kind == "StatefulPeepholeLSTM" {
          lstm.peepholeKind = .dense
          (lstm.inputPeephole, lstm.forgetPeephole, lstm.outputPeephole) = (true, true, true)
        }
        layers.append((name, recurrent(.lstm(lstm), bidirectional: false)))
      }
    }
    return chain(.sequence(time: nil, features: width), layers)
  }

  private static func tf1(_ json: JSONValue) throws -> NetworkDescription {
    var layers: [(String, LayerKind)] = []
    for (index, entry) in json["cells"].list.enumerated() {
      var lstm = LSTMDescription(units: entry["units"].number)
      let hasPeepholes =
        entry["use_peepholes"] == .bool(true) || entry["use_peephole"] == .bool(true)
      lstm.inputPeephole = hasPeepholes
      lstm.forgetPeephole = hasPeepholes
      lstm.outputPeephole = hasPeepholes
      if entry["num_proj"].number > 0 { lstm.projection = entry["num_proj"].number }
      if case .number(let clip) = entry["cell_clip"] { lstm.cellClip = clip }
      if case .number(let clip) = entry["proj_clip"] { lstm.projectionClip = clip }
      layers.append(
        (
          "cell\(index)",
          recurrent(.lstm(lstm), bidirectional: json["bidirectional"] == .bool(true))
        ))
    }
    if json["dense"].number > 0 {
      layers.append(
        ("dense", .dense(units: json["dense"].number, activation: .linear, useBias: true)))
    }
    return chain(.sequence(time: nil, features: json["input_size"].number), layers)
  }

  private static func onnx(_ json: JSONValue) throws -> NetworkDescription {
    var lstm = LSTMDescription(units: json["hidden_size"].number)
    lstm.couplesGates = json["input_forget"].number == 1
    return chain(
      .sequence(time: nil, features: json["input_size"].number),
      [("lstm", recurrent(.lstm(lstm), bidirectional: json["direction"].text == "bidirectional"))])
  }
}

extension JSONValue {
  subscript(key: String) -> JSONValue {
    if case .object(let object) = self { object[key] ?? .null } else { .null }
  }

  var list: [JSONValue] { if case .array(let values) = self { values } else { [] } }
  var text: String { if case .string(let text) = self { text } else { "" } }
  var number: Int {
    switch self {
    case .integer(let value): value
    case .number(let value): Int(value)
    default: 0
    }
  }
}
