import KernelInterface
import Testing

@testable import KernelsBaseline

/// Kernels ask for memory before they need it, but never for what lies behind the end of an array: often there is no
/// page, and each such request takes longer than what it was to save.
@Suite struct PrefetchTests {
  @Test(arguments: [1, 63, 64, 4096, 65_536, 65_600])
  func tilesAskForAllBytesAndForNoMore(_ bytes: Int) throws {
    let start = try #require(UnsafeRawPointer(bitPattern: 1 << 20))
    for tiles in [1, 2, 5, 6, 11, 80] {
      for depth in [1, 3, 128, 1000, 1024] {
        var ahead = BytesAhead(start, bytes, tiles: tiles, depth: depth)
        var end = start
        for _ in 0..<tiles {
          let taken = ahead.take()
          let request = try #require(taken)
          #expect(request.start == end)
          end = request.start + request.bytes * depth
        }
        // What is left is less than a byte for each k.
        #expect(bytes - depth + 1...bytes ~= start.distance(to: end), "\(tiles) of \(depth)")
      }
    }
  }

  @Test func nothingIsAskedForWhereNothingFollows() {
    var ofNothing = BytesAhead(nil, 64, tiles: 3, depth: 5)
    var withoutK = BytesAhead(UnsafeRawPointer(bitPattern: 64), 64, tiles: 3, depth: 0)
    for taken in [ofNothing.take(), withoutK.take()] { #expect(taken == nil) }
  }

  /// Of a product cut into blocks of k and strips of columns.
  @Test(arguments: [1, 16, 40, 64, 100, 512])
  func whatFollowsAStripIsPartOfB(_ columns: Int) throws {
    let b = try #require(UnsafePointer<Float>(bitPattern: 1 << 30))
    let c = try #require(UnsafeMutablePointer<Float>(bitPattern: 1 << 20))
    for depth in [1, 7, 1000, 1001, 2500] {
      let p = ProductArguments(
        rows: 6, columns: columns, depth: depth, a: b, aStride: depth, b: b, c: c,
        cStride: columns)
      let panel = depth * panelColumns
      let end = b + (columns + panelColumns - 1) / panelColumns * panel
      for k in stride(from: 0, to: depth, by: 1000) {
        let some = min(1000, depth - k)
        for j in stride(from: 0, to: columns, by: 4 * panelColumns) {
          let following = min(j + 4 * panelColumns, columns)
          let isLast = following == columns && k + some == depth
          guard let next = stripAfter(p, k, some, following) else {
            #expect(isLast)
            continue
          }
          #expect(!isLast)
          #expect(next.start >= b && next.panels > 0 && next.depth > 0)
          let last = next.start + (next.panels - 1) * panel
          #expect(last + next.depth * panelColumns <= end)
        }
      }
    }
  }
}
