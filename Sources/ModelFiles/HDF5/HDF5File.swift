import CHDF5
import Glibc
import LSTM

/// An HDF5 file open for reading.
final class HDF5File {
  let library: HDF5Library
  let limits: FileLimits
  /// Bytes of the file: nothing in it can honestly claim to be larger (but for compression).
  let size: Int
  private let handle: HDF5Handle
  /// Bytes of numbers that were read so far.
  private var bytesRead = 0

  static let signature: [UInt8] = [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a]

  init(
    path: String, size: Int, limits: FileLimits, library: HDF5Library
  ) throws(EngineError) {
    self.library = library
    self.limits = limits
    self.size = size
    let properties = try HDF5File.accessProperties(library)
    // Locks only get in the way of a reader, and fail on some network file systems.
    _ = library.functions.setFileLocking?(properties.id, false, true)
    handle = try library.own(
      library.functions.openFile(path, 0, properties.id), closedBy: library.functions.closeFile,
      orFailWith: "the file is damaged, or is not HDF5")
  }

  /// A file that is in memory (a member of an archive). libhdf5 keeps a copy of the bytes.
  init(
    image: UnsafeMutableRawBufferPointer, limits: FileLimits, library: HDF5Library
  ) throws(EngineError) {
    self.library = library
    self.limits = limits
    size = image.count
    guard let bytes = image.baseAddress, image.count > 0 else {
      throw EngineError(.format, "the HDF5 data is empty")
    }
    let functions = library.functions
    let properties = try HDF5File.accessProperties(library)
    guard functions.setCoreDriver(properties.id, 1 << 20, false) >= 0,
      functions.setFileImage(properties.id, bytes, image.count) >= 0
    else { throw library.failure("HDF5 data in memory could not be opened", code: .library) }
    handle = try library.own(
      // libhdf5 refuses an image if there is a file of its name: below a file there is none.
      functions.openFile("/dev/null/image", 0, properties.id), closedBy: functions.closeFile,
      orFailWith: "the data is damaged, or is not HDF5")
  }

  /// Counts what is read. Many names for one stored array, or compressed zeros, must not make a small
  /// file fill the memory.
  func spend(_ bytes: Int, on path: String) throws(EngineError) {
    let budget = max(64 << 20, size.multipliedClamping(by: 64))
    bytesRead = bytes > budget - bytesRead ? budget + 1 : bytesRead + bytes
    guard bytesRead <= budget else {
      throw EngineError(
        .limit, "'\(path)': the arrays would take far more memory than the file's \(size) bytes")
    }
  }

  static func accessProperties(_ library: HDF5Library) throws(EngineError) -> HDF5Handle {
    let functions = library.functions
    let properties = try library.own(
      functions.createProperties(library.fileAccess), closedBy: functions.closeProperties,
      orFailWith: "no file access properties")
    // 3: H5F_CLOSE_STRONG, the file really closes even if an object of it were still open.
    _ = functions.setCloseDegree(properties.id, 3)
    return properties
  }

  func root() throws(EngineError) -> HDF5Group {
    let functions = library.functions
    let group = try library.own(
      functions.openGroup(handle.id, "/", 0), closedBy: functions.closeGroup,
      orFailWith: "the file has no root group")
    return HDF5Group(file: self, path: "", handle: group)
  }
}
