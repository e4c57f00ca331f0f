import KernelInterface

/// Rows of D that are packed at a time.
private let outerRowBlock = 256

/// Floats of scratch: one packed panel of D.
var outerProductScratch: Int { outerRowBlock * panelColumns }

func outerProduct(_ arguments: UnsafePointer<OuterProductArguments>) {
  let p = arguments.pointee
  var m = 0
  while m < p.rows {
    let rows = p.rows - m < outerRowBlock ? p.rows - m : outerRowBlock
    var j = 0
    while j < p.columns {
      let columns = p.columns - j < panelColumns ? p.columns - j : panelColumns
      pack(rows, columns, p.d + m * p.dStride + j, p.dStride, p.scratch)
      multiplyRows(
        p.depth, columns,
        TileOperands(
          start: Floats(p.c + j), startStride: p.cStride, a: p.a + m * p.aStride, aRowStride: 1,
          aDepthStride: p.aStride,
          b: Floats(p.scratch), depth: rows),
        p.c + j, p.cStride)
      j += panelColumns
    }
    m += rows
  }
}

/// Lays rows of at most one panel's width side by side, missing columns 0.
private func pack(
  _ rows: Int, _ columns: Int, _ source: Floats, _ stride: Int, _ panel: MutableFloats
) {
  for row in 0..<rows {
    let from = source + row * stride
    let to = panel + row * panelColumns
    if columns == panelColumns {
      store(load(from), to)
      store(load(from + lanes), to + lanes)
    } else {
      for j in 0..<panelColumns { to[j] = j < columns ? from[j] : 0 }
    }
  }
}
