import Builtin

// What is needed next is asked for while the processor multiplies, so that it is near when its turn comes. Only what
// exists: a request for a page that is not there walks through the page tables every time, since nothing remembers
// that it is missing (66 ns on Zen 1, as long as 16 rows of a tile).

/// Bytes of weights that are near enough without being asked for.
let nearBytes = 1 << 19

/// Bytes of a line of the cache.
@inline(always) var lineBytes: Int { 64 }

/// Asks for a cache line, into the second-level cache. Nothing is read.
@inline(always) func prefetch(_ p: UnsafeRawPointer) {
  Builtin.int_prefetch_RawPointer(
    p._rawValue, (0 as Int32)._value, (2 as Int32)._value, (1 as Int32)._value)
}

/// Asks for some columns of rows of floats.
@inline(always) func ask(_ c: Floats, _ stride: Int, rows: Int, _ columns: Int) {
  for row in 0..<rows {
    var j = 0
    while j < columns {
      prefetch(c + row * stride + j)
      j += lineBytes / MemoryLayout<Float>.stride
    }
  }
}

/// Bytes that some tiles ask for together, a little with each of their k: many requests at once would hold up the
/// loads.
struct BytesAhead {
  private var next: UnsafeRawPointer?
  private var left: Int
  private let depth: Int
  /// By each k.
  private let most: Int

  /// Of nothing if `start` is nil.
  @inline(always) init(_ start: UnsafeRawPointer?, _ bytes: Int, tiles: Int, depth: Int) {
    let requests = tiles * depth
    next = requests > 0 ? start : nil
    left = bytes
    self.depth = depth
    most = requests > 0 ? (bytes + requests - 1) / requests : 0
  }

  /// The next tile's: where it begins, and how many bytes it goes on with each k; 0: it asks for nothing.
  @inline(always) mutating func take() -> (start: UnsafeRawPointer, bytes: Int)? {
    guard let start = next else { return nil }
    let bytes = most * depth <= left ? most : left / depth
    left -= bytes * depth
    next = start + bytes * depth
    return (start, bytes)
  }
}
