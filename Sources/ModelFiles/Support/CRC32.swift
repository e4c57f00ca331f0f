/// CRC-32 as in zip, PNG and Python's `zlib.crc32`.
struct CRC32 {
  private(set) var value: UInt32 = 0

  /// `tables[k][b]`: the effect of byte b, k bytes before the end of an 8-byte word.
  private static let tables: [UInt32] = {
    var tables = [UInt32](repeating: 0, count: 8 * 256)
    for index in 0..<256 {
      tables[index] = (0..<8).reduce(UInt32(index)) { value, _ in
        value & 1 == 1 ? 0xedb8_8320 ^ (value >> 1) : value >> 1
      }
    }
    for index in 256..<8 * 256 {
      let previous = tables[index - 256]
      tables[index] = tables[Int(previous & 255)] ^ (previous >> 8)
    }
    return tables
  }()

  mutating func add(_ bytes: UnsafeRawBufferPointer) {
    var register = ~value
    CRC32.tables.withUnsafeBufferPointer { tables in
      var index = 0
      while index + 8 <= bytes.count {
        let word =
          UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self))
          ^ UInt64(register)
        var next: UInt32 = 0
        for place in 0..<8 {
          let byte = Int(truncatingIfNeeded: word >> (8 * UInt64(place))) & 255
          next ^= tables[(7 - place) * 256 + byte]
        }
        register = next
        index += 8
      }
      while index < bytes.count {
        register = tables[Int((register ^ UInt32(bytes[index])) & 255)] ^ (register >> 8)
        index += 1
      }
    }
    value = ~register
  }

  mutating func add(_ text: String) {
    var text = text
    text.withUTF8 { add(UnsafeRawBufferPointer($0)) }
  }

  /// The bytes of an integer, least significant first.
  mutating func add<Number: FixedWidthInteger>(littleEndian number: Number) {
    withUnsafeBytes(of: number.littleEndian) { add($0) }
  }

  /// Array values as they are stored.
  mutating func add(_ array: WeightArray, as number: HDF5Storage.Number) {
    withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 512) { words in
      var index = 0
      while index < array.count {
        let count = min(512, array.count - index)
        let bytes = UnsafeMutableRawBufferPointer(words)
        for place in 0..<count {
          let value = array.values[index + place]
          if number == .float32 {
            bytes.storeBytes(
              of: Float(value).bitPattern.littleEndian, toByteOffset: 4 * place, as: UInt32.self)
          } else {
            bytes.storeBytes(
              of: value.bitPattern.littleEndian, toByteOffset: 8 * place, as: UInt64.self)
          }
        }
        add(UnsafeRawBufferPointer(rebasing: bytes[..<(count * (number == .float32 ? 4 : 8))]))
        index += count
      }
    }
  }

  var hexadecimal: String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 8 - digits.count) + digits
  }
}
