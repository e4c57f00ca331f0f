import KernelInterface

/// Rows of A and D per block, both packed: a tile's rows of A fill half of the nearest cache, and C is fetched once for
/// each block.
private let rowBlock = 512
/// The same with little scratch, which columns of A fill better.
private let shortRowBlock = 256
private let fewColumns = 96
/// Columns of D that are packed at a time: they stay in the second-level cache while the tiles of A pass by.
private let stripColumns = 64
/// Columns of A that are packed at a time: few enough for a scratch of 1 MiB.
private let depthBlock = 480

/// A strip of D and some columns of A.
private func scratchCount(_ rows: Int, _ depth: Int) -> Int {
  rows * stripColumns + Tiles(depth).count * tileStride(rows)
}

/// For long blocks of rows; half of it is enough for short ones.
func outerProductScratch(_ depth: Int) -> Int {
  2 * scratchCount(shortRowBlock, depth < depthBlock ? depth : depthBlock)
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
  let isShort = p.scratchCount < scratchCount(rowBlock, p.depth < fewColumns ? p.depth : fewColumns)
  let rowBlock = isShort ? shortRowBlock : rowBlock
  let room = (p.scratchCount - rowBlock * stripColumns) / tileStride(rowBlock) * tileRows
  let mostDepth = room < depthBlock ? room : depthBlock
  let packed = p.scratch + rowBlock * stripColumns
  let asks = p.depth * p.columns * MemoryLayout<Float>.stride > nearBytes
  var m = 0
  while m < p.rows {
    let rows = p.rows - m < rowBlock ? p.rows - m : rowBlock
    var k = 0
    while k < p.depth {
      let depth = p.depth - k < mostDepth ? p.depth - k : mostDepth
      let tiles = Tiles(depth)
      packTiles(tiles, rows, depth, p.a + m * p.aStride + k, p.aStride, packed)
      var j = 0
      while j < p.columns {
        let columns = p.columns - j < stripColumns ? p.columns - j : stripColumns
        packPanels(rows, columns, p.d + m * p.dStride + j, p.dStride, p.scratch)
        var ahead = StripAhead(
          p.d + m * p.dStride + j + columns, p.columns - j - columns, p.dStride)
        var c = p.c + k * p.cStride + j
        for tile in 0..<tiles.count {
          let height = tiles.height(tile)
          if asks { ask(c + height * p.cStride, p.cStride, rows: height, columns) }
          multiplyStrip(
            height, columns,
            TileOperands(
              start: Floats(c), startStride: p.cStride,
              a: Floats(packed + tile * tileStride(rows)), aRowStride: 1, aDepthStride: tileRows,
              b: Floats(p.scratch), depth: rows, next: ahead.next, nextBytes: ahead.rowBytes,
              nextPanel: lineBytes),
            bNext: rows * panelColumns, c, p.cStride)
          ahead.advance(panels: (columns + panelColumns - 1) / panelColumns)
          c += height * p.cStride
        }
        j += stripColumns
      }
      k += depth
    }
    m += rows
  }
}

/// The strip of D that is packed next. The tiles of this one ask for it, each panel's for one line of every row: packing
/// would wait for all of them, which are on pages of their own.
private struct StripAhead {
  private(set) var next: UnsafeRawPointer
  private var lines: Int
  private let stride: Int

  /// The first of the `columns` that are left of D.
  @inline(always) init(_ d: Floats, _ columns: Int, _ stride: Int) {
    next = UnsafeRawPointer(d)
    let bytes = (columns < stripColumns ? columns : stripColumns) * MemoryLayout<Float>.stride
    lines = (bytes + lineBytes - 1) / lineBytes
    self.stride = stride * MemoryLayout<Float>.stride
  }

  /// From one row's line to the next row's; 0 if all has been asked for.
  @inline(always) var rowBytes: Int { lines > 0 ? stride : 0 }

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
