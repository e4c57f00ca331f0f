import Testing

@testable import ModelFiles

@Suite struct CRC32Tests {
  /// Bit by bit, as the definition has it.
  private static func definition(_ bytes: [UInt8]) -> UInt32 {
    var register: UInt32 = ~0
    for byte in bytes {
      register ^= UInt32(byte)
      for _ in 0..<8 {
        register = register & 1 == 1 ? 0xedb8_8320 ^ (register >> 1) : register >> 1
      }
    }
    return ~register
  }

  @Test func theCheckValueOfTheStandard() {
    var checksum = CRC32()
    checksum.add("123456789")
    #expect(checksum.value == 0xcbf4_3926)
  }

  /// Lengths around the slices, from every place in a slice, at once and in two pieces.
  @Test func everyLengthIsAsDefined() {
    let source = (0..<120).map { UInt8(truncatingIfNeeded: 37 &* $0 ^ $0 >> 2) }
    for first in 0..<17 {
      for count in 0..<100 {
        let bytes = Array(source[first..<first + count])
        let expected = Self.definition(bytes)
        source.withUnsafeBytes {
          let part = UnsafeRawBufferPointer(rebasing: $0[first..<first + count])
          var whole = CRC32()
          whole.add(part)
          #expect(whole.value == expected)
          var pieces = CRC32()
          pieces.add(UnsafeRawBufferPointer(rebasing: part[..<(count / 3)]))
          pieces.add(UnsafeRawBufferPointer(rebasing: part[(count / 3)...]))
          #expect(pieces.value == expected)
        }
      }
    }
  }
}
