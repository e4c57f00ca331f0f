import LSTM

/// A JSON object of our own, read key by key; keys that nobody asked for are an error, so that a file of
/// a later version is never half understood.
final class StrictObject {
  private let object: JSONObject
  private let context: String
  private var used: Set<String> = []

  init(_ value: JSONValue?, context: String) throws(EngineError) {
    guard let object = value?.objectValue else {
      throw EngineError(.format, "\(context) is not a JSON object")
    }
    self.object = object
    self.context = context
  }

  func malformed(_ key: String) -> EngineError {
    let found = object[key].map { "is \($0.kindName)" } ?? "is missing"
    return EngineError(.format, "\(context): '\(key)' \(found)")
  }

  func optional(_ key: String) -> JSONValue? {
    used.insert(key)
    guard let value = object[key], !value.isNull else { return nil }
    return value
  }

  func integer(_ key: String, minimum: Int = 1) throws(EngineError) -> Int {
    guard let value = optional(key)?.intValue, value >= minimum, value < 1 << 31 else {
      throw malformed(key)
    }
    return value
  }

  func integer(_ key: String, default fallback: Int, minimum: Int = 1) throws(EngineError) -> Int {
    optional(key) == nil ? fallback : try integer(key, minimum: minimum)
  }

  func number(_ key: String) throws(EngineError) -> Double {
    guard let value = optional(key)?.doubleValue else { throw malformed(key) }
    return value
  }

  func number(_ key: String, default fallback: Double) throws(EngineError) -> Double {
    optional(key) == nil ? fallback : try number(key)
  }

  func optionalNumber(_ key: String) throws(EngineError) -> Double? {
    optional(key) == nil ? nil : try number(key)
  }

  func flag(_ key: String, default fallback: Bool) throws(EngineError) -> Bool {
    guard let value = optional(key) else { return fallback }
    guard let flag = value.boolValue else { throw malformed(key) }
    return flag
  }

  func text(_ key: String) throws(EngineError) -> String {
    guard let text = optional(key)?.stringValue else { throw malformed(key) }
    return text
  }

  func list(_ key: String) throws(EngineError) -> [JSONValue] {
    guard let list = optional(key)?.arrayValue else { throw malformed(key) }
    return list
  }

  func object(_ key: String) throws(EngineError) -> StrictObject {
    try StrictObject(optional(key), context: "\(context), '\(key)'")
  }

  func finish() throws(EngineError) {
    for member in object.members where !used.contains(member.key) {
      throw EngineError(
        .unsupported, "\(context): the option '\(member.key)' is unknown (a newer version's?)")
    }
  }
}
