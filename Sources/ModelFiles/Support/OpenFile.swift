import Glibc
import LSTM

/// A file that is open, and closed with the value.
///
/// A signal handler of the host may interrupt any call, and any read or write may do less than it was
/// asked for: both are made again until all is done.
struct OpenFile: ~Copyable {
  let descriptor: Int32
  private let isOwned: Bool

  /// - Returns: nil with `errno` if the file cannot be opened.
  init?(_ path: String, _ flags: Int32, mode: mode_t = 0o666) {
    descriptor = OpenFile.descriptor(path, flags, mode: mode)
    isOwned = true
    if descriptor < 0 { return nil }
  }

  /// A file that somebody else closes.
  init(borrowing descriptor: Int32) {
    self.descriptor = descriptor
    isOwned = false
  }

  // In Linux the descriptor is closed even if close is interrupted.
  deinit { if isOwned, descriptor >= 0 { _ = close(descriptor) } }

  /// A descriptor for the caller to close; negative, with `errno`, if the file cannot be opened.
  static func descriptor(_ path: String, _ flags: Int32, mode: mode_t = 0o666) -> Int32 {
    var descriptor: Int32
    repeat {
      descriptor = open(path, flags | O_CLOEXEC, mode)
    } while descriptor < 0 && errno == EINTR
    return descriptor
  }

  /// Bytes in the file.
  func size() throws(EngineError) -> Int {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw AtomicFile.failure("its size is not known") }
    return Int(status.st_size)
  }

  /// Reads `count` bytes at `offset`, fewer only at the end of the file, and returns how many.
  func read(
    into memory: UnsafeMutableRawPointer, count: Int, at offset: Int
  ) throws(EngineError) -> Int {
    var done = 0
    while done < count {
      let result = pread(descriptor, memory + done, count - done, off_t(offset + done))
      if result < 0, errno == EINTR { continue }
      guard result >= 0 else { throw AtomicFile.failure("the file cannot be read") }
      if result == 0 { break }
      done += result
    }
    return done
  }

  /// Whether all bytes are written; `errno` says why not.
  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Bool {
    var done = 0
    while done < bytes.count, let start = bytes.baseAddress {
      let result = pwrite(descriptor, start + done, bytes.count - done, off_t(offset + done))
      if result < 0, errno == EINTR { continue }
      guard result > 0 else { return false }
      done += result
    }
    return true
  }

  /// Whether everything has reached the disk; `errno` says why not.
  func sync() -> Bool {
    var result: Int32
    repeat { result = fsync(descriptor) } while result != 0 && errno == EINTR
    return result == 0
  }
}
