import Glibc
import LSTM

/// What can be said of a file without parsing it.
struct FileProbe {
  enum Container { case hdf5, zip }

  let size: Int
  let container: Container

  init(path: String, limits: FileLimits) throws(EngineError) {
    let descriptor = try FileProbe.open(path)
    defer { close(descriptor) }
    try self.init(descriptor: descriptor, limits: limits)
  }

  /// A descriptor of the file, for reading.
  static func open(_ path: String) throws(EngineError) -> Int32 {
    guard !path.isEmpty, !path.utf8.contains(0) else {
      throw EngineError(.invalidArgument, "the path is empty, or contains a NUL character")
    }
    // O_NONBLOCK: opening a pipe must not wait for somebody to write into it.
    let descriptor = OpenFile.descriptor(path, O_RDONLY | O_NONBLOCK)
    guard descriptor >= 0 else {
      let code: EngineError.Code = errno == ENOENT ? .notFound : .io
      throw EngineError(code, "the file cannot be opened: \(String(cString: strerror(errno)))")
    }
    return descriptor
  }

  init(descriptor: Int32, limits: FileLimits) throws(EngineError) {
    let file = OpenFile(borrowing: descriptor)
    var status = stat()
    guard fstat(file.descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw EngineError(.io, "it is not a regular file")
    }
    size = Int(status.st_size)
    guard size > 0 else { throw EngineError(.format, "the file is empty") }
    guard size <= limits.fileBytes else {
      throw EngineError(.limit, "the file has \(size) bytes; the limit is \(limits.fileBytes)")
    }
    var start: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0]
    func matches(
      _ signature: [UInt8], at offset: Int, of file: borrowing OpenFile
    ) throws(EngineError) -> Bool {
      let length = try file.read(into: &start, count: 8, at: offset)
      return length >= signature.count && start.prefix(signature.count).elementsEqual(signature)
    }
    let isZip = try matches([0x50, 0x4b, 3, 4], at: 0, of: file)
    let isEmptyZip = try matches([0x50, 0x4b, 5, 6], at: 0, of: file)
    if isZip || isEmptyZip {
      container = .zip
      return
    }
    // A user block (MATLAB) may precede the signature: it is at 0, 512, 1024, 2048, …
    try FileSeal.check(file, size: size)
    var offset = 0
    while offset < size {
      if try matches(HDF5File.signature, at: offset, of: file) {
        container = .hdf5
        return
      }
      offset = offset == 0 ? 512 : offset * 2
    }
    throw EngineError(.format, "the file is neither HDF5 nor a zip archive")
  }
}
