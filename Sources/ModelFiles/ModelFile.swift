import LSTM

/// Model files of every layout: load, save, inspect.
public enum ModelFile {
  public struct LoadOptions: Sendable {
    /// nil: the layout is recognised by the file's content.
    public var format: FileFormat?
    /// Text of `model.to_json()`, for Keras files that hold weights only.
    public var configJSON: String?
    public var allowsNonFinite = false
    /// What the network computes in; nil: what the file says.
    public var precision: ModelContents.Precision?
    public var limits = FileLimits()
    /// For files that are not trusted: a process of its own reads them; nil: this one does.
    public var isolation: Isolation?

    public init() {}
  }

  /// Reads a model without making a network of it.
  public static func readContents(
    _ path: String, options: LoadOptions = LoadOptions()
  ) throws(EngineError) -> ModelContents {
    do throws(EngineError) {
      var contents = try readAnywhere(path, options)
      if let precision = options.precision { contents.precision = precision }
      if !options.allowsNonFinite { try contents.checkFinite() }
      return contents
    } catch {
      throw error.within("'\(path)'")
    }
  }

  /// Loads a model: a self-describing file, or a Keras weights file with `configJSON`.
  public static func load(
    _ path: String, options: LoadOptions = LoadOptions()
  ) throws(EngineError) -> (network: AnyNetwork, report: LoadReport) {
    let contents = try readContents(path, options: options)
    do throws(EngineError) {
      return (try contents.makeNetwork(), contents.report)
    } catch {
      throw error.within("'\(path)'")
    }
  }

  private static func readAnywhere(
    _ path: String, _ options: LoadOptions
  ) throws(EngineError) -> ModelContents {
    guard let isolation = options.isolation else { return try read(.path(path), options) }
    return try UntrustedFile(path: path, isolation: isolation)
      .contents(ReaderRequest(.model, options))
  }

  static func read(
    _ source: FileSource, _ options: LoadOptions
  ) throws(EngineError) -> ModelContents {
    let file = try source.probe(options.limits)
    switch file.container {
    case .zip:
      try expect(.keras, options.format, found: "a zip archive")
      return try KerasReader.readArchive(source, limits: options.limits)
    case .hdf5:
      return try HDF5Library.session { (library) throws(EngineError) in
        let hdf5 = try source.hdf5(size: file.size, limits: options.limits, library: library)
        return try readHDF5(try hdf5.root(), options)
      }
    }
  }

  private static func readHDF5(
    _ root: HDF5Group, _ options: LoadOptions
  ) throws(EngineError) -> ModelContents {
    let layout = try HDF5Layout(root, wanted: options.format)
    switch layout.format {
    case .carousel:
      return try CarouselFormat.read(root)
    case .kerasH5:
      return try KerasReader.readWholeModel(root)
    case .kerasLegacyWeights:
      guard let config = options.configJSON else { throw layout.needsArchitecture }
      return try KerasReader.readLegacyWeights(root, config: config)
    case .kerasWeights:
      guard let config = options.configJSON else { throw layout.needsArchitecture }
      return try KerasReader.readStore(
        root, config: try KerasReader.parse(config, limits: options.limits), version: nil,
        format: .kerasWeights)
    case .onnx where options.configJSON == nil:
      let catalog = try layout.catalog()
      let operators = try ONNXFormat.operators(catalog, root)
      return try bind(layout, to: try ONNXFormat.describeNetwork(operators), forgetBias: [])
    case .torch, .chainer, .tf1, .onnx, .keras:
      guard let config = options.configJSON else { throw layout.needsArchitecture }
      let json = try KerasReader.parse(config, limits: options.limits)
      let version = KerasVersion(nil, guessingFrom: json)
      let model = try KerasParser(version: version, limits: options.limits).model(json)
      return try bind(layout, to: try KerasGraph.flatten(model).0, forgetBias: [])
    }
  }

  private static func expect(
    _ format: FileFormat, _ wanted: FileFormat?, found: String
  ) throws(EngineError) {
    guard let wanted, wanted != format else { return }
    throw EngineError(.format, "the file is \(found), not of layout '\(wanted.rawValue)'")
  }
}
