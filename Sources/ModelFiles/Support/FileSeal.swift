import Glibc
import LSTM

/// Sixteen bytes behind our own HDF5 files: a mark, and the CRC-32 of everything before it.
///
/// libhdf5 does not look behind the end of its data, but it can crash on damaged data before it: the seal is
/// checked first. A program that changes such a file through libhdf5 cuts the seal off.
enum FileSeal {
  private static let mark: [UInt8] = Array("CarouselSeal".utf8)
  private static let length = mark.count + 4

  /// The seal of a file of these bytes.
  static func seal(of bytes: UnsafeRawBufferPointer) -> [UInt8] {
    var checksum = CRC32()
    checksum.add(bytes)
    return mark + withUnsafeBytes(of: checksum.value.littleEndian) { Array($0) }
  }

  /// Checks the seal, if there is one. A mark with one wrong byte is a damaged one, and a part of a
  /// seal at the end is what is left of one; three bytes could be anybody's.
  ///
  /// - Throws: `.format` if the file was damaged since it was written.
  static func check(_ file: borrowing OpenFile, size: Int) throws(EngineError) {
    guard size > length else { return }
    var seal = [UInt8](repeating: 0, count: length)
    _ = try file.read(into: &seal, count: length, at: size - length)
    let isCut = (4..<length).contains { count in
      seal.suffix(count).starts(with: mark.prefix(count))
    }
    let matching = zip(seal, mark).count { $0 == $1 }
    guard isCut || matching >= mark.count - 1 else { return }
    let expected = seal.suffix(4).reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    let found = try checksum(of: file, count: size - length)
    guard !isCut, matching == mark.count, found == expected else {
      throw EngineError(.format, "the file is damaged: its seal does not match its content")
    }
  }

  private static func checksum(
    of file: borrowing OpenFile, count: Int
  ) throws(EngineError) -> UInt32 {
    let block = try Buffer<UInt8>(count: 1 << 16)
    var checksum = CRC32()
    var offset = 0
    while offset < count {
      let read = try file.read(
        into: block.pointer, count: min(block.count, count - offset), at: offset)
      guard read > 0 else {
        throw EngineError(.io, "the file has become shorter while it was read")
      }
      checksum.add(UnsafeRawBufferPointer(start: block.pointer, count: read))
      offset += read
    }
    return checksum.value
  }
}
