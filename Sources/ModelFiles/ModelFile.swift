import LSTM

/// Model files of every layout: load, save, inspect.
public enum ModelFile {
  public struct LoadOptions: Sendable {
    /// nil: the layout is recognised by the file's content.
    public var format: FileFormat?
    /// Text of `model.to_json()`, for Keras files that hold weights only.
    public var configJSON: String?
    public var allowsNonFinite = false
    public var limits = FileLimits()

    public init() {}
  }

  /// Reads a model without making a network of it.
  public static func readContents(
    _ path: String, options: LoadOptions = LoadOptions()
  ) throws(EngineError) -> ModelContents {
    do throws(EngineError) {
      let contents = try read(path, options)
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

  private static func read(
    _ path: String, _ options: LoadOptions
  ) throws(EngineError) -> ModelContents {
    let file = try FileProbe(path: path, limits: options.limits)
    switch file.container {
    case .zip:
      try expect(.keras, options.format, found: "a zip archive")
      return try KerasReader.readArchive(path, limits: options.limits)
    case .hdf5:
      return try HDF5Library.session { (library) throws(EngineError) in
        let hdf5 = try HDF5File(
          path: path, size: file.size, limits: options.limits, library: library)
        return try readHDF5(try hdf5.root(), options)
      }
    }
  }

  private static func readHDF5(
    _ root: HDF5Group, _ options: LoadOptions
  ) throws(EngineError) -> ModelContents {
    let format = try recognise(root)
    if let wanted = options.format, wanted != format {
      throw EngineError(
        .format, "the file's layout is '\(format.rawValue)', not '\(wanted.rawValue)'")
    }
    switch format {
    case .carousel:
      return try CarouselFormat.read(root)
    case .kerasH5:
      return try KerasReader.readWholeModel(root)
    case .kerasLegacyWeights:
      guard let config = options.configJSON else { throw needsArchitecture }
      return try KerasReader.readLegacyWeights(root, config: config)
    case .kerasWeights:
      guard let config = options.configJSON else { throw needsArchitecture }
      return try KerasReader.readStore(
        root, config: try KerasReader.parse(config, limits: options.limits), version: nil,
        format: .kerasWeights)
    default:
      throw EngineError(.unsupported, "layout \(format.rawValue)")
    }
  }

  private static var needsArchitecture: EngineError {
    EngineError(
      .state,
      "the file holds weights of Keras without an architecture; give config= (the text of "
        + "model.to_json()), or load the weights into a network")
  }

  private static func expect(
    _ format: FileFormat, _ wanted: FileFormat?, found: String
  ) throws(EngineError) {
    guard let wanted, wanted != format else { return }
    throw EngineError(.format, "the file is \(found), not of layout '\(wanted.rawValue)'")
  }

  /// The layout of an HDF5 file, by what it contains.
  static func recognise(_ root: HDF5Group) throws(EngineError) -> FileFormat {
    if root.attributes.contains(CarouselFormat.markAttribute) { return .carousel }
    if root.attributes.contains("model_config") { return .kerasH5 }
    if root.attributes.contains("layer_names") || root.attributes.contains("layer_names0") {
      return .kerasLegacyWeights
    }
    if try KerasStoreWeights(root: root) != nil { return .kerasWeights }
    throw EngineError(.format, "the file is HDF5, but of no layout that Carousel knows")
  }
}
