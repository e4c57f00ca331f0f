import Glibc
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

  private static func read(
    _ path: String, _ options: LoadOptions
  ) throws(EngineError) -> ModelContents {
    let file = try FileProbe(path: path, limits: options.limits)
    switch file.container {
    case .zip:
      try expect(.keras, options.format, found: "a zip archive")
      throw EngineError(.unsupported, "zip")
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
    case .kerasH5:
      return try KerasReader.readWholeModel(root)
    case .kerasLegacyWeights:
      guard let config = options.configJSON else {
        throw EngineError(
          .state,
          "the file holds weights of Keras without an architecture; give config= (the text of "
            + "model.to_json()), or load the weights into a network")
      }
      return try KerasReader.readLegacyWeights(root, config: config)
    default:
      throw EngineError(.unsupported, "layout \(format.rawValue)")
    }
  }

  private static func expect(
    _ format: FileFormat, _ wanted: FileFormat?, found: String
  ) throws(EngineError) {
    guard let wanted, wanted != format else { return }
    throw EngineError(.format, "the file is \(found), not of layout '\(wanted.rawValue)'")
  }

  /// The layout of an HDF5 file, by what it contains.
  static func recognise(_ root: HDF5Group) throws(EngineError) -> FileFormat {
    if root.attributes.contains("model_config") { return .kerasH5 }
    if root.attributes.contains("layer_names") || root.attributes.contains("layer_names0") {
      return .kerasLegacyWeights
    }
    throw EngineError(.format, "the file is HDF5, but of no layout that Carousel knows")
  }
}

/// What can be said of a file without parsing it.
struct FileProbe {
  enum Container { case hdf5, zip }

  let size: Int
  let container: Container

  init(path: String, limits: FileLimits) throws(EngineError) {
    guard !path.isEmpty, !path.utf8.contains(0) else {
      throw EngineError(.invalidArgument, "the path is empty, or contains a NUL character")
    }
    // O_NONBLOCK: opening a pipe must not wait for somebody to write into it.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      let code: EngineError.Code = errno == ENOENT ? .notFound : .io
      throw EngineError(code, "the file cannot be opened: \(String(cString: strerror(errno)))")
    }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw EngineError(.io, "it is not a regular file")
    }
    size = Int(status.st_size)
    guard size > 0 else { throw EngineError(.format, "the file is empty") }
    guard size <= limits.fileBytes else {
      throw EngineError(.limit, "the file has \(size) bytes; the limit is \(limits.fileBytes)")
    }
    var start: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0]
    func matches(_ signature: [UInt8], at offset: Int) -> Bool {
      let length = pread(descriptor, &start, 8, offset)
      return length >= signature.count && start.prefix(signature.count).elementsEqual(signature)
    }
    if matches([0x50, 0x4b, 3, 4], at: 0) || matches([0x50, 0x4b, 5, 6], at: 0) {
      container = .zip
      return
    }
    // A user block (MATLAB) may precede the signature: it is at 0, 512, 1024, 2048, …
    var offset = 0
    while offset < size {
      if matches(HDF5File.signature, at: offset) {
        container = .hdf5
        return
      }
      offset = offset == 0 ? 512 : offset * 2
    }
    throw EngineError(.format, "the file is neither HDF5 nor a zip archive")
  }
}

extension ModelContents {
  /// Refuses weights that are NaN or infinite.
  func checkFinite() throws(EngineError) {
    for key in weights.keys.sorted() {
      guard let array = weights[key], let found = array.firstNonFinite else { continue }
      throw EngineError(
        .numeric,
        "'\(key)' has the value \(found.value) at position \(found.index); "
          + "weights that are NaN or infinite are refused unless asked for")
    }
  }
}
