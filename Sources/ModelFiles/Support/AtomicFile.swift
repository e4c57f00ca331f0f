import Glibc
import LSTM

/// Replaces a file in one step: after success the new one is there, after any failure, crash or
/// loss of power the old one. The new one is written beside it under a temporary name, synced, and renamed.
///
/// A symbolic link is followed: what it points to is replaced. The old file's permissions are kept.
enum AtomicFile {
  /// - Parameter write: fills the (empty) file of the given path.
  static func replace(
    _ path: String, write: (_ temporaryPath: String) throws(EngineError) -> Void
  ) throws(EngineError) {
    guard !path.isEmpty, !path.utf8.contains(0) else {
      throw EngineError(.invalidArgument, "the path is empty, or contains a NUL character")
    }
    let target = resolve(path)
    let folder = directory(of: target)
    var old = stat()
    let exists = stat(target, &old) == 0
    guard !exists || old.st_mode & S_IFMT == S_IFREG else {
      throw EngineError(.io, "'\(path)' is not a regular file")
    }
    if exists, access(target, W_OK) != 0 { throw failure("'\(path)' is not writable") }

    let temporary = try createTemporary(beside: target, in: folder, for: path)
    do throws(EngineError) {
      try write(temporary)
      try finish(temporary, mode: exists ? old.st_mode & 0o7777 : nil)
      guard rename(temporary, target) == 0 else { throw failure("'\(path)' cannot be replaced") }
    } catch {
      unlink(temporary)
      throw error
    }
    try sync(folder: folder)
  }

  private static func resolve(_ path: String) -> String {
    guard let resolved = realpath(path, nil) else { return path }
    defer { free(resolved) }
    return String(cString: resolved)
  }

  private static func directory(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  private static func createTemporary(
    beside target: String, in folder: String, for path: String
  ) throws(EngineError) -> String {
    for _ in 0..<16 {
      let name = "\(folder)/.carousel-\(String(UInt64.random(in: 0 ... .max), radix: 36)).tmp"
      let descriptor = open(name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0o666)
      if descriptor >= 0 {
        close(descriptor)
        return name
      }
      if errno != EEXIST { break }
    }
    throw failure("no file can be created in '\(folder)' to save '\(path)'")
  }

  private static func finish(_ path: String, mode: mode_t?) throws(EngineError) {
    let descriptor = open(path, O_RDWR | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure("the temporary file cannot be opened again") }
    defer { close(descriptor) }
    if let mode, fchmod(descriptor, mode) != 0 {
      throw failure("the old file's permissions cannot be given to the new one")
    }
    guard fsync(descriptor) == 0 else { throw failure("the file cannot be written to disk") }
  }

  private static func sync(folder: String) throws(EngineError) {
    let descriptor = open(folder, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    defer { close(descriptor) }
    // Some file systems cannot sync a directory; the file itself is safe by now.
    guard fsync(descriptor) == 0 || errno == EINVAL || errno == EROFS else {
      throw failure("the directory '\(folder)' cannot be written to disk")
    }
  }

  static func remove(_ path: String) { unlink(path) }

  /// All bytes of a file that this process wrote.
  static func contents(of path: String) throws(EngineError) -> Buffer<UInt8> {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure("the file cannot be read back") }
    defer { close(descriptor) }
    let size = Int(lseek(descriptor, 0, SEEK_END))
    let buffer = try Buffer<UInt8>(count: max(0, size))
    var offset = 0
    while offset < size {
      let count = pread(descriptor, buffer.pointer + offset, size - offset, off_t(offset))
      guard count > 0 else { throw failure("the file cannot be read back") }
      offset += count
    }
    return buffer
  }

  static func failure(_ what: String) -> EngineError {
    EngineError(.io, "\(what): \(String(cString: strerror(errno)))")
  }
}
