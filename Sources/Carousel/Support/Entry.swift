import CCarousel
import CPlatform
import LSTM

/// The one way in and out of every function that can fail: runs `body`, and turns what it throws
/// into a status and the thread's message.
///
/// A call that may make Swift objects does not begin when memory is so short that one of them could
/// end the process (`reserve.c`).
///
/// - Parameters:
///   - function: the entry point's Swift name, `carousel_network_load(_:_:_:)`.
///   - allocates: false for what must work however short memory is: steps of streams, and frees.
@inline(__always)
func entry(
  _ function: StaticString = #function, allocates: Bool = true,
  _ body: () throws(EngineError) -> Void
) -> carousel_status {
  if allocates, carousel_platform_has_reserve() == 0 { return refuseForLackOfMemory(function) }
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

/// As ``report(_:in:)``, without making an object.
@inline(never)
private func refuseForLackOfMemory(_ function: StaticString) -> carousel_status {
  function.withUTF8Buffer { name in
    name.withMemoryRebound(to: CChar.self) { characters in
      carousel_platform_set_out_of_memory_message(
        characters.baseAddress, name.firstIndex(of: UInt8(ascii: "(")) ?? name.count)
    }
  }
  return CAROUSEL_ERROR_OUT_OF_MEMORY
}
