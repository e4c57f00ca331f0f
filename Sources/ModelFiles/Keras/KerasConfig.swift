import LSTM

/// The `config` of one Keras layer. It remembers which keys were asked for: a key that nobody honours
/// and that is not known to be harmless could change the result, so ``finish()`` refuses it.
final class KerasConfig {
  let layerName: String
  let className: String
  let version: KerasVersion
  private let object: JSONObject
  private var used: Set<String> = []

  init(className: String, object: JSONObject, version: KerasVersion, fallbackName: String) {
    self.className = className
    self.object = object
    self.version = version
    layerName = object["name"]?.stringValue ?? fallbackName
  }

  /// `layer 'x' (LSTM)`, for messages.
  var displayName: String { "layer '\(layerName)' (\(className))" }

  func refuse(_ why: String) -> EngineError {
    EngineError(.unsupported, "\(displayName): \(why)")
  }

  func malformed(_ why: String) -> EngineError {
    EngineError(.format, "\(displayName): \(why)")
  }

  /// The value of the first of `keys` that is there and not null.
  func value(_ keys: String...) -> JSONValue? { value(keys) }

  private func value(_ keys: [String]) -> JSONValue? {
    used.formUnion(keys)
    for key in keys {
      if let value = object[key], !value.isNull { return value }
    }
    return nil
  }

  /// The value as it is, where null has a meaning of its own.
  func raw(_ key: String) -> JSONValue? {
    used.insert(key)
    return object[key]
  }

  /// An integer of at least `minimum`.
  func integer(_ keys: String..., minimum: Int = 1) throws(EngineError) -> Int {
    guard let value = value(keys) else { throw malformed("'\(keys[0])' is missing") }
    return try checked(value, keys[0], minimum)
  }

  func integer(_ keys: String..., default fallback: Int, minimum: Int = 1) throws(EngineError)
    -> Int
  {
    guard let value = value(keys) else { return fallback }
    return try checked(value, keys[0], minimum)
  }

  /// An integer, or a list of one (`kernel_size`).
  func single(_ keys: String..., default fallback: Int? = nil) throws(EngineError) -> Int {
    guard let value = value(keys) else {
      if let fallback { return fallback }
      throw malformed("'\(keys[0])' is missing")
    }
    if let list = value.arrayValue {
      guard list.count == 1 else { throw refuse("'\(keys[0])' has \(list.count) extents") }
      return try checked(list[0], keys[0], 1)
    }
    return try checked(value, keys[0], 1)
  }

  private func checked(_ value: JSONValue, _ key: String, _ minimum: Int) throws(EngineError) -> Int
  {
    // Nothing that a file can fill has extents beyond 2^31.
    guard let integer = value.intValue, integer >= minimum, integer < 1 << 31 else {
      throw malformed("'\(key)' is \(value.kindName), expected an integer of at least \(minimum)")
    }
    return integer
  }

  func number(_ keys: String..., default fallback: Double) throws(EngineError) -> Double {
    guard let value = value(keys) else { return fallback }
    // LeakyReLU of TensorFlow: {"class_name": "__numpy__"|"__ndarray__", "config"|"value": 0.3}
    if let object = value.objectValue, let inner = object["value"] ?? object["config"],
      let number = inner.doubleValue
    {
      return number
    }
    guard let number = value.doubleValue else {
      throw malformed("'\(keys[0])' is \(value.kindName), expected a number")
    }
    return number
  }

  /// A rate in [0, 1).
  func rate(_ keys: String...) throws(EngineError) -> Double {
    guard let value = value(keys) else { return 0 }
    guard let rate = value.doubleValue, rate >= 0, rate <= 1 else {
      throw malformed("'\(keys[0])' is \(value.kindName), expected a rate from 0 to 1")
    }
    return rate
  }

  func flag(_ keys: String..., default fallback: Bool) throws(EngineError) -> Bool {
    guard let value = value(keys) else { return fallback }
    if let flag = value.boolValue { return flag }
    // Some writers put 0 and 1.
    guard let number = value.intValue, number == 0 || number == 1 else {
      throw malformed("'\(keys[0])' is \(value.kindName), expected true or false")
    }
    return number == 1
  }

  func text(_ keys: String..., default fallback: String) throws(EngineError) -> String {
    guard let value = value(keys) else { return fallback }
    guard let text = value.stringValue else {
      throw malformed("'\(keys[0])' is \(value.kindName), expected a string")
    }
    return text
  }

  /// Refuses a flag that is set.
  func refuseFlag(_ key: String, _ why: String) throws(EngineError) {
    if try flag(key, default: false) { throw refuse("'\(key)' is set: \(why)") }
  }

  /// Refuses every value of `key` but those of `accepted`.
  func require(_ key: String, in accepted: [String]) throws(EngineError) {
    let text = try text(key, default: accepted[0])
    guard accepted.contains(text) else {
      throw refuse("'\(key)' is '\(text)'; supported: \(accepted.joined(separator: ", "))")
    }
  }

  /// Extents without the batch of `batch_shape` and its like; nil if the layer does not say.
  var batchShape: [JSONValue]? {
    value("batch_shape", "batch_input_shape")?.arrayValue
  }

  /// `axis`, a number or a list of them; empty if the layer has none.
  var axes: [Int] {
    guard let value = value("axis") else { return [] }
    return value.arrayValue?.compactMap(\.intValue) ?? [value.intValue ?? Int.min]
  }

  /// Checks that every key was honoured or changes nothing.
  func finish() throws(EngineError) {
    for member in object.members {
      let key = member.key
      guard !used.contains(key), !member.value.isNull, !KerasConfig.isHarmless(key) else {
        continue
      }
      throw refuse("the option '\(key)' (\(member.value.kindName)) is not supported")
    }
  }

  /// Keys that have no say in inference or in the meaning of the weights.
  private static func isHarmless(_ key: String) -> Bool {
    let harmless: Set<String> = [
      "name", "trainable", "dtype", "batch_input_shape", "batch_shape", "input_shape",
      "input_dtype",
      "input_length", "input_dim", "seed", "implementation", "unroll", "consume_less",
      "unit_forget_bias", "shared_object_id", "build_config", "autocast", "sparse", "ragged",
      "optional", "init", "dropout_W", "dropout_U", "dropout_dim", "weights",
      "activity_regularizer",
      "synchronized", "fused", "experimental_autocast", "cell_name", "use_legacy_config",
    ]
    return harmless.contains(key) || key.hasSuffix("_initializer") || key.hasSuffix("_regularizer")
      || key.hasSuffix("_constraint") || key.hasSuffix("_init")
  }
}
