import LSTM

extension ModelFile {
  public struct WeightOptions: Sendable {
    /// nil: the layout is recognised by the file's content.
    public var format: FileFormat?
    /// TF1 adds it at run time and does not store it: one value for all cells or one per cell; empty: as
    /// the file says, 1 if it does not.
    public var forgetBias: [Double] = []
    /// Only arrays whose names begin with it are read (`encoder.`); it is taken off the names.
    public var prefix = ""
    public var allowsNonFinite = false
    public var limits = FileLimits()
    /// As in ``LoadOptions``.
    public var isolation: Isolation?

    public init() {}
  }

  /// Loads weights into a network, bound by name and checked by shape. If anything does not fit, the network
  /// stays as it was.
  @discardableResult
  public static func loadWeights(
    _ path: String, into network: AnyNetwork, options: WeightOptions = WeightOptions()
  ) throws(EngineError) -> LoadReport {
    do throws(EngineError) {
      var contents = try readAnywhere(path, for: network.description, options)
      if !options.allowsNonFinite { try contents.checkFinite() }
      contents.dropZeroBiases(absentFrom: network)
      try contents.fill(network)
      return contents.report
    } catch {
      throw error.within("'\(path)'")
    }
  }

  /// Reads weights for an architecture without making a network.
  public static func readWeights(
    _ path: String, for description: NetworkDescription, _ options: WeightOptions = WeightOptions()
  ) throws(EngineError) -> ModelContents {
    try readWeights(.path(path), for: description, options)
  }

  private static func readAnywhere(
    _ path: String, for description: NetworkDescription, _ options: WeightOptions
  ) throws(EngineError) -> ModelContents {
    guard let isolation = options.isolation else {
      return try readWeights(.path(path), for: description, options)
    }
    var contents = try UntrustedFile(path: path, isolation: isolation)
      .contents(ReaderRequest(weightsFor: description, options))
    contents.description = description
    return contents
  }

  static func readWeights(
    _ source: FileSource, for description: NetworkDescription, _ options: WeightOptions
  ) throws(EngineError) -> ModelContents {
    let file = try source.probe(options.limits)
    if file.container == .zip {
      if let format = options.format, format != .keras {
        throw EngineError(.format, "the file is a zip archive, not '\(format.rawValue)'")
      }
      return try KerasReader.readArchive(source, limits: options.limits).rebound(to: description)
    }
    return try HDF5Library.session { (library) throws(EngineError) in
      let hdf5 = try source.hdf5(size: file.size, limits: options.limits, library: library)
      let layout = try HDF5Layout(try hdf5.root(), wanted: options.format)
      switch layout.format {
      case .carousel:
        return try CarouselFormat.read(layout.root).rebound(to: description)
      case .kerasH5, .keras:
        return try KerasReader.readWholeModel(layout.root).rebound(to: description)
      case .kerasWeights, .kerasLegacyWeights:
        return try KerasReader.readWeights(layout, for: description)
      case .torch, .chainer, .tf1, .onnx:
        return try bind(
          layout, to: description, forgetBias: options.forgetBias, prefix: options.prefix)
      }
    }
  }

  /// Binds a file whose names are its only structure.
  static func bind(
    _ layout: HDF5Layout, to description: NetworkDescription, forgetBias: [Double],
    prefix: String = ""
  ) throws(EngineError) -> ModelContents {
    let catalog = try layout.catalog()
    try catalog.keep(prefix: prefix, separators: layout.format == .torch ? "./" : "/")
    var contents = ModelContents(
      description: description, report: LoadReport(format: layout.format))
    contents.report.framework = layout.format == .tf1 ? "tensorflow" : layout.format.rawValue
    contents.report.version = try layout.root.attributes.text("framework_version") ?? ""
    switch layout.format {
    case .torch: contents.weights = try TorchFormat.read(catalog, into: description)
    case .chainer: contents.weights = try ChainerFormat.read(catalog, into: description)
    case .tf1:
      contents.weights = try TensorFlow1Format.read(
        catalog, layout.root, into: description, forgetBias: forgetBias)
    default:
      contents.weights = try ONNXFormat.read(
        catalog, try ONNXFormat.operators(catalog, layout.root), into: description,
        &contents.report)
    }
    let unused = catalog.unused
    guard unused.isEmpty else {
      throw EngineError(
        .format,
        "the network has no place for the file's "
          + unused.prefix(5).map { "'\($0)'" }.joined(separator: ", ")
          + (unused.count > 5 ? " and \(unused.count - 5) more" : ""))
    }
    contents.report.ignored += catalog.ignored
    return contents
  }
}

extension ModelContents {
  /// The weights under the keys of another architecture: by key if all are the same, else in order, if layer
  /// by layer the arrays agree.
  func rebound(to other: NetworkDescription) throws(EngineError) -> ModelContents {
    var result = self
    result.description = other
    let own = description.nodes.map(\.layer).filter { layer in
      weights.keys.contains { $0.hasPrefix(layer.name + "/") }
    }
    let targets = Set(LayerTarget.targets(of: other).map(\.name))
    if Set(own.map(\.name)) == targets { return result }
    let names = other.nodes.map(\.layer.name).filter { targets.contains($0) }
    guard names.count == own.count else {
      throw EngineError(
        .shape, "the file has weights for \(own.count) layers, the network has \(names.count)")
    }
    result.weights = [:]
    for (layer, name) in zip(own, names) {
      for (key, array) in weights where key.hasPrefix(layer.name + "/") {
        result.weights[name + key.dropFirst(layer.name.count)] = array
      }
    }
    return result
  }
}
