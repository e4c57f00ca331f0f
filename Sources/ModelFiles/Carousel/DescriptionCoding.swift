import LSTM

extension NetworkDescription {
  /// The architecture as our own files hold it.
  public var json: JSONValue {
    let names = nodes.map(\.layer.name)
    let layers = nodes.map { node -> JSONValue in
      var object = JSONObject()
      object.append("name", .string(node.layer.name))
      for member in node.layer.kind.json.objectValue?.members ?? [] {
        object.append(member.key, member.value)
      }
      if !node.inputs.isEmpty {
        object.append("inputs", .array(node.inputs.map { .string(names[$0]) }))
      }
      if let owner = node.sharesWith { object.append("shares_with", .string(names[owner])) }
      if !node.layer.isTrainable { object.append("trainable", .bool(false)) }
      return .object(object)
    }
    return [
      "name": .string(name), "layers": .array(layers),
      "inputs": .array(inputs.map { .string(names[$0]) }),
      "outputs": .array(outputs.map { .string(names[$0]) }),
    ]
  }

  public init(json: JSONValue, limits: FileLimits = FileLimits()) throws(EngineError) {
    let object = try StrictObject(json, context: "the architecture")
    let layers = try object.list("layers")
    guard layers.count <= limits.objects else {
      throw EngineError(.limit, "the architecture has \(layers.count) layers")
    }
    var positions: [String: Int] = [:]
    var nodes: [Node] = []
    for value in layers {
      let entry = try StrictObject(value, context: "a layer of the architecture")
      let name = try entry.text("name")
      let reader = try StrictObject(value, context: "layer '\(name)'")
      _ = reader.optional("name")
      let kind = try LayerKind(reader)
      var layer = LayerDescription(name: name, kind: kind)
      layer.isTrainable = try reader.flag("trainable", default: true)
      var sources: [Int] = []
      for source in reader.optional("inputs")?.arrayValue ?? [] {
        guard let position = positions[source.stringValue ?? ""] else {
          throw EngineError(
            .format, "layer '\(name)' reads \(source.kindName), which is no earlier layer")
        }
        sources.append(position)
      }
      var owner: Int?
      if let shared = reader.optional("shares_with") {
        owner = positions[shared.stringValue ?? ""]
        guard owner != nil else {
          throw EngineError(
            .format, "layer '\(name)' shares with \(shared.kindName), which is no earlier layer")
        }
      }
      try reader.finish()
      guard positions.updateValue(nodes.count, forKey: name) == nil else {
        throw EngineError(.format, "the architecture has two layers '\(name)'")
      }
      nodes.append(Node(layer: layer, inputs: sources, sharesWith: owner))
    }
    func resolve(_ key: String) throws(EngineError) -> [Int] {
      var result: [Int] = []
      for value in try object.list(key) {
        guard let position = positions[value.stringValue ?? ""] else {
          throw EngineError(.format, "'\(key)' names \(value.kindName), which is no layer")
        }
        result.append(position)
      }
      return result
    }
    self.init(
      name: try object.text("name"), nodes: nodes, inputs: try resolve("inputs"),
      outputs: try resolve("outputs"))
    try object.finish()
  }
}
