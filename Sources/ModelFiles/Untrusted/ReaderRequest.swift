import LSTM

/// What the reader is asked for: a JSON text, as long as the eight bytes before it say.
struct ReaderRequest {
  enum Kind: String { case model, weights, inspection }

  /// Of the conversation; both ends are built from the same sources.
  static let version = 1

  var kind = Kind.model
  /// For messages.
  var path = ""
  var format: FileFormat?
  var config: String?
  var prefix = ""
  var forgetBias: [Double] = []
  var allowsNonFinite = false
  /// Of the network that weights are for.
  var description: NetworkDescription?
  var fileBytes = FileLimits().fileBytes
  var memory = 0
  var seconds = 0

  var limits: FileLimits {
    var limits = FileLimits()
    limits.fileBytes = fileBytes
    return limits
  }

  var json: JSONValue {
    var object: JSONObject = [
      "version": .integer(ReaderRequest.version), "kind": .string(kind.rawValue),
      "path": .string(path), "prefix": .string(prefix),
      "forget_bias": .array(forgetBias.map { .number($0) }),
      "allows_non_finite": .bool(allowsNonFinite), "file_bytes": .integer(fileBytes),
      "memory": .integer(memory), "seconds": .integer(seconds),
    ]
    object["format"] = format.map { .string($0.rawValue) }
    object["config"] = config.map { .string($0) }
    object["description"] = description?.json
    return .object(object)
  }

  init(_ kind: Kind, _ options: ModelFile.LoadOptions) {
    self.kind = kind
    format = options.format
    config = options.configJSON
    allowsNonFinite = options.allowsNonFinite
    fileBytes = options.limits.fileBytes
  }

  init(weightsFor description: NetworkDescription, _ options: ModelFile.WeightOptions) {
    kind = .weights
    format = options.format
    prefix = options.prefix
    forgetBias = options.forgetBias
    allowsNonFinite = options.allowsNonFinite
    fileBytes = options.limits.fileBytes
    self.description = description
  }

  init(_ json: JSONValue) throws(EngineError) {
    let object = try StrictObject(json, context: "the request")
    guard try object.integer("version") == ReaderRequest.version,
      let kind = Kind(rawValue: try object.text("kind"))
    else { throw EngineError(.library, "carousel-reader is of another version than the library") }
    self.kind = kind
    path = try object.text("path")
    if let name = object.optional("format")?.stringValue { format = try FileFormat(named: name) }
    config = object.optional("config")?.stringValue
    prefix = try object.text("prefix")
    forgetBias = try object.list("forget_bias").compactMap(\.doubleValue)
    allowsNonFinite = try object.flag("allows_non_finite", default: false)
    fileBytes = object.optional("file_bytes")?.intValue ?? 0
    memory = object.optional("memory")?.intValue ?? 0
    seconds = object.optional("seconds")?.intValue ?? 0
    if let json = object.optional("description") {
      description = try NetworkDescription(json: json)
    }
    try object.finish()
  }
}
