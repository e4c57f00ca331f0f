import KernelInterface

/// Rows of a panel per block: 32 KiB on AVX-512, which stay near while the rows of A pass by. For int8 no other number
/// would do: blocks are where exact sums become floats.
@inline(always) private func depthBlock(_ panel: ReducedPanel) -> Int {
  panel == .int8 || panel == .bfloat16 ? exactPairs : exactPairs / 2
}

/// Rows of A per block. What is made for a block, a widened panel or the codes of the rows, is worth its making for as
/// many rows as there are.
@inline(always) private func rowBlock(_ panel: ReducedPanel) -> Int { panel == .bfloat16 ? 24 : 96 }

/// `product` for weights in reduced precision: `b` points to their codes.
func reducedProduct(_ p: ProductArguments) {
  var panel = ReducedPanel(p.format)
  if panel == .bfloat16 && p.rows >= rowsWorthWidening { panel = .widened }
  let rows = p.rows < rowBlock(panel) ? p.rows : rowBlock(panel)
  let bytes =
    panel.isPaired
    ? rows * (4 * depthBlock(panel) + 4)
    : panel == .widened ? 4 * reducedColumns * depthBlock(panel) : 0
  withScratch(bytes: bytes) { multiplyBlocks(p, panel, rows, $0) }
}

private func multiplyBlocks(
  _ p: ProductArguments, _ panel: ReducedPanel, _ rowBlock: Int,
  _ scratch: UnsafeMutableRawPointer
) {
  let block = depthBlock(panel)
  let codes = scratch.assumingMemoryBound(to: Int16.self)
  let rowScales = (scratch + rowBlock * 4 * block).assumingMemoryBound(to: Float.self)
  let perRow = panel.isPaired ? 2 : 1
  let depth = panel.isPaired ? (p.depth + 1) / 2 : p.depth
  var m = 0
  while m < p.rows {
    let rows = p.rows - m < rowBlock ? p.rows - m : rowBlock
    if !p.accumulates { begin(p, m, rows) }
    if panel == .int8 {
      for r in 0..<rows { rowScales[r] = rowScale(p.depth, p.a + (m + r) * p.aStride) }
    }
    var k = 0
    while k < depth {
      let count = depth - k < block ? depth - k : block
      let a = p.a + m * p.aStride + perRow * k
      var t = ReducedOperands(
        a: Bytes(a), aStride: 4 * p.aStride, rowScales: Floats(rowScales),
        weights: Bytes(p.b) + k * panel.rowBytes, panelStride: depth * panel.rowBytes,
        scales: p.scales ?? p.a, depth: count)
      if panel.isPaired {
        let width = p.depth - 2 * k < 2 * count ? p.depth - 2 * k : 2 * count
        for r in 0..<rows {
          let (x, own) = (a + r * p.aStride, codes + r * 2 * block)
          encode(panel, width, x, panel == .int8 ? rowScales[r] : 0, own)
        }
        t.a = Bytes(codes)
        t.aStride = 4 * block
      }
      multiplyPanels(p, panel, m, rows, t, scratch.assumingMemoryBound(to: Float.self))
      k += count
    }
    m += rows
  }
}

/// What the sums of some rows start from: the bias, or 0.
private func begin(_ p: ProductArguments, _ first: Int, _ rows: Int) {
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

/// One block of rows and ks by all panels.
private func multiplyPanels(
  _ p: ProductArguments, _ panel: ReducedPanel, _ m: Int, _ rows: Int,
  _ operands: ReducedOperands, _ scratch: MutableFloats
) {
  let most = panel.tileRows
  var j = 0
  while j < p.columns {
    var t = operands
    t.weights += j / reducedColumns * t.panelStride
    if panel == .int8 { t.scales += j }
    let c = p.c + m * p.cStride + j
    let columns = p.columns - j
    if rows == 1 && panel != .widened && columns >= 2 * reducedColumns {
      multiplyReduced(panel, rows: 1, panels: 2, t, c, reducedColumns)
      j += 2 * reducedColumns
      continue
    }
    if panel == .widened {
      widen(t.weights, depth: t.depth, ReducedLayout.vectors, scratch)
      t.weights = Bytes(scratch)
    }
    var tiles = (rows + most - 1) / most
    var r = 0
    while r < rows {
      let height = (rows - r + tiles - 1) / tiles
      tiles -= 1
      t.a = operands.a + r * operands.aStride
      if panel == .int8 { t.rowScales = operands.rowScales + r }
      let z = c + r * p.cStride
      if columns >= reducedColumns {
        multiplyReduced(panel, rows: height, panels: 1, t, z, p.cStride)
      } else {
        multiplyRagged(panel, height, columns, t, z, p.cStride)
      }
      r += height
    }
    j += reducedColumns
  }
}

/// The same where C ends within the panel: in a tile of its own, of which `columns` are kept.
private func multiplyRagged(
  _ panel: ReducedPanel, _ rows: Int, _ columns: Int, _ t: ReducedOperands, _ c: MutableFloats,
  _ cStride: Int
) {
  @inline(always) func forEachVector(
    _ tile: MutableFloats, _ body: (MutableFloats, MutableFloats, Int) -> Void
  ) {
    for r in 0..<rows {
      var j = 0
      while j < columns {
        let count = columns - j < lanes ? columns - j : lanes
        body(tile + r * reducedColumns + j, c + r * cStride + j, count)
        j += lanes
      }
    }
  }
  withScratch(bytes: mostTileRows * 16 * lanes) { scratch in
    let tile = scratch.assumingMemoryBound(to: Float.self)
    for j in 0..<(rows * 4) { store(splat(0), tile + j * lanes) }
    forEachVector(tile) { store(load($1, upTo: $2), $0) }
    multiplyReduced(panel, rows: rows, panels: 1, t, tile, reducedColumns)
    forEachVector(tile) { store(load($0), $1, upTo: $2) }
  }
}
