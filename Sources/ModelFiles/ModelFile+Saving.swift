import LSTM

extension ModelFile {
  public struct SaveOptions: Sendable {
    public var format = FileFormat.carousel
    /// Level of gzip in HDF5 datasets, 0 (none) to 9.
    public var compression = 0
    /// Before the names of layers, in layouts that have names only (`encoder.`); nil: the layers' names.
    public var prefix: String?
    public var allowsNonFinite = false
    /// States to keep beside the network, in the layouts `carousel` and `keras-h5`.
    public var states: [SavedState] = []

    public init() {}
  }

  /// Writes a network to a file, in one step: a failure leaves the old file as it was.
  public static func save(
    _ network: AnyNetwork, to path: String, options: SaveOptions = SaveOptions()
  ) throws(EngineError) {
    try save(
      try ModelContents(copying: network, format: options.format), to: path, options: options)
  }

  public static func save(
    _ contents: ModelContents, to path: String, options: SaveOptions = SaveOptions()
  ) throws(EngineError) {
    guard (0...9).contains(options.compression) else {
      throw EngineError(.invalidArgument, "compression \(options.compression) is not 0 to 9")
    }
    do throws(EngineError) {
      if !options.allowsNonFinite { try contents.checkFinite() }
      guard options.states.isEmpty || [.carousel, .kerasH5].contains(options.format) else {
        throw EngineError(
          .unsupported,
          "layout '\(options.format.rawValue)' has no place for states; 'carousel' and "
            + "'keras-h5' have")
      }
      switch options.format {
      case .carousel:
        try HDF5FileWriter.write(to: path) { (root) throws(EngineError) in
          try CarouselFormat.write(contents, to: root, compression: options.compression)
          for state in options.states { try state.write(below: root) }
        }
      case .kerasH5:
        let writer = try KerasWriter(
          contents, purpose: .model, namesModules: false, compression: options.compression)
        try HDF5FileWriter.write(to: path) { (root) throws(EngineError) in
          try writer.writeWholeModel(root)
          for state in options.states { try state.write(below: root) }
        }
      case .keras:
        let writer = try KerasWriter(
          contents, purpose: .model, namesModules: true, compression: options.compression)
        try writer.writeArchive(to: path)
      case .kerasWeights:
        let writer = try KerasWriter(
          contents, purpose: .weightsOnly, namesModules: true, compression: options.compression)
        try HDF5FileWriter.write(to: path) { (root) throws(EngineError) in
          try writer.writeStore(root)
        }
      case .kerasLegacyWeights:
        let writer = try KerasWriter(
          contents, purpose: .weightsOnly, namesModules: true, compression: options.compression)
        try HDF5FileWriter.write(to: path) { (root) throws(EngineError) in
          try writer.writeLegacyWeights(root)
        }
      case .torch, .chainer, .onnx, .tf1:
        let (prefix, compression) = (options.prefix, options.compression)
        try HDF5FileWriter.write(to: path) { (root) throws(EngineError) in
          switch options.format {
          case .torch:
            try TorchFormat.write(contents, to: root, prefix: prefix, compression: compression)
          case .chainer:
            try ChainerFormat.write(contents, to: root, prefix: prefix, compression: compression)
          case .tf1:
            try TensorFlow1Format.write(
              contents, to: root, prefix: prefix, compression: compression)
          default:
            try ONNXFormat.write(contents, to: root, compression: compression)
          }
        }
      }
    } catch {
      throw error.within("'\(path)'")
    }
  }
}
