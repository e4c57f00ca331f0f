import CPlatform
import Glibc
import LSTM

/// The program `carousel-reader`: one request from standard input, the file in descriptor 3, one answer to
/// standard output. Nothing of the file is parsed before the limits hold.
public enum ReaderProcess {
  /// - Returns: the exit status, if there is no request; does not return otherwise.
  public static func main() -> Int32 {
    guard let text = readText() else { return 2 }
    do throws(EngineError) {
      let request = try ReaderRequest(try JSONValue(parsing: text))
      try answer(request)
    } catch {
      write(ReaderReply.json(error), [])
    }
    _exit(0)
  }

  private static func answer(_ request: ReaderRequest) throws(EngineError) {
    try check(
      carousel_limit_resources(
        UInt64(max(0, request.memory)), UInt32(clamping: max(1, request.seconds))))
    let source = try FileSource.reading(Int32(CAROUSEL_CHILD_FILE), limits: request.limits)
    // What is opened on first use must be open before nothing can be opened any more.
    switch try source.probe(request.limits).container {
    case .hdf5: break
    case .zip: _ = try ZipLibrary.shared()
    }
    try HDF5Library.session { _ in }
    let code = carousel_limit_system_calls()
    // A kernel without filters still has the limits above.
    if code != ENOSYS && code != EINVAL { try check(code) }

    switch request.kind {
    case .inspection:
      let text = try ModelFile.inspect(
        source, path: request.path, options: loadOptions(request))
      write(ReaderReply.json(inspection: text), [])
    case .model:
      try write(ModelFile.read(source, loadOptions(request)), request)
    case .weights:
      guard let description = request.description else {
        throw EngineError(.library, "the request has no description")
      }
      var options = ModelFile.WeightOptions()
      options.format = request.format
      options.prefix = request.prefix
      options.forgetBias = request.forgetBias
      options.limits = request.limits
      try write(ModelFile.readWeights(source, for: description, options), request)
    }
  }

  private static func loadOptions(_ request: ReaderRequest) -> ModelFile.LoadOptions {
    var options = ModelFile.LoadOptions()
    options.format = request.format
    options.configJSON = request.config
    options.limits = request.limits
    return options
  }

  private static func check(_ code: Int32) throws(EngineError) {
    guard code == 0 else {
      throw EngineError(
        .library, "the reader cannot be limited: \(String(cString: strerror(code)))")
    }
  }

  // MARK: - The socket

  private static func readText() -> String? {
    var length: UInt64 = 0
    let hasLength = withUnsafeMutableBytes(of: &length) { readAll($0) }
    length = UInt64(littleEndian: length)
    guard hasLength, length <= UInt64(2 * ReaderReply.longestText) else { return nil }
    guard let buffer = try? Buffer<UInt8>(count: Int(length)),
      readAll(UnsafeMutableRawBufferPointer(start: buffer.pointer, count: buffer.count))
    else { return nil }
    return String(validating: buffer.elements, as: UTF8.self)
  }

  private static func readAll(_ bytes: UnsafeMutableRawBufferPointer) -> Bool {
    var position = 0
    while position < bytes.count {
      let count = read(0, bytes.baseAddress! + position, bytes.count - position)
      guard count > 0 else { return false }
      position += count
    }
    return true
  }

  private static func writeAll(_ bytes: UnsafeRawBufferPointer) {
    var position = 0
    while position < bytes.count {
      let count = Glibc.write(1, bytes.baseAddress! + position, bytes.count - position)
      // The host has gone, or has seen enough.
      guard count > 0 else { _exit(3) }
      position += count
    }
  }

  private static func write(_ json: JSONValue, _ arrays: [WeightArray]) {
    var text = json.text()
    withUnsafeBytes(of: UInt64(text.utf8.count).littleEndian) { writeAll($0) }
    text.withUTF8 { writeAll(UnsafeRawBufferPointer($0)) }
    for array in arrays { writeAll(UnsafeRawBufferPointer(array.values)) }
  }

  private static func write(
    _ contents: ModelContents, _ request: ReaderRequest
  ) throws(EngineError) {
    if !request.allowsNonFinite { try contents.checkFinite() }
    let names = contents.weights.keys.sorted()
    write(ReaderReply.json(contents, names), names.compactMap { contents.weights[$0] })
  }
}
