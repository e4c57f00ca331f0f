import CCarousel
import LSTM

@_cdecl("carousel_network_summary") @implementation
public func carousel_network_summary(
  _ network: OpaquePointer?, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int,
  _ length: UnsafeMutablePointer<Int>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try NetworkObject.of(network)
    let output = try TextOutput(buffer, capacity, length)
    try output.write(object.network.summary)
  }
}

extension AnyNetwork {
  /// A table of the layers, as people who know Keras expect it.
  var summary: String {
    let shapes = nodeShapes
    var rows = [["Layer (type)", "Output shape", "Parameters", "Reads"]]
    for (index, node) in description.nodes.enumerated() {
      let count = parameters.reduce(0) { $0 + ($1.node == index ? $1.count : 0) }
      rows.append([
        "\(node.layer.name) (\(node.layer.kind.className))", shapes[index].text,
        grouped(count),
        node.inputs.map { description.nodes[$0].layer.name }.joined(separator: ", "),
      ])
    }
    // In a chain every layer reads the one above it.
    if description.isChain { for index in rows.indices { rows[index].removeLast() } }
    let total = parameters.reduce(0) { $0 + $1.count }
    let trainable = parameters.reduce(0) { $0 + ($1.isTrainable ? $1.count : 0) }
    return "Network \"\(description.name)\" (\(format == .float32 ? dataType.name : format.name))\n"
      + table(rows)
      + "Parameters: \(grouped(total)), trainable: \(grouped(trainable))\n"
  }

  private func table(_ rows: [[String]]) -> String {
    let columns = rows[0].indices
    let widths = columns.map { column in rows.map { $0[column].count }.max() ?? 0 }
    let rule = String(repeating: "-", count: widths.reduce(0, +) + 2 * (widths.count - 1)) + "\n"
    var text = rule
    for (index, row) in rows.enumerated() {
      var line = ""
      for column in columns {
        let padding = String(repeating: " ", count: widths[column] - row[column].count)
        // Numbers stand to the right.
        line += column == 2 && index > 0 ? padding + row[column] : row[column] + padding
        if column != columns.last { line += "  " }
      }
      while line.last == " " { line.removeLast() }
      text += line + "\n" + (index == 0 ? rule : "")
    }
    return text + rule
  }
}

extension SignalShape {
  /// (any, any, 3): batch, time, features.
  fileprivate var text: String {
    let steps = time.map(String.init) ?? "any"
    return switch self {
    case .vector(let features): "(any, \(features))"
    case .sequence(_, let features): "(any, \(steps), \(features))"
    case .ids: "(any, \(steps))"
    }
  }
}

/// 1234567 as 1,234,567.
private func grouped(_ number: Int) -> String {
  var text = ""
  for (index, digit) in String(number).reversed().enumerated() {
    if index > 0, index % 3 == 0 { text.append(",") }
    text.append(digit)
  }
  return String(text.reversed())
}
