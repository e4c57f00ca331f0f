import CZip
import Glibc
import LSTM

/// A zip archive open for reading: `.keras` files.
final class ZipArchive {
  private let library: ZipLibrary
  private let archive: ZipLibrary.Archive
  private let limits: FileLimits
  /// What libzip reads from, if it is no file.
  private let bytes: Buffer<UInt8>?

  init(path: String, limits: FileLimits) throws(EngineError) {
    library = try ZipLibrary.shared()
    self.limits = limits
    var code: Int32 = 0
    guard let archive = library.open(path, ZIP_RDONLY, &code) else {
      guard code != ZIP_ER_MEMORY else {
        throw EngineError(.outOfMemory, "no memory for a zip archive")
      }
      throw EngineError(.format, "the zip archive is damaged (libzip error \(code))")
    }
    self.archive = archive
    bytes = nil
  }

  /// An archive in memory.
  init(bytes: Buffer<UInt8>, limits: FileLimits) throws(EngineError) {
    library = try ZipLibrary.shared()
    self.limits = limits
    self.bytes = bytes
    var error = zip_error_t()
    let source = library.makeSourceOfItsOwn(bytes.pointer, UInt64(bytes.count), 0, &error)
    guard let source else { throw EngineError(.outOfMemory, "no memory for a zip archive") }
    guard let archive = library.openSource(source, UInt32(ZIP_RDONLY), &error) else {
      library.freeSource(source)
      throw EngineError(.format, "the zip archive is damaged (libzip error \(error.zip_err))")
    }
    self.archive = archive
  }

  deinit { library.discard(archive) }

  /// Names of members, at most `count` of them.
  func names(atMost count: Int) -> [String] {
    var names: [String] = []
    for index in 0..<max(0, min(Int64(count), library.entryCount(archive, 0))) {
      var status = zip_stat_t()
      guard library.status(archive, UInt64(index), 0, &status) == 0, let name = status.name else {
        continue
      }
      names.append(String(cString: name))
    }
    return names
  }

  /// The bytes of a member; nil if there is none of this name. Its checksum is verified.
  func member(_ name: String, limit: Int) throws(EngineError) -> Buffer<UInt8>? {
    let index = library.locate(archive, name, 0)
    guard index >= 0 else { return nil }
    var status = zip_stat_t()
    guard library.status(archive, UInt64(index), 0, &status) == 0 else {
      throw library.failure("'\(name)' is damaged", archive, code: .format)
    }
    let size = Int(clamping: status.size)
    let stored = Int(clamping: status.comp_size)
    // Weights hardly shrink: what claims to be far larger than it is stored is a bomb.
    guard size <= limit, size <= max(64 << 20, stored.multipliedClamping(by: 64)) else {
      throw EngineError(
        .limit, "'\(name)' claims \(size) bytes, stored in \(stored); the limit is \(limit)")
    }
    guard let file = library.openFile(archive, UInt64(index), 0) else {
      throw library.failure("'\(name)' cannot be opened", archive, code: .format)
    }
    defer { _ = library.closeFile(file) }
    let buffer = try Buffer<UInt8>(count: size)
    var position = 0
    while position < size {
      let count = library.read(file, buffer.pointer + position, UInt64(size - position))
      guard count > 0 else {
        throw EngineError(.format, "'\(name)' is damaged: \(position) of \(size) bytes can be read")
      }
      position += Int(count)
    }
    // The end is where libzip compares the checksum.
    var extra: UInt8 = 0
    guard library.read(file, &extra, 1) == 0 else {
      throw EngineError(.format, "'\(name)' is damaged: its checksum or its size is wrong")
    }
    return buffer
  }

  /// A member that is text in UTF-8.
  func text(_ name: String) throws(EngineError) -> String? {
    guard let bytes = try member(name, limit: limits.textBytes) else { return nil }
    try Memory.require(bytes: 2 * bytes.count)
    guard let text = String(validating: bytes.elements, as: UTF8.self) else {
      throw EngineError(.format, "'\(name)' is not valid UTF-8")
    }
    return text
  }

  /// Writes an archive of members that are stored as they are, in one step (``AtomicFile``).
  static func write(
    _ members: [(name: String, bytes: UnsafeRawBufferPointer)], to path: String
  ) throws(EngineError) {
    let image = try image(of: members)
    try AtomicFile.replace(path) { (file) throws(EngineError) in
      guard file.write(UnsafeRawBufferPointer(image.elements), at: 0) else {
        throw AtomicFile.failure("the file cannot be written")
      }
    }
  }

  /// The archive is made in memory: what fails on the disk then fails in our hands.
  private static func image(
    of members: [(name: String, bytes: UnsafeRawBufferPointer)]
  ) throws(EngineError) -> Buffer<UInt8> {
    let library = try ZipLibrary.shared()
    guard let target = library.makeSourceOfItsOwn(nil, 0, 0, nil) else {
      throw EngineError(.outOfMemory, "no memory for a zip archive")
    }
    defer { library.freeSource(target) }
    // The archive gives back one reference when it is closed.
    library.keepSource(target)
    guard let archive = library.openSource(target, UInt32(ZIP_TRUNCATE), nil) else {
      library.freeSource(target)
      throw EngineError(.outOfMemory, "no memory for a zip archive")
    }
    do throws(EngineError) {
      for member in members { try library.add(member, to: archive) }
      guard library.close(archive) == 0 else {
        throw library.failure("the zip archive cannot be made", archive, code: .io)
      }
    } catch {
      library.discard(archive)
      throw error
    }
    return try library.contents(of: target)
  }
}

extension ZipLibrary {
  fileprivate func add(
    _ member: (name: String, bytes: UnsafeRawBufferPointer), to archive: Archive
  ) throws(EngineError) {
    guard
      let source = makeSource(archive, member.bytes.baseAddress, UInt64(member.bytes.count), 0)
    else { throw EngineError(.outOfMemory, "no memory for a zip archive") }
    let index = add(archive, member.name, source, 0)
    guard index >= 0, setCompression(archive, UInt64(index), ZIP_CM_STORE, 0) == 0 else {
      let error = failure("'\(member.name)' cannot be stored", archive, code: .io)
      if index < 0 { freeSource(source) }
      throw error
    }
    // Equal networks give equal files: 1980-01-01, the earliest date that zip knows.
    _ = setTime?(archive, UInt64(index), 315_619_200, 0)
  }

  /// The bytes of a source in memory.
  fileprivate func contents(of source: OpaquePointer) throws(EngineError) -> Buffer<UInt8> {
    var status = zip_stat_t()
    guard sourceStatus(source, &status) == 0, openForReading(source) == 0 else {
      throw EngineError(.io, "the zip archive cannot be made")
    }
    defer { _ = closeForReading(source) }
    let bytes = try Buffer<UInt8>(count: Int(clamping: status.size))
    var position = 0
    while position < bytes.count {
      let count = readSource(source, bytes.pointer + position, UInt64(bytes.count - position))
      guard count > 0 else { throw EngineError(.io, "the zip archive cannot be made") }
      position += Int(count)
    }
    return bytes
  }
}
