import KernelInterface

/// k per block: a tile's rows of A, 24 or 48 KiB, stay near while the panels pass by, and C is fetched once for each.
private let depthBlock = 1024
/// Panels per strip: their rows of a block of k, 256 or 512 KiB, stay in the second-level cache while the tiles of A pass
/// by.
private let stripPanels = 4

/// Rows of A per block, which each strip meets again: short ones in the second-level cache, long ones, which the
/// processor foresees, in the third.
private func rowBlock(_ depth: Int) -> Int { depth <= 256 ? 240 : 480 }

func product(_ arguments: UnsafePointer<ProductArguments>) {
  var zeros = PanelRow()
  withUnsafePointer(to: &zeros) { zeros in
    let p = arguments.pointee
    let zeros = UnsafeRawPointer(zeros).assumingMemoryBound(to: Float.self)
    if p.format != .float32 { return reducedProduct(p, zeros) }
    // A last block of some rows would read all of B for them.
    let blocks = Tiles(p.rows, most: rowBlock(p.depth))
    for block in 0..<blocks.count {
      var k = 0
      // At least once: without any k, C is what the sums start from.
      repeat {
        let depth = p.depth - k < depthBlock ? p.depth - k : depthBlock
        multiplyBlock(p, blocks.start(block), blocks.height(block), k, depth, zeros)
        k += depth
      } while k < p.depth
    }
  }
}

/// What the sums of a strip start from where there is no bias.
private struct PanelRow {
  var zeros = (
    splat(0), splat(0), splat(0), splat(0), splat(0), splat(0), splat(0), splat(0)
  )
}

/// Some rows of A and some k by all panels, strip by strip.
private func multiplyBlock(
  _ p: ProductArguments, _ m: Int, _ rows: Int, _ k: Int, _ depth: Int, _ zeros: Floats
) {
  // The first block of k starts from the bias: a pass over C that wrote it there would cost as much as C's
  // memory does.
  let startsFromC = p.accumulates || k > 0
  let asks = p.depth * p.columns * MemoryLayout<Float>.stride > nearBytes
  let panel = p.depth * panelColumns
  var j = 0
  while j < p.columns {
    let c = p.c + m * p.cStride + j
    let operands = TileOperands(
      start: startsFromC ? Floats(c) : p.bias.map { $0 + j } ?? zeros,
      startStride: startsFromC ? p.cStride : 0,
      a: TileRows(p.a + m * p.aStride + k, stride: p.aStride),
      b: p.b + j * p.depth + k * panelColumns, depth: depth)
    let columns = p.columns - j
    let wholePanels = columns / panelColumns
    if rows == 1 && wholePanels > 1 {
      let panels = wholePanels < 4 ? 2 : 4
      multiplyRow(panels: panels, operands, panelStride: panel, c)
      j += panels * panelColumns
    } else {
      let strip = columns < stripPanels * panelColumns ? columns : stripPanels * panelColumns
      let next = asks ? stripAfter(p, k, depth, j + strip) : nil
      multiplyRows(rows, strip, operands, bNext: panel, next: next, c, p.cStride)
      j += strip
    }
  }
}

/// The first of the rows of B that are needed next, in some panels of a strip.
struct NextStrip {
  let start: Floats
  let depth: Int
  let panels: Int
}

/// The same k of the strip that begins at column `j`; after the last strip the next k of the first; nil after the last k.
func stripAfter(_ p: ProductArguments, _ k: Int, _ depth: Int, _ j: Int) -> NextStrip? {
  let isLast = j >= p.columns
  let (first, column) = isLast ? (k + depth, 0) : (k, j)
  let left = isLast && p.depth - first < depth ? p.depth - first : depth
  guard left > 0 else { return nil }
  let panels = (p.columns - column + panelColumns - 1) / panelColumns
  return NextStrip(
    start: p.b + column * p.depth + first * panelColumns, depth: left,
    panels: panels < stripPanels ? panels : stripPanels)
}

/// Any number of rows by a strip of panels, `bNext` floats apart, of which `columns` exist.
private func multiplyRows(
  _ rows: Int, _ columns: Int, _ operands: TileOperands, bNext: Int, next: NextStrip?,
  _ c: MutableFloats, _ cStride: Int
) {
  var t = operands
  let tiles = Tiles(rows)
  // The first tile of the next strip would wait for it.
  var ahead = BytesAhead(
    next?.start, (next?.depth ?? 0) * panelColumns * MemoryLayout<Float>.stride,
    tiles: tiles.count, depth: t.depth)
  var r = 0
  for tile in 0..<tiles.count {
    let height = tiles.height(tile)
    t.a = operands.a.after(r)
    t.start = operands.start + r * operands.startStride
    // What the next tile's sums start from; a tile of many k gives it time to come.
    if t.startStride > 0 && tile + 1 < tiles.count {
      ask(Floats(c + (r + height) * cStride), cStride, rows: tiles.height(tile + 1), columns)
    }
    let request = ahead.take()
    multiplyStrip(height, columns, t, bNext: bNext, c + r * cStride, cStride) { panel in
      guard let request, request.bytes > 0, panel < next?.panels ?? 0 else { return .none }
      return .asks(
        request.start + panel * bNext * MemoryLayout<Float>.stride, bytes: request.bytes)
    }
    r += height
  }
}

/// One tile's rows by a strip of panels, which have errands if they are whole.
@inline(always) func multiplyStrip(
  _ rows: Int, _ columns: Int, _ operands: TileOperands, bNext: Int, _ c: MutableFloats,
  _ cStride: Int, errand: (_ panel: Int) -> TileErrand
) {
  var t = operands
  var panel = 0
  var j = 0
  while j < columns {
    if columns - j >= panelColumns {
      t.errand = errand(panel)
      multiplyTile(rows, t, c + j, cStride)
    } else {
      t.errand = .none
      multiplyRaggedTile(rows, columns - j, t, c + j, cStride)
    }
    panel += 1
    j += panelColumns
    t.start += panelColumns
    t.b += bNext
  }
}
