import LSTM

extension KerasReader {
  /// `.weights.h5` with the text of `model.to_json()`, or of a `.keras` archive's `config.json`.
  ///
  /// - Parameter version: of the program that wrote the weights, if something says; the configuration's else.
  static func readStore(
    _ root: HDF5Group, config: JSONValue, version: String?, format: FileFormat
  ) throws(EngineError) -> ModelContents {
    guard let store = try KerasStoreWeights(root: root) else {
      throw EngineError(
        .format, "the file has no group 'layers': it is not in the layout of .weights.h5")
    }
    let version = KerasVersion(version, guessingFrom: config)
    // The width of the input is looked up only if the configuration does not say it.
    let probe = try KerasParser(version: version, limits: root.file.limits).model(config)
    let width =
      probe.isSequential && probe.declaredInputShape == nil
      ? try store.firstKernelRows(of: probe) : nil
    var contents = try read(
      config, version, limits: root.file.limits, format: format, inputWidth: width
    ) { (model, graph) throws(EngineError) in try store.read(into: model, graph: graph) }
    contents.report.ignored = try store.ignored()
    return contents
  }

  /// A `.keras` archive.
  static func readArchive(
    _ source: FileSource, limits: FileLimits
  ) throws(EngineError) -> ModelContents {
    let archive = try source.zip(limits)
    guard let text = try archive.text("config.json") else {
      let names = archive.names(atMost: 8).joined(separator: ", ")
      throw EngineError(
        .format, "the zip archive has no 'config.json': it is not a Keras model (members: \(names))"
      )
    }
    let config = try parse(text, limits: limits)
    var version: String?
    if let metadata = try archive.text("metadata.json") {
      let json = try JSONValue(parsing: metadata, limits: limits)
      version = json.objectValue?["keras_version"]?.stringValue
    }
    // Refuses what cannot be run before megabytes of weights are unpacked.
    _ = try KerasParser(version: KerasVersion(version, guessingFrom: config), limits: limits)
      .model(config)
    guard let bytes = try archive.member("model.weights.h5", limit: limits.fileBytes) else {
      let names = archive.names(atMost: 8).joined(separator: ", ")
      throw EngineError(
        .unsupported,
        "the archive has no 'model.weights.h5' (members: \(names)); "
          + "sharded weights and npz weights are not supported")
    }
    return try HDF5Library.session { (library) throws(EngineError) in
      let image = UnsafeMutableRawBufferPointer(start: bytes.pointer, count: bytes.count)
      do throws(EngineError) {
        let file = try HDF5File(image: image, limits: limits, library: library)
        return try readStore(
          try file.root(), config: config, version: version, format: .keras)
      } catch {
        throw error.within("model.weights.h5")
      }
    }
  }
}
