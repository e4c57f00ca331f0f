/// Hands out the buffers of one execution and keeps them alive; or, measuring, only adds up what
/// they would take, so that a caller can ask before anything is allocated.
public final class Arena {
  public enum Mode: Sendable { case allocate, measure }

  public let mode: Mode
  /// Bytes handed out so far.
  public private(set) var byteCount = 0
  private var owned: [AnyObject] = []

  public init(_ mode: Mode = .allocate) { self.mode = mode }

  /// Memory for `count` elements, zeroed unless the caller writes all that is ever read. While measuring
  /// the pointer must not be followed.
  public func allocate<Element: BitwiseCopyable>(
    _ type: Element.Type = Element.self, count: Int, zeroed: Bool = true
  ) throws(EngineError) -> UnsafeMutablePointer<Element> {
    let bytes = try Memory.product(count, MemoryLayout<Element>.stride)
    byteCount = try Memory.sum(byteCount, bytes)
    guard mode == .allocate else {
      return Arena.placeholder.assumingMemoryBound(to: Element.self)
    }
    let buffer = try Buffer<Element>(count: count, zeroed: zeroed)
    owned.append(buffer)
    return buffer.pointer
  }

  /// Aligned, recognisable, and never to be followed.
  private static var placeholder: UnsafeMutableRawPointer {
    UnsafeMutableRawPointer(bitPattern: 0x1000).unsafelyUnwrapped
  }
}
