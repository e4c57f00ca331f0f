import Glibc
import LSTM

/// Where the bytes of a model file are.
enum FileSource {
  case path(String)
  /// In memory, and looked at: nothing needs to be opened any more.
  case memory(Buffer<UInt8>, FileProbe)

  func probe(_ limits: FileLimits) throws(EngineError) -> FileProbe {
    switch self {
    case .path(let path): try FileProbe(path: path, limits: limits)
    case .memory(_, let probe): probe
    }
  }

  func hdf5(
    size: Int, limits: FileLimits, library: HDF5Library
  ) throws(EngineError) -> HDF5File {
    switch self {
    case .path(let path):
      try HDF5File(path: path, size: size, limits: limits, library: library)
    case .memory(let bytes, _):
      try HDF5File(
        image: UnsafeMutableRawBufferPointer(start: bytes.pointer, count: bytes.count),
        limits: limits, library: library)
    }
  }

  func zip(_ limits: FileLimits) throws(EngineError) -> ZipArchive {
    switch self {
    case .path(let path): try ZipArchive(path: path, limits: limits)
    case .memory(let bytes, _): try ZipArchive(bytes: bytes, limits: limits)
    }
  }

  /// All of an open file.
  static func reading(
    _ descriptor: Int32, limits: FileLimits
  ) throws(EngineError) -> FileSource {
    let probe = try FileProbe(descriptor: descriptor, limits: limits)
    let bytes = try Buffer<UInt8>(count: probe.size)
    var position = 0
    while position < probe.size {
      let count = pread(
        descriptor, bytes.pointer + position, probe.size - position, off_t(position))
      guard count > 0 else { throw AtomicFile.failure("the file cannot be read") }
      position += count
    }
    return .memory(bytes, probe)
  }
}
