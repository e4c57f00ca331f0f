import KernelInterface

/// Rows of B per block: a block of a panel stays in L1 while the rows of A pass by.
private let depthBlock = 256
/// Rows of A per block: they stay in L2 while the panels pass by.
private let rowBlock = 20 * tileRows

func product(_ arguments: UnsafePointer<ProductArguments>) {
  let p = arguments.pointee
  if !p.accumulates { initialise(p) }
  var k = 0
  while k < p.depth {
    let depth = p.depth - k < depthBlock ? p.depth - k : depthBlock
    var m = 0
    while m < p.rows {
      let rows = p.rows - m < rowBlock ? p.rows - m : rowBlock
      var panel = 0
      while panel * panelColumns < p.columns {
        let j = panel * panelColumns
        multiplyRows(
          rows, p.columns - j,
          TileOperands(
            a: p.a + m * p.aStride + k, aRowStride: p.aStride, aDepthStride: 1,
            b: p.b + j * p.depth + k * panelColumns, depth: depth),
          p.c + m * p.cStride + j, p.cStride)
        panel += 1
      }
      m += rows
    }
    k += depth
  }
}

/// Any number of rows by one panel, of which `columns` exist.
func multiplyRows(
  _ rows: Int, _ columns: Int, _ operands: TileOperands, _ c: MutableFloats, _ cStride: Int
) {
  var t = operands
  var r = 0
  while r < rows {
    let height = rows - r < tileRows ? rows - r : tileRows
    t.a = operands.a + r * operands.aRowStride
    if columns >= panelColumns {
      multiplyTile(height, t, c + r * cStride, cStride)
    } else {
      multiplyRaggedTile(height, columns, t, c + r * cStride, cStride)
    }
    r += height
  }
}

private func initialise(_ p: ProductArguments) {
  for row in 0..<p.rows {
    let c = p.c + row * p.cStride
    if let bias = p.bias {
      for j in 0..<p.columns { c[j] = bias[j] }
    } else {
      for j in 0..<p.columns { c[j] = 0 }
    }
  }
}
