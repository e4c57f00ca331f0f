import CPlatform

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The only place where the engine gets memory whose size depends on a caller or on a file.
///
/// Swift's own allocations end the process when they fail; these throw instead.
public enum Memory {
  /// Cache line, and width of the widest vector register, in bytes.
  public static let alignment = 64
  /// Rows of a matrix begin at multiples of this many scalars, so that the kernels can read and
  /// write whole vectors at the end of a row.
  public static let rowGranularity = 16

  /// Aligned memory; at least one byte, so that the pointer is never NULL. Zeroed unless the caller writes
  /// all that is ever read.
  static func allocate(
    bytes: Int, zeroed: Bool = true
  ) throws(EngineError) -> UnsafeMutableRawPointer {
    guard bytes >= 0, let memory = carousel_platform_allocate(max(bytes, 1), alignment) else {
      throw EngineError(.outOfMemory, "no memory for a buffer of \(bytes) bytes")
    }
    if zeroed { memset(memory, 0, max(bytes, 1)) }
    return memory
  }

  /// Throws if the system would not give so much memory at this moment: asked before a text of a caller or of
  /// a file becomes Swift strings and lists, whose own allocations cannot fail.
  public static func require(bytes: Int) throws(EngineError) {
    free(try allocate(bytes: bytes, zeroed: false))
  }

  /// The product of sizes, or an error if it does not fit.
  public static func product(_ sizes: Int...) throws(EngineError) -> Int {
    var result = 1
    for size in sizes {
      let (value, overflow) = result.multipliedReportingOverflow(by: size)
      guard size >= 0, !overflow else {
        throw EngineError(.outOfMemory, "an array of \(sizes) elements does not fit in memory")
      }
      result = value
    }
    return result
  }

  /// The sum of two sizes, or an error if it does not fit.
  public static func sum(_ first: Int, _ second: Int) throws(EngineError) -> Int {
    let (value, overflow) = first.addingReportingOverflow(second)
    guard !overflow else {
      throw EngineError(.outOfMemory, "a size of \(first) + \(second) does not fit in memory")
    }
    return value
  }

  /// `width` rounded up to ``rowGranularity``.
  public static func rowStride(_ width: Int) throws(EngineError) -> Int {
    try sum(width, rowGranularity - 1) & ~(rowGranularity - 1)
  }

  /// The same for many rows that are read side by side, such as a tile's in a product: a stride that is a multiple
  /// of 2 KiB would put all of them into the same few lines of the nearest cache.
  public static func matrixStride(_ width: Int) throws(EngineError) -> Int {
    let stride = try rowStride(width)
    return stride > 0 && stride % spreadMultiple == 0 ? try sum(stride, rowGranularity) : stride
  }

  private static let spreadMultiple = 512
}

/// 64-byte aligned memory for `count` elements, zeroed unless it is said, freed with the object.
public final class Buffer<Element: BitwiseCopyable>: @unchecked Sendable {
  public let pointer: UnsafeMutablePointer<Element>
  public let count: Int

  public init(count: Int, zeroed: Bool = true) throws(EngineError) {
    let bytes = try Memory.product(count, MemoryLayout<Element>.stride)
    pointer = try Memory.allocate(bytes: bytes, zeroed: zeroed)
      .assumingMemoryBound(to: Element.self)
    self.count = count
  }

  deinit { free(pointer) }

  public var elements: UnsafeMutableBufferPointer<Element> { .init(start: pointer, count: count) }

  public func zero() { memset(pointer, 0, count * MemoryLayout<Element>.stride) }
}
