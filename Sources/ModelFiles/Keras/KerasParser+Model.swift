import LSTM

extension KerasParser {
  /// A Sequential or Functional model from `{"class_name": …, "config": …}`.
  func model(_ json: JSONValue, depth: Int = 0) throws(EngineError) -> KerasModel {
    guard let object = json.objectValue, let className = object["class_name"]?.stringValue else {
      throw EngineError(.format, "the text is not the JSON of a Keras model: no 'class_name'")
    }
    guard KerasParser.modelClasses.contains(className) else {
      throw EngineError(
        .unsupported,
        "the model is of class '\(className)'; Sequential and Functional models are supported")
    }
    // Keras up to 2.2.2: a Sequential's config is the list of its layers.
    if let list = object["config"]?.arrayValue {
      return try sequential(
        list, name: "sequential", className: className, options: nil, object, depth)
    }
    guard let options = object["config"]?.objectValue, let list = options["layers"]?.arrayValue
    else {
      throw EngineError(.format, "the configuration of the \(className) model has no layers")
    }
    let name = options["name"]?.stringValue ?? className.lowercased()
    guard list.count <= KerasGraph.mostCalls else {
      throw EngineError(.limit, "the model '\(name)' has \(list.count) layers")
    }
    if className == "Sequential" {
      return try sequential(list, name: name, className: className, options: options, object, depth)
    }
    return try functional(list, name: name, className: className, options: options, depth)
  }

  private func sequential(
    _ list: [JSONValue], name: String, className: String, options: JSONObject?,
    _ object: JSONObject,
    _ depth: Int
  ) throws(EngineError) -> KerasModel {
    let model = KerasModel(name: name, className: className, isSequential: true)
    for json in list {
      let layer = try layer(json, depth: depth)
      let last = model.layers.count - 1
      model.calls.append(
        [KerasCall(inputs: last < 0 ? [] : [KerasTensor(layer: last, call: 0, output: 0)])])
      model.layers.append(layer)
    }
    guard let last = model.layers.indices.last else {
      throw EngineError(.format, "the model '\(name)' has no layers")
    }
    model.outputs = [KerasTensor(layer: last, call: 0, output: 0)]
    model.buildShape =
      options?["build_input_shape"]?.arrayValue
      ?? object["build_config"]?.objectValue?["input_shape"]?.arrayValue
    return model
  }

  private func functional(
    _ list: [JSONValue], name: String, className: String, options: JSONObject, _ depth: Int
  ) throws(EngineError) -> KerasModel {
    let model = KerasModel(name: name, className: className, isSequential: false)
    var positions: [String: Int] = [:]
    for json in list {
      let layer = try layer(json, depth: depth)
      let key = json.objectValue?["name"]?.stringValue ?? layer.name
      guard positions.updateValue(model.layers.count, forKey: key) == nil else {
        throw EngineError(.format, "the model '\(name)' has two layers '\(key)'")
      }
      model.layers.append(layer)
    }
    var references = KerasReferences(model: model, positions: positions)
    let ends = try ["input_layers", "output_layers"].map { (key) throws(EngineError) in
      try references.list(options[key], key)
    }
    var calls: [[RawCall]] = []
    for (layer, json) in zip(model.layers, list) {
      calls.append(try rawCalls(json, of: layer))
    }
    references.findFirstCalls(
      calls.joined().flatMap { $0.inputs + [$0.mask].compactMap { $0 } } + ends.joined())
    for (layer, calls) in zip(model.layers, calls) {
      var resolved: [KerasCall] = []
      for call in calls { resolved.append(try references.resolve(call, of: layer)) }
      model.calls.append(resolved)
    }
    model.inputLayers = try ends[0].map { (end) throws(EngineError) in
      try references.resolve(end).layer
    }
    model.outputs = try ends[1].map { (end) throws(EngineError) in try references.resolve(end) }
    for tensor in model.calls.joined().flatMap(\.inputs) + model.outputs {
      try model.check(tensor)
    }
    return model
  }
}

extension KerasModel {
  /// The call and the output that a tensor points to exist.
  fileprivate func check(_ tensor: KerasTensor) throws(EngineError) {
    let layer = layers[tensor.layer]
    guard (0..<max(calls[tensor.layer].count, 1)).contains(tensor.call) else {
      throw EngineError(
        .format,
        "\(layer.displayName) is called \(calls[tensor.layer].count) times, but the "
          + "result of call number \(tensor.call), counted from 0, is used")
    }
    let count: Int
    if case .model(let inner) = layer.content {
      count = inner.outputs.count
    } else {
      count = 1 + (layer.returnsState ? layer.stateWidths.joined().count : 0)
    }
    guard tensor.output < count else {
      throw EngineError(
        .format, "\(layer.displayName) has \(count) outputs, but number \(tensor.output) is used")
    }
  }
}

extension KerasLayer {
  var isMaskOperation: Bool {
    if case .maskOperation = content { true } else { false }
  }

  /// Widths of the states of each recurrent node.
  var stateWidths: [[Int]] {
    guard case .nodes(let nodes) = content else { return [] }
    return nodes.map { node in
      switch node.kind {
      case .recurrent(let description): description.cell.stateWidths
      case .bidirectional(let description):
        description.forward.cell.stateWidths + description.backward.cell.stateWidths
      default: []
      }
    }
  }
}
