import Glibc
import LSTM

/// Replaces a file in one step: after success the new one is there, after any failure, crash or
/// loss of power the old one. The new one is written beside it under a temporary name, synced, and renamed.
///
/// A symbolic link is followed: what it points to is replaced. The old file's permissions are kept.
enum AtomicFile {
  /// - Parameter write: fills the new file, which is empty.
  static func replace(
    _ path: String, write: (_ file: borrowing OpenFile) throws(EngineError) -> Void
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

    // 64 random bits; O_EXCL refuses even what is there by chance.
    let temporary = "\(folder)/.carousel-\(String(UInt64.random(in: 0 ... .max), radix: 36)).tmp"
    guard let file = OpenFile(temporary, O_CREAT | O_EXCL | O_RDWR) else {
      throw failure("no file can be created in '\(folder)' to save '\(path)'")
    }
    do throws(EngineError) {
      try write(file)
      if exists, fchmod(file.descriptor, old.st_mode & 0o7777) != 0 {
        throw failure("the old file's permissions cannot be given to the new one")
      }
      guard file.sync() else { throw failure("the file cannot be written to disk") }
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

  private static func sync(folder: String) throws(EngineError) {
    guard let file = OpenFile(folder, O_RDONLY) else { return }
    // Some file systems cannot sync a directory; the file itself is safe by now.
    guard file.sync() || errno == EINVAL || errno == EROFS else {
      throw failure("the directory '\(folder)' cannot be written to disk")
    }
  }

  static func failure(_ what: String) -> EngineError {
    EngineError(.io, "\(what): \(String(cString: strerror(errno)))")
  }
}
