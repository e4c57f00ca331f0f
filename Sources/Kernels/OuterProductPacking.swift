import KernelInterface

/// Rows of A that are asked for before they are packed.
private let rowsAhead = 6

/// Some columns of A, packed, and the rows of C that they add to.
struct PackedColumns {
  let tiles: Tiles
  let rows: Int
  let packed: MutableFloats
  let c: MutableFloats
  let cStride: Int
  /// Of all of C.
  let depth: Int
  private let source: Floats
  private let stride: Int
  /// By the first panel of D each tile packs the next one in passing, but the last, behind whose columns whole vectors
  /// would reach.
  private let packsAhead: Bool

  init(
    _ p: OuterProductArguments, _ factor: OuterFactor, _ ks: Range<Int>, _ packed: MutableFloats
  ) {
    tiles = Tiles(ks.count)
    rows = p.rows
    self.packed = packed
    source = factor.a + ks.lowerBound
    stride = factor.aStride
    let last = tiles.count - 1
    // Only whole panels and tall tiles have errands.
    packsAhead =
      lanes >= tileRows && last > 1 && tiles.start(last - 1) + lanes <= ks.count
      && hasTimeForErrands(rows: tiles.height(last)) && p.columns >= panelColumns
    if packsAhead {
      packEnds(tiles, rows, ks.count, source, stride, packed)
    } else {
      packTiles(tiles, rows, ks.count, source, stride, packed)
    }
    c = factor.c + ks.lowerBound * factor.cStride
    cStride = factor.cStride
    depth = factor.depth
  }

  /// Of a tile by a panel of the first strip.
  @inline(always) func errand(_ tile: Int, _ panel: Int) -> TileErrand? {
    guard packsAhead, panel == 0, tile + 2 < tiles.count else { return nil }
    return .copies(
      source + tiles.start(tile + 1), stride: stride,
      to: packed + (tile + 1) * tileStride(rows), toStride: tileRows)
  }
}

/// A strip of D, in panels. Most of the packing is done by the tiles of the strip before it, in passing. First
/// they ask for its lines, each for one of every row, since packing would wait for all of them, which are on pages of
/// their own; then they copy it, each a vector of every row.
struct PackedStrip {
  let rows: Int
  /// In all of D.
  let first: Int
  let columns: Int
  let packed: MutableFloats
  private let source: StripSource
  private var asked: Int
  private var copied = 0

  /// The strip from column `j` on, of which nothing is packed yet.
  init(_ p: OuterProductArguments, _ j: Int, _ packed: MutableFloats) {
    rows = p.rows
    first = j
    columns = p.columns - j < stripColumns ? p.columns - j : stripColumns
    self.packed = packed
    source = StripSource(p, j)
    asked = rows * p.columns * MemoryLayout<Float>.stride > nearBytes ? 0 : columns
  }

  /// A part of the packing for a tile of so many rows.
  @inline(always) mutating func errand(_ height: Int) -> TileErrand {
    guard hasTimeForErrands(rows: height) else { return .none }
    if asked < columns {
      let from = source.start + asked
      asked += lineBytes / MemoryLayout<Float>.stride
      return .asks(from, bytes: source.stride * MemoryLayout<Float>.stride)
    }
    guard source.gap == 0, columns - copied >= lanes else { return .none }
    let from = source.start + copied
    let to = packed + at(copied)
    copied += lanes
    return .copies(from, stride: source.stride, to: to, toStride: panelColumns)
  }

  /// Packs what no tile has.
  func finish() {
    if source.gap > 0 { return packPieces() }
    guard copied < columns else { return }
    for row in 0..<rows {
      let from = source.start + row * source.stride
      let to = packed + row * panelColumns
      var j = copied
      while j < columns {
        if columns - j >= lanes {
          store(load(from + j), to + at(j))
        } else {
          // Beside the last columns of D are zeros.
          for i in 0..<lanes { to[at(j) + i] = j + i < columns ? from[j + i] : 0 }
        }
        j += lanes
      }
    }
  }

  /// Where column `j` of the first row is packed.
  @inline(always) private func at(_ j: Int) -> Int {
    j / panelColumns * panelColumns * rows + j % panelColumns
  }

  /// The same of columns in blocks. Missing columns are not written.
  private func packPieces() {
    for row in 0..<rows {
      // What is copied in whole vectors may reach behind a row on both sides: the next row, which comes later, and D's
      // next block.
      let isInside = row > 0 && row < rows - 1
      var to = packed + row * panelColumns
      var from = source.start + row * source.stride
      var left = source.left
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
            from += source.gap
            left = source.width
          }
        }
        to += rows * panelColumns
        j += panelColumns
      }
    }
  }
}

/// Packs rows of A: a tile has up to `tileRows` columns of each row, one row after the other.
private func packTiles(
  _ tiles: Tiles, _ rows: Int, _ depth: Int, _ source: Floats, _ stride: Int,
  _ packed: MutableFloats
) {
  let next = tileStride(rows)
  for row in 0..<rows {
    let from = source + row * stride
    var to = packed + row * tileRows
    var k = 0
    for tile in 0..<tiles.count {
      let height = tiles.height(tile)
      packTileRow(from + k, height, left: depth - k, to)
      k += height
      to += next
    }
  }
}

/// Packs the first and the last tile of A, and asks for the rows of the others.
private func packEnds(
  _ tiles: Tiles, _ rows: Int, _ depth: Int, _ source: Floats, _ stride: Int,
  _ packed: MutableFloats
) {
  let last = tiles.count - 1
  let k = tiles.start(last)
  for row in 0..<rows {
    let from = source + row * stride
    let to = packed + row * tileRows
    if row + rowsAhead < rows { ask(from + rowsAhead * stride, 0, rows: 1, depth) }
    packTileRow(from, tiles.height(0), left: depth, to)
    packTileRow(from + k, depth - k, left: depth - k, to + last * tileStride(rows))
  }
}

/// Packs a tile's columns of a row, of which `left` follow: whole vectors, if there are so many. What they write behind the
/// tile's columns is the next row's, which comes later.
@inline(always) private func packTileRow(
  _ from: Floats, _ height: Int, left: Int, _ to: MutableFloats
) {
  guard left >= (lanes < tileRows ? 2 * lanes : lanes) else {
    for i in 0..<height { to[i] = from[i] }
    return
  }
  store(load(from), to)
  if lanes < tileRows { store(load(from + lanes), to + lanes) }
}

/// Where the columns of a strip of D are.
private struct StripSource {
  let start: Floats
  let stride: Int
  /// Columns that are side by side there.
  let left: Int
  /// Of the blocks that follow, and of what lies between two.
  let width: Int
  let gap: Int

  @inline(always) init(_ p: OuterProductArguments, _ j: Int) {
    stride = p.dStride
    guard let blocks = p.dBlocks, blocks.width > 0 else {
      start = p.d + j
      left = p.columns - j
      width = 0
      gap = 0
      return
    }
    let column = blocks.first + j
    let within = column % blocks.width
    start = p.d + column / blocks.width * blocks.stride + within
    left = blocks.width - within
    width = blocks.width
    gap = blocks.stride - blocks.width
  }
}
