import KernelInterface

/// Rows of A and D per block, both packed: C is fetched once for each block, and a tile's rows of A pass by twice, from
/// the second-level cache if not from the nearest.
private let rowBlock = 1024
/// The same with little scratch, which columns of A fill better.
private let shortRowBlock = 256
private let fewColumns = 96
/// Columns of D that are packed at a time: they stay in the second-level cache while the tiles of A pass by.
private let stripColumns = 64
/// Columns of A that are packed at a time: few enough for a scratch of 2.3 MiB, of which 16 steps of 32 rows use half.
private let depthBlock = 512
/// Floats of two As that are packed together: beside a strip of D they fill the second-level cache.
private let sharedCount = 1 << 17

/// A strip of D and some columns of A.
private func scratchCount(_ rows: Int, _ depth: Int) -> Int {
  rows * stripColumns + Tiles(depth).count * tileStride(rows)
}

func outerProductScratch(_ rows: Int, _ depth: Int) -> Int {
  scratchCount(rows < rowBlock ? rows : rowBlock, depth < depthBlock ? depth : depthBlock)
}

/// Floats from a packed tile of A to the next: the last vectors of a tile are written whole.
private func tileStride(_ rows: Int) -> Int { rows * tileRows + 2 * lanes }

/// Tiles of nearly equal heights, since a last tile of one row would wait for its own sums: the first `taller` have
/// one row more than the others.
private struct Tiles {
  let count: Int
  private let height: Int
  private let taller: Int

  init(_ depth: Int) {
    count = (depth + tileRows - 1) / tileRows
    height = count > 0 ? depth / count : 0
    taller = depth - count * height
  }

  @inline(always) func height(_ tile: Int) -> Int { tile < taller ? height + 1 : height }
}

/// Both factors are packed: A is read down its columns, where every row is another page and, if its width is a
/// power of two, falls on the same few lines of the cache.
func outerProduct(_ arguments: UnsafePointer<OuterProductArguments>) {
  let p = arguments.pointee
  guard p.rows > 0 else { return }
  let most = p.depth < fewColumns ? p.depth : fewColumns
  let isShort = p.scratchCount < outerProductScratch(p.rows, most)
  let longest = isShort ? shortRowBlock : rowBlock
  let rowBlock = p.rows < longest ? p.rows : longest
  let room = (p.scratchCount - rowBlock * stripColumns) / tileStride(rowBlock)
  let mostDepth = room * tileRows < depthBlock ? room * tileRows : depthBlock
  let first = OuterFactor(depth: p.depth, a: p.a, aStride: p.aStride, c: p.c, cStride: p.cStride)
  // Blocks of nearly equal heights: a last block of some rows would fetch all of C for them.
  var blocks = (p.rows + rowBlock - 1) / rowBlock
  var m = 0
  while m < p.rows {
    let rows = (p.rows - m + blocks - 1) / blocks
    blocks -= 1
    if let second = p.second, (p.depth + second.depth) * rows <= sharedCount,
      Tiles(p.depth).count + Tiles(second.depth).count <= room
    {
      let packed = p.scratch + rows * stripColumns
      let one = PackedColumns(first, 0, p.depth, m, rows, packed)
      let two = PackedColumns(
        second, 0, second.depth, m, rows, packed + one.tiles.count * tileStride(rows))
      addProducts(p, m, rows, one, two)
    } else {
      addProducts(p, m, rows, first, mostDepth)
      if let second = p.second { addProducts(p, m, rows, second, mostDepth) }
    }
    m += rows
  }
}

/// Some rows of one A and of D, by blocks of A's columns.
private func addProducts(
  _ p: OuterProductArguments, _ m: Int, _ rows: Int, _ factor: OuterFactor, _ mostDepth: Int
) {
  var k = 0
  while k < factor.depth {
    let depth = factor.depth - k < mostDepth ? factor.depth - k : mostDepth
    addProducts(
      p, m, rows, PackedColumns(factor, k, depth, m, rows, p.scratch + rows * stripColumns), nil)
    k += depth
  }
}

/// Columns of one A, or of two, by all strips of D.
private func addProducts(
  _ p: OuterProductArguments, _ m: Int, _ rows: Int, _ one: PackedColumns, _ two: PackedColumns?
) {
  var j = 0
  while j < p.columns {
    let columns = p.columns - j < stripColumns ? p.columns - j : stripColumns
    let strip = Strip(p, m, j)
    if p.dBlocks == nil {
      packPanels(rows, columns, strip.start, p.dStride, p.scratch)
    } else {
      packPieces(rows, columns, strip, p.dStride, p.scratch)
    }
    let next = Strip(p, m, j + columns)
    var ahead = StripAhead(next.start, p.columns - j - columns, p.dStride)
    let cBytes = p.columns * MemoryLayout<Float>.stride
    addStrip(rows, one, Floats(p.scratch), j, columns, cBytes, &ahead)
    if let two { addStrip(rows, two, Floats(p.scratch), j, columns, cBytes, &ahead) }
    j += stripColumns
  }
}

/// Columns of A by a strip of D.
private func addStrip(
  _ rows: Int, _ a: PackedColumns, _ strip: Floats, _ j: Int, _ columns: Int, _ cBytes: Int,
  _ ahead: inout StripAhead
) {
  let asks = a.depth * cBytes > nearBytes
  var c = a.c + j
  for tile in 0..<a.tiles.count {
    let height = a.tiles.height(tile)
    if asks && tile + 1 < a.tiles.count {
      ask(Floats(c + height * a.cStride), a.cStride, rows: a.tiles.height(tile + 1), columns)
    }
    multiplyStrip(
      height, columns,
      TileOperands(
        start: Floats(c), startStride: a.cStride,
        a: TileRows(packed: a.packed + tile * tileStride(rows)),
        b: strip, depth: rows, next: ahead.next, nextBytes: ahead.rowBytes, nextPanel: lineBytes,
        nextPanels: ahead.lines),
      bNext: rows * panelColumns, c, a.cStride)
    ahead.advance(panels: (columns + panelColumns - 1) / panelColumns)
    c += height * a.cStride
  }
}

/// Some columns and rows of A, packed, and the rows of C that they add to.
private struct PackedColumns {
  let tiles: Tiles
  let packed: Floats
  let c: MutableFloats
  let cStride: Int
  /// Of all of C.
  let depth: Int

  init(
    _ factor: OuterFactor, _ k: Int, _ count: Int, _ m: Int, _ rows: Int, _ packed: MutableFloats
  ) {
    tiles = Tiles(count)
    packTiles(tiles, rows, count, factor.a + m * factor.aStride + k, factor.aStride, packed)
    self.packed = Floats(packed)
    c = factor.c + k * factor.cStride
    cStride = factor.cStride
    depth = factor.depth
  }
}

/// The strip of D that is packed next. The tiles of this one ask for it, each panel's for one line of every row: packing
/// would wait for all of them, which are on pages of their own.
private struct StripAhead {
  private(set) var next: UnsafeRawPointer
  /// Of each row.
  private(set) var lines: Int
  /// From one row's line to the next row's.
  let rowBytes: Int

  /// The first of the `columns` that are left of D.
  @inline(always) init(_ d: Floats, _ columns: Int, _ stride: Int) {
    next = UnsafeRawPointer(d)
    let bytes = (columns < stripColumns ? columns : stripColumns) * MemoryLayout<Float>.stride
    lines = (bytes + lineBytes - 1) / lineBytes
    rowBytes = stride * MemoryLayout<Float>.stride
  }

  @inline(always) mutating func advance(panels: Int) {
    next += panels * lineBytes
    lines -= panels
  }
}

/// Packs rows of A: a tile has up to `tileRows` columns of each row, one row after the other.
private func packTiles(
  _ tiles: Tiles, _ rows: Int, _ depth: Int, _ source: Floats, _ stride: Int,
  _ packed: MutableFloats
) {
  let next = tileStride(rows)
  let width = lanes < tileRows ? 2 * lanes : lanes
  for row in 0..<rows {
    let from = source + row * stride
    var to = packed + row * tileRows
    var k = 0
    for tile in 0..<tiles.count {
      let height = tiles.height(tile)
      // Whole vectors; what lies behind the tile's columns is the next row's, which comes later.
      if k + width <= depth {
        store(load(from + k), to)
        if lanes < tileRows { store(load(from + k + lanes), to + lanes) }
      } else {
        for i in 0..<height { to[i] = from[k + i] }
      }
      k += height
      to += next
    }
  }
}

/// Packs rows of a strip of D in panels, missing columns 0.
private func packPanels(
  _ rows: Int, _ columns: Int, _ source: Floats, _ stride: Int, _ packed: MutableFloats
) {
  for row in 0..<rows {
    var to = packed + row * panelColumns
    var j = 0
    while j < columns {
      let from = source + row * stride + j
      if columns - j >= panelColumns {
        store(load(from), to)
        store(load(from + lanes), to + lanes)
      } else {
        for i in 0..<panelColumns { to[i] = j + i < columns ? from[i] : 0 }
      }
      to += rows * panelColumns
      j += panelColumns
    }
  }
}

/// Where a strip of D begins.
private struct Strip {
  var start: Floats
  /// Columns that are side by side there.
  var left: Int
  /// Of the blocks that follow, and of what lies between two.
  let width: Int
  let gap: Int

  @inline(always) init(_ p: OuterProductArguments, _ m: Int, _ j: Int) {
    let row = p.d + m * p.dStride
    guard let blocks = p.dBlocks, blocks.width > 0 else {
      start = row + j
      left = p.columns - j
      width = 0
      gap = 0
      return
    }
    let column = blocks.first + j
    let within = column % blocks.width
    start = row + column / blocks.width * blocks.stride + within
    left = blocks.width - within
    width = blocks.width
    gap = blocks.stride - blocks.width
  }
}

/// Packs rows of a strip of D whose columns are in blocks. Missing columns are not written.
private func packPieces(
  _ rows: Int, _ columns: Int, _ strip: Strip, _ stride: Int, _ packed: MutableFloats
) {
  for row in 0..<rows {
    // What is copied in whole vectors may reach behind a row on both sides: the next row, which comes later, and D's
    // next block.
    let isInside = row > 0 && row < rows - 1
    var to = packed + row * panelColumns
    var from = strip.start + row * stride
    var left = strip.left
    var j = 0
    while j < columns {
      let panel = columns - j < panelColumns ? columns - j : panelColumns
      var done = 0
      while done < panel {
        let count = left < panel - done ? left : panel - done
        if isInside {
          var i = 0
          while i < count {
            store(load(from + i), to + done + i)
            i += lanes
          }
        } else {
          for i in 0..<count { to[done + i] = from[i] }
        }
        done += count
        from += count
        left -= count
        if left == 0 {
          from += strip.gap
          left = strip.width
        }
      }
      to += rows * panelColumns
      j += panelColumns
    }
  }
}
