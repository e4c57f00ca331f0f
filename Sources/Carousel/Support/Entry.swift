import CCarousel
import CPlatform
import LSTM

/// The one way in and out of every function that can fail: runs `body`, and turns what it throws
/// into a status and the thread's message.
///
/// - Parameter function: the entry point's Swift name, `carousel_network_load(_:_:_:)`.
@inline(__always)
func entry(
  _ function: StaticString = #function, _ body: () throws(EngineError) -> Void
) -> carousel_status {
  do throws(EngineError) {
    try body()
    return CAROUSEL_OK
  } catch {
    return report(error, in: function)
  }
}

/// Stores `carousel_network_load: message` for the thread.
@inline(never)
func report(_ error: EngineError, in function: StaticString) -> carousel_status {
  var text = function.withUTF8Buffer { name in
    String(decoding: name.prefix { $0 != UInt8(ascii: "(") }, as: UTF8.self)
  }
  text += ": "
  text += error.message
  // A NUL inside (from a name in a file) would cut the message short.
  text.withUTF8 { bytes in
    bytes.withMemoryRebound(to: CChar.self) { characters in
      carousel_platform_set_message(
        characters.baseAddress, characters.firstIndex(of: 0) ?? characters.count)
    }
  }
  return carousel_status(rawValue: UInt32(error.code.rawValue))
}
