import LSTM

extension Activation {
  /// A name, or an object with the name and the constants.
  var json: JSONValue {
    switch self {
    case .linear: "linear"
    case .tanh: "tanh"
    case .sigmoid: "sigmoid"
    case .hardSigmoid: "hard_sigmoid"
    case .hardSigmoidKeras2: "hard_sigmoid_keras2"
    case .relu(0, nil, 0): "relu"
    case .relu(let slope, let maximum, let threshold):
      [
        "name": "relu", "slope": .number(slope), "maximum": maximum.map { .number($0) } ?? .null,
        "threshold": .number(threshold),
      ]
    case .elu(let alpha): ["name": "elu", "alpha": .number(alpha)]
    case .selu: "selu"
    case .gelu(let approximate): ["name": "gelu", "approximate": .bool(approximate)]
    case .silu: "silu"
    case .softplus: "softplus"
    case .softsign: "softsign"
    case .exponential: "exponential"
    case .softmax: "softmax"
    }
  }

  init(json value: JSONValue, context: String) throws(EngineError) {
    guard let name = value.stringValue else {
      let object = try StrictObject(value, context: "\(context): an activation")
      switch try object.text("name") {
      case "relu":
        self = .relu(
          slope: try object.number("slope", default: 0),
          maximum: try object.optionalNumber("maximum"),
          threshold: try object.number("threshold", default: 0))
      case "elu": self = .elu(alpha: try object.number("alpha", default: 1))
      case "gelu": self = .gelu(approximate: try object.flag("approximate", default: false))
      case let name: throw EngineError(.unsupported, "\(context): unknown activation '\(name)'")
      }
      try object.finish()
      return
    }
    switch name {
    case "linear": self = .linear
    case "tanh": self = .tanh
    case "sigmoid": self = .sigmoid
    case "hard_sigmoid": self = .hardSigmoid
    case "hard_sigmoid_keras2": self = .hardSigmoidKeras2
    case "relu": self = .relu
    case "elu": self = .elu()
    case "selu": self = .selu
    case "gelu": self = .gelu()
    case "silu", "swish": self = .silu
    case "softplus": self = .softplus
    case "softsign": self = .softsign
    case "exponential": self = .exponential
    case "softmax": self = .softmax
    default: throw EngineError(.unsupported, "\(context): unknown activation '\(name)'")
    }
  }
}

extension StrictObject {
  func activation(_ key: String, default fallback: Activation) throws(EngineError) -> Activation {
    guard let value = optional(key) else { return fallback }
    return try Activation(json: value, context: "'\(key)'")
  }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByDictionaryLiteral {
  public init(stringLiteral value: String) { self = .string(value) }

  public init(dictionaryLiteral elements: (String, JSONValue)...) {
    var object = JSONObject()
    for (key, value) in elements { object[key] = value }
    self = .object(object)
  }

  static func optional(_ value: Double?) -> JSONValue { value.map { .number($0) } ?? .null }
  static func optional(_ value: Int?) -> JSONValue { value.map { .integer($0) } ?? .null }
}

extension SignalShape {
  var json: JSONValue {
    switch self {
    case .vector(let features): ["kind": "vector", "features": .integer(features)]
    case .sequence(let time, let features):
      ["kind": "sequence", "time": .optional(time), "features": .integer(features)]
    case .ids(let time): ["kind": "ids", "time": .optional(time)]
    }
  }

  init(_ object: StrictObject) throws(EngineError) {
    let time = object.optional("time") == nil ? nil : try object.integer("time", minimum: 0)
    switch try object.text("kind") {
    case "vector": self = .vector(features: try object.integer("features"))
    case "sequence": self = .sequence(time: time, features: try object.integer("features"))
    case "ids": self = .ids(time: time)
    default: throw object.malformed("kind")
    }
    try object.finish()
  }
}
