extension JSONValue {
  /// The text that Python's `json.dumps` would write (but for the escapes of non-ASCII letters).
  ///
  /// - Parameter indent: spaces per level; nil: all on one line.
  public func text(indent: Int? = nil) -> String {
    var output = ""
    write(to: &output, indent: indent, level: 0)
    return output
  }

  private func write(to output: inout String, indent: Int?, level: Int) {
    switch self {
    case .null: output += "null"
    case .bool(let value): output += value ? "true" : "false"
    case .integer(let value): output += String(value)
    case .number(let value): output += JSONValue.text(of: value)
    case .string(let text): JSONValue.quote(text, into: &output)
    case .array(let elements):
      write(elements, "[", "]", to: &output, indent: indent, level: level) { element, output in
        element.write(to: &output, indent: indent, level: level + 1)
      }
    case .object(let object):
      write(object.members, "{", "}", to: &output, indent: indent, level: level) { member, output in
        JSONValue.quote(member.key, into: &output)
        output += ": "
        member.value.write(to: &output, indent: indent, level: level + 1)
      }
    }
  }

  private func write<Element>(
    _ elements: [Element], _ opening: String, _ closing: String, to output: inout String,
    indent: Int?, level: Int, _ body: (Element, inout String) -> Void
  ) {
    output += opening
    for (position, element) in elements.enumerated() {
      if position > 0 { output += indent == nil ? ", " : "," }
      if let indent { output += "\n" + String(repeating: " ", count: indent * (level + 1)) }
      body(element, &output)
    }
    if let indent, !elements.isEmpty {
      output += "\n" + String(repeating: " ", count: indent * level)
    }
    output += closing
  }

  private static func text(of number: Double) -> String {
    if number.isNaN { return "NaN" }
    if number.isInfinite { return number < 0 ? "-Infinity" : "Infinity" }
    return String(number)
  }

  private static func quote(_ text: String, into output: inout String) {
    output += "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": output += "\\\""
      case "\\": output += "\\\\"
      case "\n": output += "\\n"
      case "\t": output += "\\t"
      case "\r": output += "\\r"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        output += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: output.unicodeScalars.append(scalar)
      }
    }
    output += "\""
  }
}
