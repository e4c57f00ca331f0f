import Glibc
import LSTM

/// Sixteen bytes behind our own HDF5 files: a mark, and the CRC-32 of everything before it.
///
/// libhdf5 does not look behind the end of its data, but it can crash on damaged data before it: the seal is
/// checked first. A program that changes such a file through libhdf5 cuts the seal off.
enum FileSeal {
  private static let mark: [UInt8] = Array("CarouselSeal".utf8)
  private static let length = mark.count + 4

  /// Appends the seal to a finished file.
  static func append(to path: String) throws(EngineError) {
    let descriptor = open(path, O_RDWR | O_CLOEXEC)
    guard descriptor >= 0 else { throw AtomicFile.failure("the file cannot be sealed") }
    defer { close(descriptor) }
    let size = Int(lseek(descriptor, 0, SEEK_END))
    guard size >= 0, let checksum = checksum(of: descriptor, count: size) else {
      throw AtomicFile.failure("the file cannot be read back")
    }
    var seal = mark
    withUnsafeBytes(of: checksum.littleEndian) { seal += $0 }
    guard pwrite(descriptor, seal, length, off_t(size)) == length else {
      throw AtomicFile.failure("the file cannot be written")
    }
  }

  /// Checks the seal, if there is one.
  ///
  /// - Throws: `.format` if the file was damaged since it was written.
  static func check(_ descriptor: Int32, size: Int) throws(EngineError) {
    var seal = [UInt8](repeating: 0, count: length)
    guard size > length, pread(descriptor, &seal, length, off_t(size - length)) == length,
      seal.starts(with: mark)
    else { return }
    let expected = seal.suffix(4).reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    guard let found = checksum(of: descriptor, count: size - length) else {
      throw AtomicFile.failure("the file cannot be read")
    }
    guard found == expected else {
      throw EngineError(
        .format, "the file is damaged: its seal does not match its content")
    }
  }

  private static func checksum(of descriptor: Int32, count: Int) -> UInt32? {
    var memory: UnsafeMutableRawPointer?
    let blockSize = 1 << 18
    guard posix_memalign(&memory, 64, blockSize) == 0, let memory else { return nil }
    defer { free(memory) }
    var checksum = CRC32()
    var offset = 0
    while offset < count {
      let read = pread(descriptor, memory, min(blockSize, count - offset), off_t(offset))
      guard read > 0 else { return nil }
      checksum.add(UnsafeRawBufferPointer(start: memory, count: read))
      offset += read
    }
    return checksum.value
  }
}
