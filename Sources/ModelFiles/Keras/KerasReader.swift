import LSTM

/// Whole models of Keras in HDF5: `model.save("m.h5")` of every generation.
enum KerasReader {
  static func readWholeModel(_ root: HDF5Group) throws(EngineError) -> ModelContents {
    guard let text = try root.attributes.text("model_config") else {
      throw EngineError(
        .format, "the file has no attribute 'model_config': it is not a whole Keras model")
    }
    let config = try parse(text, limits: root.file.limits)
    guard let weights = try root.groupIfPresent("model_weights") else {
      throw EngineError(.format, "the file has no group 'model_weights'")
    }
    var versionText = try root.attributes.text("keras_version")
    if versionText == nil { versionText = try weights.attributes.text("keras_version") }
    let version = KerasVersion(versionText, guessingFrom: config)
    let stored = try KerasLegacyWeights(group: weights)
    var contents = try read(
      config, version, limits: root.file.limits, format: .kerasH5,
      inputWidth: try stored.firstKernelRows()
    ) { (model, graph) throws(EngineError) in try stored.read(into: model, graph: graph) }
    if try root.groupIfPresent("optimizer_weights") != nil {
      contents.report.ignored.append("optimizer_weights: the optimiser's state")
    }
    if root.attributes.contains("training_config") {
      contents.report.ignored.append("training_config: loss and optimiser of the training run")
    }
    return contents
  }

  /// Weights without an architecture, in the legacy layout.
  static func readLegacyWeights(
    _ root: HDF5Group, config text: String
  ) throws(EngineError) -> ModelContents {
    let config = try parse(text, limits: root.file.limits)
    let version = KerasVersion(
      ofWeights: try root.attributes.text("keras_version"), for: config)
    let stored = try KerasLegacyWeights(group: root)
    return try read(
      config, version, limits: root.file.limits, format: .kerasLegacyWeights,
      inputWidth: try stored.firstKernelRows()
    ) { (model, graph) throws(EngineError) in try stored.read(into: model, graph: graph) }
  }

  static func parse(_ text: String, limits: FileLimits) throws(EngineError) -> JSONValue {
    do throws(EngineError) {
      return try JSONValue(parsing: text, limits: limits)
    } catch {
      throw error.within("the model's configuration")
    }
  }

  /// The steps common to all of Keras's layouts.
  static func read(
    _ config: JSONValue, _ version: KerasVersion, limits: FileLimits, format: FileFormat,
    inputWidth: Int? = nil,
    weights: (KerasModel, KerasGraph) throws(EngineError) -> [String: WeightArray]
  ) throws(EngineError) -> ModelContents {
    let model = try KerasParser(version: version, limits: limits).model(config)
    let (description, graph) = try KerasGraph.flatten(model, inputWidth: inputWidth)
    var report = LoadReport(format: format)
    report.framework = version.frameworkName
    report.version = version.text
    var contents = ModelContents(description: description, report: report)
    contents.weights = try weights(model, graph)
    contents.precision = precision(of: config)
    return contents
  }

  /// Double precision if a layer of the model has it as its policy.
  private static func precision(of config: JSONValue) -> ModelContents.Precision {
    guard let options = config.objectValue?["config"] else { return .float32 }
    let layers = options.objectValue?["layers"]?.arrayValue ?? options.arrayValue ?? []
    for layer in layers {
      guard let object = layer.objectValue, object["class_name"]?.stringValue != "InputLayer" else {
        continue
      }
      let policy = KerasParser.policyName(object["config"]?.objectValue?["dtype"])
      if policy == "float64" { return .float64 }
    }
    return .float32
  }
}
