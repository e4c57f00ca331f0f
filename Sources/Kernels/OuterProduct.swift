import KernelInterface

/// Rows of A and D per block, both packed: C is fetched once for each block, and a tile's rows of A pass by twice, from
/// the second-level cache if not from the nearest.
private let rowBlock = 1024
/// The same with little scratch, which columns of A fill better.
private let shortRowBlock = 256
private let fewColumns = 96
/// Columns of D that are packed at a time: they stay in the second-level cache while the tiles of A pass by.
let stripColumns = 64
/// Columns of A that are packed at a time: few enough for a scratch of 2.6 MiB, of which 16 steps of 32 rows use half.
private let depthBlock = 512
/// Floats of two As that are packed together: beside a strip of D they fill the second-level cache.
private let sharedCount = 1 << 17

/// Floats of two strips of D, one of which is packed while the other is multiplied. Columns of A follow in the scratch.
private func stripsCount(_ rows: Int) -> Int { 2 * rows * stripColumns }

func outerProductScratch(_ rows: Int, _ depth: Int) -> Int {
  let rows = rows < rowBlock ? rows : rowBlock
  return stripsCount(rows)
    + Tiles(depth < depthBlock ? depth : depthBlock).count * tileStride(rows)
}

/// Floats from a packed tile of A to the next: the last vectors of a tile are written whole.
func tileStride(_ rows: Int) -> Int { rows * tileRows + 2 * lanes }

/// Both factors are packed: A is read down its columns, where every row is another page and, if its width is a
/// power of two, falls on the same few lines of the cache.
func outerProduct(_ arguments: UnsafePointer<OuterProductArguments>) {
  let p = arguments.pointee
  guard p.rows > 0, p.columns > 0 else { return }
  let most = p.depth < fewColumns ? p.depth : fewColumns
  let isShort = p.scratchCount < outerProductScratch(p.rows, most)
  let longest = isShort ? shortRowBlock : rowBlock
  let rowBlock = p.rows < longest ? p.rows : longest
  let room = (p.scratchCount - stripsCount(rowBlock)) / tileStride(rowBlock)
  let mostDepth = room * tileRows < depthBlock ? room * tileRows : depthBlock
  // Blocks of nearly equal heights: a last block of some rows would fetch all of C for them.
  let blocks = Tiles(p.rows, most: rowBlock)
  for index in 0..<blocks.count {
    addBlock(block(p, blocks.start(index), blocks.height(index)), mostDepth, tilesAtOnce: room)
  }
}

/// Some rows of both factors.
private func block(_ p: OuterProductArguments, _ m: Int, _ rows: Int) -> OuterProductArguments {
  var block = p
  block.rows = rows
  block.a += m * p.aStride
  block.d += m * p.dStride
  if let second = p.second { block.second?.a = second.a + m * second.aStride }
  return block
}

/// The sums of a block of rows, which are packed whole.
private func addBlock(_ p: OuterProductArguments, _ mostDepth: Int, tilesAtOnce: Int) {
  let first = OuterFactor(depth: p.depth, a: p.a, aStride: p.aStride, c: p.c, cStride: p.cStride)
  var strip = PackedStrip(p, 0, p.scratch)
  if let second = p.second, (p.depth + second.depth) * p.rows <= sharedCount,
    Tiles(p.depth).count + Tiles(second.depth).count <= tilesAtOnce
  {
    let packed = p.scratch + stripsCount(p.rows)
    let one = PackedColumns(p, first, 0..<p.depth, packed)
    let two = PackedColumns(
      p, second, 0..<second.depth, packed + one.tiles.count * tileStride(p.rows))
    addProducts(p, &strip, one, two, isLast: true)
  } else {
    addProducts(p, &strip, first, mostDepth, isLast: p.second == nil)
    if let second = p.second { addProducts(p, &strip, second, mostDepth, isLast: true) }
  }
}

/// One A and D, by blocks of A's columns.
private func addProducts(
  _ p: OuterProductArguments, _ strip: inout PackedStrip, _ factor: OuterFactor, _ mostDepth: Int,
  isLast: Bool
) {
  var k = 0
  while k < factor.depth {
    let depth = factor.depth - k < mostDepth ? factor.depth - k : mostDepth
    let columns = PackedColumns(p, factor, k..<k + depth, p.scratch + stripsCount(p.rows))
    k += depth
    addProducts(p, &strip, columns, nil, isLast: isLast && k >= factor.depth)
  }
}

/// Columns of one A, or of two, by all strips of D, of which `strip` is the first.
///
/// - Parameter isLast: no other columns of an A follow, for which it is packed again.
private func addProducts(
  _ p: OuterProductArguments, _ strip: inout PackedStrip, _ one: PackedColumns,
  _ two: PackedColumns?, isLast: Bool
) {
  let cBytes = p.columns * MemoryLayout<Float>.stride
  let other = p.scratch + p.rows * stripColumns
  repeat {
    strip.finish()
    let j = strip.first + strip.columns
    var next = PackedStrip(
      p, j < p.columns || isLast ? j : 0, strip.packed == other ? p.scratch : other)
    addStrip(one, strip, cBytes, &next)
    if let two { addStrip(two, strip, cBytes, &next) }
    strip = next
  } while strip.first > 0 && strip.first < p.columns
}

/// Columns of A by a strip of D, while the next strip is packed.
private func addStrip(
  _ a: PackedColumns, _ strip: PackedStrip, _ cBytes: Int, _ next: inout PackedStrip
) {
  let asks = a.depth * cBytes > nearBytes
  var c = a.c + strip.first
  for tile in 0..<a.tiles.count {
    let height = a.tiles.height(tile)
    if asks && tile + 1 < a.tiles.count {
      ask(
        Floats(c + height * a.cStride), a.cStride, rows: a.tiles.height(tile + 1), strip.columns)
    }
    multiplyStrip(
      height, strip.columns,
      TileOperands(
        start: Floats(c), startStride: a.cStride,
        a: TileRows(packed: Floats(a.packed + tile * tileStride(strip.rows))),
        b: Floats(strip.packed), depth: strip.rows),
      bNext: strip.rows * panelColumns, c, a.cStride
    ) { panel in
      if strip.first == 0, let errand = a.errand(tile, panel) { return errand }
      return next.errand(height)
    }
    c += height * a.cStride
  }
}
