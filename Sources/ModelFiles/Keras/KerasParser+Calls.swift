import LSTM

extension KerasParser {
  /// A call as the configuration has it, with references instead of tensors.
  struct RawCall {
    var inputs: [JSONValue] = []
    var mask: JSONValue?
  }

  /// `inbound_nodes`: the calls of a layer.
  func rawCalls(_ json: JSONValue, of layer: KerasLayer) throws(EngineError) -> [RawCall] {
    var calls: [RawCall] = []
    for call in json.objectValue?["inbound_nodes"]?.arrayValue ?? [] {
      if let object = call.objectValue {
        calls.append(try newCall(object, of: layer))
      } else if let list = call.arrayValue {
        calls.append(try oldCall(list, of: layer))
      } else {
        throw EngineError(.format, "\(layer.displayName): a call is \(call.kindName)")
      }
    }
    return calls
  }

  /// Keras 3: `{"args": […], "kwargs": {…}}`, tensors inside.
  private func newCall(_ object: JSONObject, of layer: KerasLayer) throws(EngineError) -> RawCall {
    var call = RawCall()
    for argument in object["args"]?.arrayValue ?? [] {
      let found = tensors(in: argument)
      // x * 2: an operation with the name of a layer.
      guard !found.isEmpty || argument.isNull || layer.isMaskOperation else {
        throw EngineError(
          .unsupported,
          "\(layer.displayName) is called with \(argument.kindName); that is not supported")
      }
      call.inputs += found
    }
    for member in object["kwargs"]?.objectValue?.members ?? [] {
      let found = tensors(in: member.value)
      switch member.key {
      case "mask":
        guard found.count <= 1 else {
          throw EngineError(.unsupported, "\(layer.displayName) gets \(found.count) masks")
        }
        call.mask = found.first
      case "initial_state" where !layer.stateWidths.isEmpty: call.inputs += found
      default:
        guard found.isEmpty else { throw unexpected(member.key, in: layer) }
      }
    }
    return call
  }

  /// Keras 1 and 2: a list of `[layer, node, tensor, options]`, or one such entry alone.
  private func oldCall(_ list: [JSONValue], of layer: KerasLayer) throws(EngineError) -> RawCall {
    var call = RawCall(inputs: list.first?.stringValue != nil ? [.array(list)] : list)
    var states: [JSONValue] = []
    for reference in call.inputs {
      guard let entry = reference.arrayValue, entry.count >= 4, let options = entry[3].objectValue
      else { continue }
      for member in options.members where !member.value.isNull && member.value.boolValue != false {
        guard member.key == "initial_state", !layer.stateWidths.isEmpty, states.isEmpty,
          let value = member.value.arrayValue
        else { throw unexpected(member.key, in: layer) }
        states = value.first?.stringValue != nil ? [member.value] : value
      }
    }
    call.inputs += states
    return call
  }

  private func unexpected(_ argument: String, in layer: KerasLayer) -> EngineError {
    EngineError(
      .unsupported, "\(layer.displayName) is called with '\(argument)'; that is not supported")
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
}

/// Resolves the references of a functional model: names to positions, nodes to calls.
struct KerasReferences {
  let model: KerasModel
  let positions: [String: Int]
  /// Number of each layer's first call in this file. A nested model's own making counts as a call of it, so in
  /// most versions its numbers begin with 1.
  private var firstCalls: [Int: Int] = [:]

  init(model: KerasModel, positions: [String: Int]) {
    self.model = model
    self.positions = positions
  }

  /// `input_layers` and `output_layers`: one reference or a list of them.
  func list(_ value: JSONValue?, _ key: String) throws(EngineError) -> [JSONValue] {
    guard let list = value?.arrayValue, let first = list.first else {
      throw EngineError(
        .unsupported, "'\(key)' of the model '\(model.name)' is not a list of layers")
    }
    return first.stringValue != nil ? [.array(list)] : list
  }

  mutating func findFirstCalls(_ references: [JSONValue]) {
    for reference in references {
      guard let list = reference.arrayValue, list.count >= 2,
        let position = positions[list[0].stringValue ?? ""], let call = list[1].intValue,
        case .model = model.layers[position].content
      else { continue }
      firstCalls[position] = min(call, firstCalls[position] ?? 1)
    }
  }

  func resolve(_ call: KerasParser.RawCall, of layer: KerasLayer) throws(EngineError) -> KerasCall {
    var result = KerasCall()
    for reference in call.inputs { result.inputs.append(try resolve(reference)) }
    result.mask = try call.mask.map { (mask) throws(EngineError) in try resolve(mask) }
    if let mask = result.mask, !model.layers[mask.layer].isMaskOperation {
      throw EngineError(
        .unsupported,
        "\(layer.displayName) gets its mask from \(model.layers[mask.layer].displayName); "
          + "that is not supported")
    }
    for input in result.inputs
    where model.layers[input.layer].isMaskOperation && !layer.isMaskOperation {
      throw EngineError(
        .unsupported,
        "\(model.layers[input.layer].displayName): operations on tensors outside of layers "
          + "are not supported")
    }
    try checkCount(result.inputs.count, of: layer)
    return result
  }

  private func checkCount(_ count: Int, of layer: KerasLayer) throws(EngineError) {
    guard case .nodes(let nodes) = layer.content else { return }
    if case .merge = nodes.first?.kind {
      guard count > 1 else {
        throw EngineError(.unsupported, "\(layer.displayName) has one input only")
      }
      return
    }
    let states = layer.stateWidths.joined().count
    guard count <= 1 || count == 1 + states && states > 0 else {
      throw EngineError(
        .unsupported,
        "\(layer.displayName) has \(count) inputs, expected 1"
          + (states > 0 ? ", or \(1 + states) with its initial states" : ""))
    }
  }

  func resolve(_ reference: JSONValue) throws(EngineError) -> KerasTensor {
    guard let list = reference.arrayValue, list.count >= 3, let name = list[0].stringValue,
      let node = list[1].intValue, let tensor = list[2].intValue, node >= 0, tensor >= 0
    else {
      throw EngineError(.format, "a connection in the model '\(model.name)' is malformed")
    }
    guard let position = positions[name] else {
      throw EngineError(.format, "the model '\(model.name)' refers to the unknown layer '\(name)'")
    }
    return KerasTensor(layer: position, call: node - (firstCalls[position] ?? 0), output: tensor)
  }
}
