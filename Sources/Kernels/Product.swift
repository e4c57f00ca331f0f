import KernelInterface

/// Rows of B per block: a block of a panel stays in the nearest cache while the rows of A pass by.
private let depthBlock = 256
/// Rows of A per block: it and its rows of C stay in the next cache while the panels pass by.
private let rowBlock = 20 * tileRows

func product(_ arguments: UnsafePointer<ProductArguments>) {
  let p = arguments.pointee
  var m = 0
  while m < p.rows {
    let rows = p.rows - m < rowBlock ? p.rows - m : rowBlock
    if !p.accumulates { initialise(p, m, rows) }
    var k = 0
    while k < p.depth {
      let depth = p.depth - k < depthBlock ? p.depth - k : depthBlock
      var j = 0
      while j < p.columns {
        let operands = TileOperands(
          a: p.a + m * p.aStride + k, aRowStride: p.aStride, aDepthStride: 1,
          b: p.b + j * p.depth + k * panelColumns, depth: depth)
        let c = p.c + m * p.cStride + j
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
      k += depth
    }
    m += rows
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
    if columns >= panelColumns {
      multiplyTile(height, t, c + r * cStride, cStride)
    } else {
      multiplyRaggedTile(height, columns, t, c + r * cStride, cStride)
    }
    r += height
  }
}

/// What the sums of some rows start from: the bias, or 0.
private func initialise(_ p: ProductArguments, _ first: Int, _ rows: Int) {
  for row in first..<(first + rows) {
    let c = p.c + row * p.cStride
    var j = 0
    while j < p.columns {
      let count = p.columns - j < lanes ? p.columns - j : lanes
      store(p.bias.map { load($0 + j, upTo: count) } ?? splat(0), c + j, upTo: count)
      j += count
    }
  }
}
