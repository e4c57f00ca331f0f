import KernelInterface

/// Rows of B per block, 32 KiB of a panel: so long that the tile of C is seldom fetched, so short that a part
/// of the block is still in the nearest cache when the next rows of A come.
private var depthBlock: Int { 8192 / panelColumns }
/// Rows of A per block: it stays in the next cache while the panels pass by.
private let rowBlock = 20 * tileRows

func product(_ arguments: UnsafePointer<ProductArguments>) {
  if arguments.pointee.format != .float32 { return reducedProduct(arguments.pointee) }
  var zeros = PanelRow()
  withUnsafePointer(to: &zeros) { zeros in
    let p = arguments.pointee
    let zeros = UnsafeRawPointer(zeros).assumingMemoryBound(to: Float.self)
    // Blocks of nearly equal heights: a last block of some rows would read all of B for them.
    var blocks = (p.rows + rowBlock - 1) / rowBlock
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

/// What the sums of up to four panels start from where there is no bias.
private struct PanelRow {
  var zeros = (
    splat(0), splat(0), splat(0), splat(0), splat(0), splat(0), splat(0), splat(0)
  )
}

/// Some rows of A and some k by all panels.
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
      a: p.a + m * p.aStride + k, aRowStride: p.aStride, aDepthStride: 1,
      b: p.b + j * p.depth + k * panelColumns, depth: depth)
    let wholePanels = (p.columns - j) / panelColumns
    if rows == 1 && wholePanels > 1 {
      let panels = wholePanels < 4 ? 2 : 4
      multiplyRow(panels: panels, operands, panelStride: p.depth * panelColumns, c)
      j += panels * panelColumns
    } else {
      multiplyRows(rows, p.columns - j, operands, c, p.cStride)
      j += panelColumns
    }
  }
}

/// Any number of rows by one panel, of which `columns` exist.
func multiplyRows(
  _ rows: Int, _ columns: Int, _ operands: TileOperands, _ c: MutableFloats, _ cStride: Int
) {
  var t = operands
  // Tiles of nearly equal heights: a last tile of one row would wait for its own sums.
  var tiles = (rows + tileRows - 1) / tileRows
  var r = 0
  while r < rows {
    let height = (rows - r + tiles - 1) / tiles
    tiles -= 1
    t.a = operands.a + r * operands.aRowStride
    t.start = operands.start + r * operands.startStride
    if columns >= panelColumns {
      multiplyTile(height, t, c + r * cStride, cStride)
    } else {
      multiplyRaggedTile(height, columns, t, c + r * cStride, cStride)
    }
    r += height
  }
}
