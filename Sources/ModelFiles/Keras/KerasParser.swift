import LSTM

/// Reads the JSON of a Keras model, of any generation.
struct KerasParser {
  let version: KerasVersion
  let limits: FileLimits

  /// A layer from `{"class_name": …, "config": …}`.
  ///
  /// - Parameter depth: how many models and wrappers are around it.
  func layer(_ json: JSONValue, depth: Int) throws(EngineError) -> KerasLayer {
    guard depth < 16 else { throw EngineError(.limit, "models are nested more than 16 deep") }
    guard let object = json.objectValue, let className = object["class_name"]?.stringValue else {
      throw EngineError(.format, "the model's configuration has a layer without a class name")
    }
    if KerasParser.modelClasses.contains(className) {
      let model = try self.model(json, depth: depth + 1)
      return KerasLayer(
        name: model.name, className: className, isTrainable: true, content: .model(model))
    }
    guard let options = object["config"]?.objectValue else {
      throw EngineError(.format, "a layer of class '\(className)' has no configuration")
    }
    let config = KerasConfig(
      className: className, object: options, version: version,
      fallbackName: object["name"]?.stringValue ?? className)
    if let operation = try maskOperation(config, object) { return operation }
    // Operations on tensors (x + y) live in keras.src.ops; some are the same as the layers of their names.
    if let module = object["module"]?.stringValue, module.contains(".ops."),
      !["Add", "Subtract", "Multiply", "Maximum", "Minimum"].contains(className)
    {
      throw config.refuse("operations on tensors outside of layers are not supported")
    }
    try checkPrecision(config)
    let isTrainable = try config.flag("trainable", default: true)
    let layer = try make(config, isTrainable: isTrainable, depth: depth)
    try config.finish()
    return layer
  }

  /// Keras 3 writes the computation of masks into functional models.
  private func maskOperation(
    _ config: KerasConfig, _ object: JSONObject
  ) throws(EngineError) -> KerasLayer? {
    var value: Double?
    switch config.className {
    case "NotEqual":
      let call = object["inbound_nodes"]?.arrayValue?.first?.objectValue
      let arguments = call?["args"]?.arrayValue ?? []
      guard arguments.count == 2, let number = arguments[1].doubleValue else {
        throw config.refuse("operations on tensors outside of layers are not supported")
      }
      value = number
    case "Any":
      guard config.axes == [-1], try !config.flag("keepdims", default: false) else {
        throw config.refuse("operations on tensors outside of layers are not supported")
      }
    case "LogicalOr": break
    default: return nil
    }
    return KerasLayer(
      name: config.layerName, className: config.className, isTrainable: true,
      content: .maskOperation(differsFrom: value))
  }

  static let modelClasses: Set<String> = ["Sequential", "Functional", "Model"]

  private func make(
    _ config: KerasConfig, isTrainable: Bool, depth: Int
  ) throws(EngineError) -> KerasLayer {
    func layer(
      _ nodes: [(suffix: String, kind: LayerKind)], _ units: [KerasWeightUnit] = [],
      returnsState: Bool = false
    ) -> KerasLayer {
      KerasLayer(
        name: config.layerName, className: config.className, isTrainable: isTrainable,
        content: .nodes(nodes), units: units, batchShape: config.batchShape,
        featureAxes: config.axes, returnsState: returnsState)
    }
    switch config.className {
    case "InputLayer":
      return try inputLayer(config)
    case "LSTM", "GRU", "SimpleRNN", "CuDNNLSTM", "CuDNNGRU", "RNN":
      let (stack, returnsState) = try recurrentStack(config)
      let isSingle = stack.count == 1
      return layer(
        stack.enumerated().map { ($1.suffix(of: $0, isSingle), .recurrent($1.description)) },
        stack.enumerated().map { index, entry in
          KerasWeightUnit(
            kind: .cell(entry.description.cell), node: index, storePath: entry.storePath)
        },
        returnsState: returnsState)
    case "Bidirectional":
      let (description, units, returnsState) = try bidirectional(config)
      return layer([("", .bidirectional(description))], units, returnsState: returnsState)
    case "TimeDistributed":
      return try timeDistributed(config, isTrainable: isTrainable, depth: depth)
    default:
      let (kind, roles) = try plainLayer(config)
      let units = roles.isEmpty ? [] : [KerasWeightUnit(kind: .arrays(roles))]
      return layer([("", kind)], units)
    }
  }

  private func inputLayer(_ config: KerasConfig) throws(EngineError) -> KerasLayer {
    guard let shape = config.batchShape, !shape.isEmpty else {
      throw config.malformed("it has no shape")
    }
    try config.refuseFlag("sparse", "sparse inputs are not supported")
    try config.refuseFlag("ragged", "ragged inputs are not supported")
    return KerasLayer(
      name: config.layerName, className: config.className, isTrainable: true,
      content: .input(
        extents: try KerasParser.extents(shape.dropFirst(), config),
        batch: shape[0].intValue),
      batchShape: shape)
  }

  static func extents(
    _ shape: ArraySlice<JSONValue>, _ config: KerasConfig?
  ) throws(EngineError) -> [Int?] {
    var extents: [Int?] = []
    for extent in shape {
      if extent.isNull {
        extents.append(nil)
        continue
      }
      guard let value = extent.intValue, value >= 1, value < 1 << 31 else {
        let what = "the input shape has the extent \(extent.kindName)"
        throw config?.malformed(what) ?? EngineError(.format, what)
      }
      extents.append(value)
    }
    return extents
  }

  /// A wrapped layer may be a whole Sequential: every layer of it is applied to every step.
  private func timeDistributed(
    _ config: KerasConfig, isTrainable: Bool, depth: Int
  ) throws(EngineError) -> KerasLayer {
    guard let json = config.value("layer") else { throw config.malformed("'layer' is missing") }
    let inner = try layer(json, depth: depth + 1)
    var kinds: [(suffix: String, kind: LayerKind)] = []
    var units: [KerasWeightUnit] = []

    func wrap(_ layer: KerasLayer, suffix: String, storePath: String) throws(EngineError) {
      switch layer.content {
      case .nodes(let nodes):
        guard nodes.count == 1 else { throw config.refuse("it wraps a stack of cells") }
        switch nodes[0].kind {
        case .recurrent, .bidirectional, .conv1D, .pooling1D, .globalPooling1D, .embedding,
          .zeroPadding1D, .upSampling1D, .repeatVector, .timeDistributed, .masking, .merge:
          throw config.refuse("it wraps \(layer.displayName), which works on whole sequences")
        default: break
        }
        for var unit in layer.units {
          unit.node = kinds.count
          unit.storePath = storePath
          units.append(unit)
        }
        kinds.append((suffix, .timeDistributed(nodes[0].kind)))
      case .model(let model):
        guard model.isSequential else { throw config.refuse("it wraps a functional model") }
        var paths = KerasStoreNames(style: .layers)
        for inner in model.layers {
          if case .input = inner.content { continue }
          let path = "\(storePath)/layers/\(paths.name(for: inner))"
          try wrap(inner, suffix: "\(suffix).\(inner.name)", storePath: path)
        }
      case .input, .maskOperation:
        throw config.malformed("it wraps \(layer.displayName)")
      }
    }
    try wrap(inner, suffix: "", storePath: "layer")
    return KerasLayer(
      name: config.layerName, className: config.className, isTrainable: isTrainable,
      content: .nodes(kinds), units: units, batchShape: config.batchShape)
  }

  /// Weights are computed with in single precision, or in double if the model is; half precisions of
  /// Keras are widened. Quantised layers hold other arrays.
  private func checkPrecision(_ config: KerasConfig) throws(EngineError) {
    guard let name = KerasParser.policyName(config.value("dtype")) else { return }
    let known = [
      "float16", "bfloat16", "float32", "float64", "mixed_float16", "mixed_bfloat16", "int32",
      "int64",
      "uint8", "int8", "int16", "bool", "infer", "uint16", "uint32",
    ]
    guard known.contains(name) else {
      throw config.refuse("the precision '\(name)' is not supported")
    }
  }

  /// `float32`, or the name of the policy object that newer versions write.
  static func policyName(_ value: JSONValue?) -> String? {
    if let name = value?.stringValue { return name }
    guard let object = value?.objectValue else { return nil }
    if let name = object["config"]?.objectValue?["name"]?.stringValue,
      object["class_name"]?.stringValue?.contains("Quantized") != true
    {
      return name
    }
    return object["class_name"]?.stringValue
  }
}
