import LSTM

extension ModelFile {
  /// What a file holds, as JSON text: layout, framework and version, layers, arrays with shapes and statistics,
  /// gate order, counts, what would be ignored; and, if it could not be loaded, why.
  public static func inspect(
    _ path: String, options: LoadOptions = LoadOptions()
  ) throws(EngineError) -> String {
    do throws(EngineError) {
      guard let isolation = options.isolation else {
        return try inspect(.path(path), path: path, options: options)
      }
      return try UntrustedFile(path: path, isolation: isolation)
        .inspection(ReaderRequest(.inspection, options))
    } catch {
      throw error.within("'\(path)'")
    }
  }

  static func inspect(
    _ source: FileSource, path: String, options: LoadOptions
  ) throws(EngineError) -> String {
    var options = options
    options.allowsNonFinite = true
    let file = try source.probe(options.limits)
    var result: JSONObject = ["path": .string(path), "bytes": .integer(file.size)]
    do throws(EngineError) {
      describe(try read(source, options), in: &result)
    } catch {
      guard file.container == .hdf5, error.code != .outOfMemory else { throw error }
      // Weights alone, or a model that is refused: the arrays can be listed all the same.
      try HDF5Library.session { (library) throws(EngineError) in
        let hdf5 = try source.hdf5(size: file.size, limits: options.limits, library: library)
        try listArrays(of: try HDF5Layout(try hdf5.root(), wanted: options.format), in: &result)
      }
      result["problem"] = .string(error.message)
    }
    return JSONValue.object(result).text(indent: 1)
  }

  private static func describe(_ contents: ModelContents, in result: inout JSONObject) {
    let report = contents.report
    result["format"] = .string(report.format.rawValue)
    result["framework"] = .string(report.framework)
    result["version"] = .string(report.version)
    result["dtype"] = contents.precision == .float64 ? "float64" : "float32"
    result["precision"] = .string(contents.precision.name)
    result["verified"] = .bool(report.isVerified)
    result["name"] = .string(contents.description.name)
    let names = contents.description.nodes.map(\.layer.name)
    let layers = contents.description.nodes.map { node -> JSONValue in
      var layer: JSONObject = ["name": .string(node.layer.name)]
      layer["class"] = .string(node.layer.kind.inspectionClass)
      layer["inputs"] = .array(node.inputs.map { .string(names[$0]) })
      if let cell = node.layer.kind.firstCell {
        layer["units"] = .integer(cell.units)
        layer["gate_order"] = .array(cell.gateOrder.map { .string($0) })
      }
      let keys = contents.weights.keys.filter { $0.hasPrefix(node.layer.name + "/") }.sorted()
      layer["parameter_count"] = .integer(
        keys.reduce(0) { $0 + (contents.weights[$1]?.count ?? 0) })
      layer["options"] = node.layer.kind.json
      return .object(layer)
    }
    result["layers"] = .array(layers)
    result["arrays"] = .array(
      contents.weights.keys.sorted().compactMap { key in
        contents.weights[key].map { .object(summary(of: $0, name: key)) }
      })
    result["parameter_count"] = .integer(contents.weights.values.reduce(0) { $0 + $1.count })
    result["ignored"] = .array(report.ignored.map { .string($0) })
  }

  private static func listArrays(
    of layout: HDF5Layout, in result: inout JSONObject
  ) throws(EngineError) {
    let attributes = layout.root.attributes
    result["format"] = .string(layout.format.rawValue)
    var framework = try attributes.text("framework")
    if framework == nil { framework = layout.format.frameworkName }
    result["framework"] = .string(framework ?? "")
    var version = try attributes.text("keras_version")
    if version == nil { version = try attributes.text("framework_version") }
    result["version"] = .string(version ?? "")
    result["gate_order"] = .string(layout.format.gateOrder)
    var arrays: [JSONValue] = []
    var count = 0
    for path in try ArrayCatalog.datasets(below: layout.root) {
      let dataset = try layout.root.dataset(path)
      count = (WeightArray.count(of: dataset.shape) ?? .max).addedClamping(to: count)
      arrays.append([
        "name": .string(path), "shape": .array(dataset.shape.map { .integer($0) }),
        "dtype": .string(dataset.typeName),
      ])
    }
    result["arrays"] = .array(arrays)
    result["parameter_count"] = .integer(count)
  }

  private static func summary(of array: WeightArray, name: String) -> JSONObject {
    var (sum, minimum, maximum) = (0.0, Double.infinity, -Double.infinity)
    for value in array.values {
      sum += value
      minimum = min(minimum, value)
      maximum = max(maximum, value)
    }
    let mean = array.count == 0 ? 0 : sum / Double(array.count)
    var squares = 0.0
    for value in array.values { squares += (value - mean) * (value - mean) }
    let deviation = array.count == 0 ? 0 : (squares / Double(array.count)).squareRoot()
    return [
      "name": .string(name), "shape": .array(array.shape.map { .integer($0) }),
      "minimum": .number(minimum), "maximum": .number(maximum), "mean": .number(mean),
      "deviation": .number(deviation),
    ]
  }
}

extension FileFormat {
  var frameworkName: String {
    switch self {
    case .carousel: "carousel"
    case .kerasH5, .keras, .kerasWeights, .kerasLegacyWeights: "keras"
    case .torch: "pytorch"
    case .chainer: "chainer"
    case .onnx: "onnx"
    case .tf1: "tensorflow"
    }
  }

  /// Order of the LSTM gates in files of this layout.
  var gateOrder: String {
    switch self {
    case .carousel, .kerasH5, .keras, .kerasWeights, .kerasLegacyWeights, .torch:
      "input, forget, cell, output"
    case .chainer:
      "L.LSTM: cell, input, forget, output, interleaved by unit; NStep: input, forget, cell, output"
    case .onnx: "input, output, forget, cell"
    case .tf1: "input, cell, forget, output"
    }
  }
}

extension LayerKind {
  /// The class as people know it: `lstm`, not `recurrent`.
  fileprivate var inspectionClass: String {
    switch self {
    case .recurrent(let description):
      description.cell.json.objectValue?["class"]?.stringValue ?? "recurrent"
    case .bidirectional(let description):
      "bidirectional "
        + (description.forward.cell.json.objectValue?["class"]?.stringValue ?? "recurrent")
    default: json.objectValue?["class"]?.stringValue ?? ""
    }
  }

  fileprivate var firstCell: CellDescription? {
    switch self {
    case .recurrent(let description): description.cell
    case .bidirectional(let description): description.forward.cell
    default: nil
    }
  }
}
