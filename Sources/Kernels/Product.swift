import KernelInterface

/// k per block: a tile's rows of A, 24 or 48 KiB, stay near while the panels pass by, and C is fetched once for each.
private let depthBlock = 1024
/// Panels per strip: their rows of a block of k, 256 or 512 KiB, stay in the second-level cache while the tiles of A pass
/// by.
private let stripPanels = 4
/// Bytes of weights that are near enough without being asked for.
let nearBytes = 1 << 19

/// Rows of A per block, which each strip meets again: short ones in the second-level cache, long ones, which the
/// processor foresees, in the third.
private func rowBlock(_ depth: Int) -> Int { depth <= 256 ? 240 : 480 }

func product(_ arguments: UnsafePointer<ProductArguments>) {
  if arguments.pointee.format != .float32 { return reducedProduct(arguments.pointee) }
  var zeros = PanelRow()
  withUnsafePointer(to: &zeros) { zeros in
    let p = arguments.pointee
    let zeros = UnsafeRawPointer(zeros).assumingMemoryBound(to: Float.self)
    // Blocks of nearly equal heights: a last block of some rows would read all of B for them.
    let most = rowBlock(p.depth)
    var blocks = (p.rows + most - 1) / most
    var m = 0
    while m < p.rows {
      let rows = (p.rows - m + blocks - 1) / blocks
      blocks -= 1
      var k = 0
      // At least once: without any k, C is what the sums start from.
      repeat {
        let depth = p.depth - k < depthBlock ? p.depth - k : depthBlock
        multiplyBlock(p, m, rows, k, depth, zeros)
        k += depth
      } while k < p.depth
      m += rows
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
  var j = 0
  while j < p.columns {
    let c = p.c + m * p.cStride + j
    let operands = TileOperands(
      start: startsFromC ? Floats(c) : p.bias.map { $0 + j } ?? zeros,
      startStride: startsFromC ? p.cStride : 0,
      a: TileRows(p.a + m * p.aStride + k, stride: p.aStride),
      b: p.b + j * p.depth + k * panelColumns, depth: depth,
      next: p.b + j * p.depth + k * panelColumns, nextBytes: 0,
      nextPanel: p.depth * panelColumns * MemoryLayout<Float>.stride)
    let columns = p.columns - j
    let wholePanels = columns / panelColumns
    if rows == 1 && wholePanels > 1 {
      let panels = wholePanels < 4 ? 2 : 4
      multiplyRow(panels: panels, operands, panelStride: p.depth * panelColumns, c)
      j += panels * panelColumns
    } else {
      let strip = columns < stripPanels * panelColumns ? columns : stripPanels * panelColumns
      multiplyRows(
        rows, strip, operands, bNext: p.depth * panelColumns,
        asks: p.depth * p.columns * MemoryLayout<Float>.stride > nearBytes, c, p.cStride)
      j += strip
    }
  }
}

/// Any number of rows by a strip of panels, `bNext` floats apart, of which `columns` exist.
private func multiplyRows(
  _ rows: Int, _ columns: Int, _ operands: TileOperands, bNext: Int, asks: Bool,
  _ c: MutableFloats, _ cStride: Int
) {
  var t = operands
  // Tiles of nearly equal heights: a last tile of one row would wait for its own sums.
  var tiles = (rows + tileRows - 1) / tileRows
  // Together they ask for the next strip, a little with each k: the first tile would wait for it, and many
  // requests at once would hold up the loads.
  let bytes = panelColumns * MemoryLayout<Float>.stride
  t.nextBytes = asks ? (bytes + tiles - 1) / tiles : 0
  t.next = UnsafeRawPointer(operands.b + columns / panelColumns * bNext)
  var r = 0
  while r < rows {
    let height = (rows - r + tiles - 1) / tiles
    tiles -= 1
    t.a = operands.a.after(r)
    t.start = operands.start + r * operands.startStride
    if t.startStride > 0 && r + height < rows {
      ask(c + (r + height) * cStride, cStride, rows: height, columns)
    }
    multiplyStrip(height, columns, t, bNext: bNext, c + r * cStride, cStride)
    t.next += t.nextBytes * t.depth
    r += height
  }
}

/// One tile's rows by a strip of panels.
func multiplyStrip(
  _ rows: Int, _ columns: Int, _ operands: TileOperands, bNext: Int, _ c: MutableFloats,
  _ cStride: Int
) {
  var t = operands
  var j = 0
  while j < columns {
    if columns - j >= panelColumns {
      multiplyTile(rows, t, c + j, cStride)
    } else {
      multiplyRaggedTile(rows, columns - j, t, c + j, cStride)
    }
    j += panelColumns
    t.start += panelColumns
    t.b += bNext
    t.next += t.nextPanel
  }
}
