import LSTM

/// What the reader answers: a JSON text, as long as the eight bytes before it say, and then the numbers
/// of the arrays that it names, as doubles in its order.
///
/// The reader has parsed a hostile file and may do what that file wants: its answer is as hostile, and is
/// read as such. It has no pointers, no offsets and no sizes but the arrays' shapes.
enum ReaderReply {
  /// Longest text of an answer; a description and an inspection are text, weights are not.
  static let longestText = FileLimits().textBytes

  // MARK: - In the reader

  static func json(_ error: EngineError) -> JSONValue {
    [
      "status": .integer(Int(error.code.rawValue)),
      // JSON with a NUL in it is refused at the other end.
      "message": .string(String(error.message.unicodeScalars.filter { $0 != "\0" }.prefix(4096))),
    ]
  }

  static func json(inspection: String) -> JSONValue {
    ["status": .integer(0), "inspection": .string(inspection)]
  }

  static func json(_ contents: ModelContents, _ names: [String]) -> JSONValue {
    let report = contents.report
    return [
      "status": .integer(0), "architecture": contents.description.json,
      "precision": .string(contents.precision.name),
      "format": .string(report.format.rawValue), "framework": .string(report.framework),
      "framework_version": .string(report.version), "is_verified": .bool(report.isVerified),
      "ignored": .array(report.ignored.map { .string($0) }),
      "arrays": .array(
        names.compactMap { name in
          contents.weights[name].map { array in
            ["name": .string(name), "shape": .array(array.shape.map { .integer($0) })]
          }
        }),
    ]
  }

  // MARK: - In the host

  /// The answer's text, or the error that it tells.
  static func header(_ text: String) throws(EngineError) -> StrictObject {
    let object = try StrictObject(try JSONValue(parsing: text), context: "the reader's answer")
    let status = try object.integer("status", minimum: 0)
    guard status != 0 else { return object }
    let message = try object.text("message")
    switch EngineError.Code(rawValue: Int32(clamping: status)) ?? .format {
    case .outOfMemory: throw EngineError(.limit, "\(message) within the reader's limit")
    case let code: throw EngineError(code, message)
    }
  }

  /// A model as the answer describes it.
  ///
  /// - Parameters:
  ///   - memory: bytes that its arrays may take; the reader had no more.
  ///   - fill: reads the next numbers of the answer.
  static func contents(
    _ object: StrictObject, memory: Int,
    fill: (UnsafeMutableRawBufferPointer) throws(EngineError) -> Void
  ) throws(EngineError) -> ModelContents {
    let format = try FileFormat(named: try object.text("format"))
    var contents = ModelContents(
      description: try NetworkDescription(json: object.optional("architecture") ?? .null),
      report: LoadReport(format: format))
    let precision = try object.text("precision")
    guard let known = ModelContents.Precision.allCases.first(where: { $0.name == precision }) else {
      throw EngineError(.unsupported, "precision '\(precision)' is unknown")
    }
    contents.precision = known
    contents.report.framework = try object.text("framework")
    contents.report.version = try object.text("framework_version")
    contents.report.isVerified = try object.flag("is_verified", default: false)
    contents.report.ignored = try object.list("ignored").compactMap(\.stringValue)
    var left = memory
    for value in try object.list("arrays") {
      let entry = try StrictObject(value, context: "an array of the reader's answer")
      let name = try entry.text("name")
      let shape = try entry.list("shape").map { $0.intValue ?? -1 }
      guard shape.count <= 8, let count = WeightArray.count(of: shape), count <= left / 8 else {
        throw EngineError(.limit, "'\(name)' has shape \(describe(shape)), more than the limit")
      }
      left -= count * 8
      let array = try WeightArray(shape: shape)
      try fill(UnsafeMutableRawBufferPointer(array.values))
      guard contents.weights.updateValue(array, forKey: name) == nil else {
        throw EngineError(.format, "the reader's answer has '\(name)' twice")
      }
    }
    try object.finish()
    return contents
  }
}
