import LSTM

/// The layout of an HDF5 file, told by what it contains.
struct HDF5Layout {
  let root: HDF5Group
  let format: FileFormat

  /// - Parameter wanted: the layout that the caller says it is; an error if the content says otherwise.
  init(_ root: HDF5Group, wanted: FileFormat?) throws(EngineError) {
    self.root = root
    let found = try HDF5Layout.recognise(root)
    if let wanted, wanted != found {
      let what = found.map { "is '\($0.rawValue)'" } ?? "is unknown"
      throw EngineError(
        .format,
        "the file's layout \(what), not '\(wanted.rawValue)'; leave format= out, or give "
          + "the right one")
    }
    guard let found else {
      let names = try root.names().prefix(6).map { "'\($0)'" }.joined(separator: ", ")
      throw EngineError(
        .format,
        "the file is HDF5, but of no layout that Carousel knows; it contains "
          + (names.isEmpty ? "nothing" : names))
    }
    format = found
  }

  private static func recognise(_ root: HDF5Group) throws(EngineError) -> FileFormat? {
    let attributes = root.attributes
    if attributes.contains(CarouselFormat.markAttribute) { return .carousel }
    if attributes.contains("model_config") { return .kerasH5 }
    if attributes.contains("layer_names") || attributes.contains("layer_names0") {
      return .kerasLegacyWeights
    }
    if try KerasStoreWeights(root: root) != nil { return .kerasWeights }
    let names = try ArrayCatalog(root: root, splitsDots: true)
    if TorchFormat.recognises(names) { return .torch }
    let paths = try ArrayCatalog(root: root, splitsDots: false)
    if TensorFlow1Format.recognises(paths) { return .tf1 }
    if ChainerFormat.recognises(paths) { return .chainer }
    if ONNXFormat.recognises(paths) { return .onnx }
    return nil
  }

  func catalog() throws(EngineError) -> ArrayCatalog {
    try ArrayCatalog(root: root, splitsDots: format == .torch)
  }

  var needsArchitecture: EngineError {
    let isKeras = format == .kerasWeights || format == .kerasLegacyWeights
    return EngineError(
      .state,
      "the file holds weights (layout '\(format.rawValue)') without an architecture; "
        + (isKeras
          ? "give config= (the text of model.to_json()), or build the network and load the weights "
            + "into it"
          : "build the network, then load the weights into it (load_weights)"))
  }
}
