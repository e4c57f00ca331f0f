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
    guard list.count <= limits.objects else {
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
      model.inputs.append(model.layers.isEmpty ? [] : [model.layers.count - 1])
      model.layers.append(layer)
    }
    guard let last = model.layers.indices.last else {
      throw EngineError(.format, "the model '\(name)' has no layers")
    }
    model.outputLayers = [last]
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
    for (position, json) in list.enumerated() {
      let layer = model.layers[position]
      model.inputs.append(try inboundLayers(json, layer, positions, model))
      model.masks.append(try maskSource(json, layer, positions, model))
    }
    model.inputLayers = try references(options["input_layers"], positions, model, "input_layers")
    model.outputLayers = try references(options["output_layers"], positions, model, "output_layers")
    return model
  }

  /// Positions of the layers whose outputs a layer takes.
  private func inboundLayers(
    _ json: JSONValue, _ layer: KerasLayer, _ positions: [String: Int], _ model: KerasModel
  ) throws(EngineError) -> [Int] {
    let calls = json.objectValue?["inbound_nodes"]?.arrayValue ?? []
    guard let call = calls.first else { return [] }
    guard calls.count == 1 else {
      throw EngineError(
        .unsupported,
        "\(layer.displayName) is used \(calls.count) times; shared layers are not supported")
    }
    var references: [JSONValue] = []
    if let object = call.objectValue {
      // Keras 3: {"args": […], "kwargs": {…}}, tensors inside.
      for argument in object["args"]?.arrayValue ?? [] {
        let found = tensors(in: argument)
        // x * 2: an operation with the name of a layer.
        guard !found.isEmpty || argument.isNull || layer.isMaskOperation else {
          throw EngineError(
            .unsupported,
            "\(layer.displayName) is called with \(argument.kindName); that is not supported")
        }
        references += found
      }
      for member in object["kwargs"]?.objectValue?.members ?? [] where member.key != "mask" {
        guard tensors(in: member.value).isEmpty else {
          throw EngineError(
            .unsupported,
            "\(layer.displayName) gets a tensor as '\(member.key)'; that is not supported")
        }
      }
    } else if let list = call.arrayValue {
      // Keras 1 and 2: a list of [layer, node, tensor, kwargs], or one such entry alone.
      references = list.first?.stringValue != nil ? [call] : list
    }
    var inputs: [Int] = []
    for reference in references {
      inputs.append(try source(of: reference, layer.displayName, positions, model))
    }
    for input in inputs where model.layers[input].isMaskOperation && !layer.isMaskOperation {
      throw EngineError(
        .unsupported,
        "\(model.layers[input].displayName): operations on tensors outside of layers "
          + "are not supported")
    }
    if case .nodes(let nodes) = layer.content {
      let isMerge = if case .merge = nodes.first?.kind { true } else { false }
      guard inputs.count > 1 || !isMerge else {
        throw EngineError(.unsupported, "\(layer.displayName) has one input only")
      }
      guard inputs.count <= 1 || isMerge else {
        throw EngineError(
          .unsupported,
          "\(layer.displayName) has \(inputs.count) inputs (initial states?); that is not supported"
        )
      }
    }
    return inputs
  }

  /// The operation whose result a layer gets as `mask=`.
  private func maskSource(
    _ json: JSONValue, _ layer: KerasLayer, _ positions: [String: Int], _ model: KerasModel
  ) throws(EngineError) -> Int? {
    let call = json.objectValue?["inbound_nodes"]?.arrayValue?.first?.objectValue
    guard let argument = call?["kwargs"]?.objectValue?["mask"] else { return nil }
    guard let reference = tensors(in: argument).first else { return nil }
    let position = try source(reference, positions, model)
    guard tensors(in: argument).count == 1, model.layers[position].isMaskOperation else {
      throw EngineError(
        .unsupported,
        "\(layer.displayName) gets its mask from \(model.layers[position].displayName); "
          + "that is not supported")
    }
    return position
  }

  /// `keras_history` of every tensor in an argument of a call.
  private func tensors(in value: JSONValue, depth: Int = 0) -> [JSONValue] {
    guard depth < 8 else { return [] }
    if let list = value.arrayValue { return list.flatMap { tensors(in: $0, depth: depth + 1) } }
    guard let object = value.objectValue else { return [] }
    if object["class_name"]?.stringValue == "__keras_tensor__" {
      return [object["config"]?.objectValue?["keras_history"] ?? .null]
    }
    return object.members.flatMap { tensors(in: $0.value, depth: depth + 1) }
  }

  /// The layer that `[name, node, tensor]` points to.
  private func source(
    _ reference: JSONValue, _ positions: [String: Int], _ model: KerasModel
  ) throws(EngineError) -> Int {
    guard let list = reference.arrayValue, list.count >= 3, let name = list[0].stringValue,
      let node = list[1].intValue, let tensor = list[2].intValue
    else {
      throw EngineError(.format, "a connection in the model '\(model.name)' is malformed")
    }
    guard let position = positions[name] else {
      throw EngineError(.format, "the model '\(model.name)' refers to the unknown layer '\(name)'")
    }
    let layer = model.layers[position]
    guard node == 0 else {
      throw EngineError(
        .unsupported, "\(layer.displayName) is used more than once; shared layers are not supported"
      )
    }
    if case .model = layer.content { return position }
    guard tensor == 0 else {
      throw EngineError(
        .unsupported, "the state that \(layer.displayName) returns is used; that is not supported")
    }
    return position
  }

  private func source(
    of reference: JSONValue, _ user: String, _ positions: [String: Int], _ model: KerasModel
  ) throws(EngineError) -> Int {
    if let list = reference.arrayValue, list.count >= 4, let options = list[3].objectValue {
      for member in options.members where !member.value.isNull && member.value.boolValue != false {
        throw EngineError(
          .unsupported, "\(user) is called with '\(member.key)'; that is not supported")
      }
    }
    if let list = reference.arrayValue, let position = positions[list.first?.stringValue ?? ""],
      case .model(let inner) = model.layers[position].content, inner.outputCount > 1
    {
      throw EngineError(
        .unsupported, "the nested model '\(inner.name)' has several outputs; that is not supported")
    }
    return try source(reference, positions, model)
  }

  /// `input_layers` and `output_layers`: one reference or a list of them.
  private func references(
    _ value: JSONValue?, _ positions: [String: Int], _ model: KerasModel, _ key: String
  ) throws(EngineError) -> [Int] {
    guard let list = value?.arrayValue, let first = list.first else {
      throw EngineError(
        .unsupported, "'\(key)' of the model '\(model.name)' is not a list of layers")
    }
    if first.stringValue != nil { return [try source(.array(list), positions, model)] }
    var result: [Int] = []
    for reference in list { result.append(try source(reference, positions, model)) }
    return result
  }
}

extension KerasModel {
  var outputCount: Int { outputLayers.count }
}

extension KerasLayer {
  var isMaskOperation: Bool {
    if case .maskOperation = content { true } else { false }
  }
}
