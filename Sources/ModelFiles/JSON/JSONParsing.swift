import CJansson
import LSTM

extension JSONValue {
  /// Parses JSON as Python writes it: `NaN`, `Infinity` and `-Infinity` are numbers.
  ///
  /// - Throws: `.format` with line and column; `.limit` if the text is too long or too deeply nested.
  public init(parsing text: String, limits: FileLimits = FileLimits()) throws(EngineError) {
    guard text.utf8.count <= limits.textBytes else {
      throw EngineError(
        .limit, "JSON text of \(text.utf8.count) bytes; the limit is \(limits.textBytes)")
    }
    guard mayHold(atMost: limits.jsonValues, text) else {
      throw EngineError(.limit, "JSON text with more than \(limits.jsonValues) values")
    }
    // Copies, and values that take more than their text.
    if text.utf8.count > 4096 { try Memory.require(bytes: 32 * text.utf8.count) }
    let quoted = quotingSpecialNumbers(text)
    var error = json_error_t()
    var root = load(quoted, flags: Int(JSON_DECODE_ANY), &error)
    if root == nil, errorText(&error).hasPrefix("too big") {
      // Integers beyond 64 bits (seeds): as floating-point numbers.
      root = load(quoted, flags: Int(JSON_DECODE_ANY) | Int(JSON_DECODE_INT_AS_REAL), &error)
    }
    guard let root else {
      let reason = errorText(&error)
      // jansson says nothing when it has no memory.
      guard !reason.isEmpty else { throw EngineError(.outOfMemory, "JSON: no memory to read it") }
      throw EngineError(
        .format, "JSON: \(reason), line \(error.line) column \(error.column)")
    }
    defer { json_decref(root) }
    self = try convert(root, depth: limits.depth)
  }
}

/// Whether a text has at most so many values. Every value but the first follows a comma or an opening
/// bracket; those in strings count, too.
private func mayHold(atMost limit: Int, _ text: String) -> Bool {
  var count = 1
  for byte in text.utf8
  where byte == UInt8(ascii: ",") || byte == UInt8(ascii: "[") || byte == UInt8(ascii: "{") {
    count += 1
  }
  return count <= limit
}

private func load(
  _ text: String, flags: Int, _ error: inout json_error_t
) -> UnsafeMutablePointer<json_t>? {
  var text = text
  return text.withUTF8 { bytes in
    bytes.withMemoryRebound(to: CChar.self) { json_loadb($0.baseAddress, $0.count, flags, &error) }
  }
}

private func errorText(_ error: inout json_error_t) -> String {
  withUnsafeBytes(of: &error.text) { bytes in
    String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
  }
}

/// Marks a string that stands for a number which JSON cannot express. Python's text cannot contain it
/// unescaped, jansson passes it on.
private let specialMark = "\u{10FFFF}"

/// Puts Python's bare `NaN` and `Infinity` between quotation marks, for jansson knows only JSON.
private func quotingSpecialNumbers(_ text: String) -> String {
  guard text.utf8.contains(UInt8(ascii: "N")) || text.utf8.contains(UInt8(ascii: "I")) else {
    return text
  }
  let bytes = Array(text.utf8)
  var result: [UInt8] = []
  result.reserveCapacity(bytes.count)
  var isInString = false
  var index = 0
  scan: while index < bytes.count {
    let byte = bytes[index]
    if isInString {
      if byte == UInt8(ascii: "\\"), index + 1 < bytes.count {
        result.append(byte)
        index += 1
      } else if byte == UInt8(ascii: "\"") {
        isInString = false
      }
    } else if byte == UInt8(ascii: "\"") {
      isInString = true
    } else {
      for token in ["NaN", "-Infinity", "Infinity"]
      where bytes[index...].starts(with: token.utf8) {
        result.append(contentsOf: "\"\(specialMark)\(token)\"".utf8)
        index += token.utf8.count
        continue scan
      }
    }
    result.append(bytes[index])
    index += 1
  }
  return String(decoding: result, as: UTF8.self)
}

private func convert(
  _ value: UnsafeMutablePointer<json_t>, depth: Int
) throws(EngineError) -> JSONValue {
  guard depth > 0 else { throw EngineError(.limit, "JSON: nested too deeply") }
  switch value.pointee.type {
  case JSON_OBJECT:
    var object = JSONObject()
    var iterator = json_object_iter(value)
    while let position = iterator {
      if let key = json_object_iter_key(position), let member = json_object_iter_value(position) {
        object.append(String(cString: key), try convert(member, depth: depth - 1))
      }
      iterator = json_object_iter_next(value, position)
    }
    return .object(object)
  case JSON_ARRAY:
    var elements: [JSONValue] = []
    for index in 0..<json_array_size(value) {
      guard let element = json_array_get(value, index) else { continue }
      elements.append(try convert(element, depth: depth - 1))
    }
    return .array(elements)
  case JSON_STRING:
    let start = UnsafeRawPointer(json_string_value(value))
    let bytes = UnsafeRawBufferPointer(start: start, count: json_string_length(value))
    let text = String(decoding: bytes, as: UTF8.self)
    switch text {
    case specialMark + "NaN": return .number(.nan)
    case specialMark + "Infinity": return .number(.infinity)
    case specialMark + "-Infinity": return .number(-.infinity)
    default: return .string(text)
    }
  case JSON_INTEGER: return .integer(Int(json_integer_value(value)))
  case JSON_REAL: return .number(json_real_value(value))
  case JSON_TRUE: return .bool(true)
  case JSON_FALSE: return .bool(false)
  default: return .null
  }
}
