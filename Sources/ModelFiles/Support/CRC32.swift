/// CRC-32 as in zip, PNG and Python's `zlib.crc32`.
struct CRC32 {
  private(set) var value: UInt32 = 0

  /// Bytes whose effects are looked up at once (Kounavis and Berry, "slicing by 16"): eight wait for each other.
  private static let slice = 16
  /// `tables[k][b]`: the effect of byte b, k bytes before the end of a slice.
  private static let tables: [UInt32] = {
    var tables = [UInt32](repeating: 0, count: slice * 256)
    for index in 0..<256 {
      tables[index] = (0..<8).reduce(UInt32(index)) { value, _ in
        value & 1 == 1 ? 0xedb8_8320 ^ (value >> 1) : value >> 1
      }
    }
    for index in 256..<slice * 256 {
      let previous = tables[index - 256]
      tables[index] = tables[Int(previous & 255)] ^ (previous >> 8)
    }
    return tables
  }()

  mutating func add(_ bytes: UnsafeRawBufferPointer) {
    var register = ~value
    CRC32.tables.withUnsafeBufferPointer { tables in
      var index = 0
      while index + CRC32.slice <= bytes.count {
        @inline(__always) func word(_ number: Int) -> UInt64 {
          UInt64(
            littleEndian: bytes.loadUnaligned(
              fromByteOffset: index + 8 * number, as: UInt64.self))
        }
        @inline(__always) func effect(_ word: UInt64, before: Int) -> UInt32 {
          var sum: UInt32 = 0
          for place in 0..<8 {
            let byte = Int(truncatingIfNeeded: word >> (8 * UInt64(place))) & 255
            sum ^= tables[(before + 7 - place) * 256 + byte]
          }
          return sum
        }
        register = effect(word(0) ^ UInt64(register), before: 8) ^ effect(word(1), before: 0)
        index += CRC32.slice
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
