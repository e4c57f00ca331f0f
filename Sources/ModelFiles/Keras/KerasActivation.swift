import LSTM

extension KerasConfig {
  /// An activation: a name, or an object that describes a function or a layer.
  func activation(_ keys: String..., default fallback: String) throws(EngineError) -> Activation {
    var found: JSONValue?
    for key in keys where found == nil { found = value(key) }
    guard let found else { return try activation(named: fallback, key: keys[0]) }
    if let name = found.stringValue { return try activation(named: name, key: keys[0]) }
    guard let object = found.objectValue, let className = object["class_name"]?.stringValue else {
      throw malformed("'\(keys[0])' is \(found.kindName), not an activation")
    }
    // {"class_name": "function", "config": "relu", "module": "builtins" | "keras.activations"}
    if className == "function" {
      let name = object["config"]?.stringValue ?? object["registered_name"]?.stringValue ?? "?"
      let module = object["module"]?.stringValue ?? "builtins"
      guard module == "builtins" || module.hasPrefix("keras") || module.hasPrefix("tensorflow")
      else {
        throw refuse("'\(keys[0])' is the custom function '\(module).\(name)'")
      }
      return try activation(named: name, key: keys[0])
    }
    let inner = KerasConfig(
      className: className, object: object["config"]?.objectValue ?? JSONObject(),
      version: version, fallbackName: layerName)
    guard let activation = try KerasConfig.activationLayer(inner) else {
      throw refuse("'\(keys[0])' is the unknown activation '\(className)'")
    }
    try inner.finish()
    return activation
  }

  private func activation(named name: String, key: String) throws(EngineError) -> Activation {
    switch name {
    case "linear", "identity": .linear
    case "tanh": .tanh
    case "sigmoid": .sigmoid
    case "hard_sigmoid": version.hasNewHardSigmoid ? .hardSigmoid : .hardSigmoidKeras2
    case "relu": .relu
    case "relu6": .relu(maximum: 6)
    case "leaky_relu": .relu(slope: 0.2)
    case "elu": .elu()
    case "selu": .selu
    case "gelu": .gelu()
    case "silu", "swish": .silu
    case "softplus": .softplus
    case "softsign": .softsign
    case "exponential": .exponential
    case "softmax": .softmax
    default: throw refuse("'\(key)' is the unknown activation '\(name)'")
    }
  }

  /// The activation of a layer that is nothing else (`LeakyReLU`); nil for other classes.
  static func activationLayer(_ config: KerasConfig) throws(EngineError) -> Activation? {
    switch config.className {
    case "Activation":
      return try config.activation("activation", default: "linear")
    case "LeakyReLU":
      return .leakyRelu(slope: try config.number("negative_slope", "alpha", default: 0.3))
    case "ReLU":
      return .relu(
        slope: try config.number("negative_slope", default: 0),
        maximum: config.value("max_value")?.doubleValue,
        threshold: try config.number("threshold", default: 0))
    case "ThresholdedReLU":
      return .relu(threshold: try config.number("theta", default: 1))
    case "ELU":
      return .elu(alpha: try config.number("alpha", default: 1))
    case "Softmax":
      guard config.axes.allSatisfy({ $0 == -1 || $0 == 2 }) else {
        throw config.refuse("only softmax over the last axis is supported")
      }
      return .softmax
    default:
      return nil
    }
  }
}
