import Glibc
import LSTM

/// Text that goes to a caller's buffer: (buffer, capacity, length).
struct TextOutput {
  let buffer: UnsafeMutablePointer<CChar>?
  let capacity: Int
  let length: UnsafeMutablePointer<Int>?

  /// Checks the arguments before any text is made.
  init(
    _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ length: UnsafeMutablePointer<Int>?
  ) throws(EngineError) {
    guard buffer != nil || capacity == 0 else {
      throw EngineError(
        .invalidArgument,
        "buffer is NULL, but capacity is \(UInt(bitPattern: capacity)), expected 0")
    }
    guard buffer != nil || length != nil else {
      throw EngineError(.invalidArgument, "buffer and length are both NULL")
    }
    guard capacity >= 0 else {
      throw EngineError(
        .invalidArgument, "capacity is \(UInt(bitPattern: capacity)), more than memory can be")
    }
    self.buffer = buffer
    self.capacity = capacity
    self.length = length
  }

  /// Stores the text's length, and the text as far as it fits.
  func write(_ text: String) throws(EngineError) {
    var text = text
    let total = text.withUTF8 { bytes in
      if let buffer, capacity > 0 {
        var kept = min(bytes.count, capacity - 1)
        // Never half a character: a continuation byte cannot be the first one left out.
        if kept < bytes.count { while kept > 0, bytes[kept] & 0xC0 == 0x80 { kept -= 1 } }
        if let start = bytes.baseAddress { memcpy(buffer, start, kept) }
        buffer[kept] = 0
      }
      return bytes.count
    }
    length?.pointee = total
    guard buffer == nil || total < capacity else {
      throw EngineError(
        .limit, "the text needs \(total + 1) bytes with its NUL, but capacity is \(capacity)")
    }
  }
}

/// C strings that live as long as their owner.
final class CStrings {
  private var strings: [UnsafeMutablePointer<CChar>] = []

  deinit { for string in strings { free(string) } }

  func add(_ text: String) throws(EngineError) -> UnsafePointer<CChar> {
    guard let copy = strdup(text) else {
      throw EngineError(.outOfMemory, "no memory for a name of \(text.utf8.count) bytes")
    }
    strings.append(copy)
    return UnsafePointer(copy)
  }
}
