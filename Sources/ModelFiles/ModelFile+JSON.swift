import LSTM

extension ModelFile {
  /// An architecture as the text of Keras's `model.to_json()`.
  ///
  /// - Throws: `.unsupported` with the reason if Keras cannot express it.
  public static func kerasJSON(_ description: NetworkDescription) throws(EngineError) -> String {
    let writer = KerasJSONWriter(description, purpose: .model, namesModules: true)
    try writer.checkVersions()
    guard var object = try writer.write().objectValue else { return "" }
    object["keras_version"] = .string(writer.needsKeras2 ? "2.15.0" : "3.0.0")
    object["backend"] = "tensorflow"
    return JSONValue.object(object).text()
  }

  /// A network's architecture as the text of Keras's `model.to_json()`.
  public static func kerasJSON(_ network: AnyNetwork) throws(EngineError) -> String {
    try kerasJSON(network.description)
  }

  /// An architecture from the text of Keras's `model.to_json()`, or from that of our own files.
  public static func description(
    fromJSON text: String, limits: FileLimits = FileLimits()
  ) throws(EngineError) -> NetworkDescription {
    let json = try KerasReader.parse(text, limits: limits)
    guard json.objectValue?["class_name"] != nil else {
      return try NetworkDescription(json: json, limits: limits)
    }
    let model = try KerasParser(
      version: KerasVersion(nil, guessingFrom: json), limits: limits
    ).model(json)
    return try KerasGraph.flatten(model).0
  }
}

extension ModelFile {
  /// An architecture as text that `description(fromJSON:)` reads: Keras's if Keras can express it, else our own.
  public static func json(_ description: NetworkDescription) throws(EngineError) -> String {
    do throws(EngineError) {
      return try kerasJSON(description)
    } catch {
      guard error.code == .unsupported else { throw error }
      return description.json.text()
    }
  }
}
