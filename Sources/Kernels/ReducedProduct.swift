import KernelInterface

/// Rows of a panel per block: 32 KiB on AVX-512, which stay near while the rows of A pass by. For int8 no other number
/// would do: blocks are where exact sums become floats.
@inline(always) private func depthBlock(_ panel: ReducedPanel) -> Int {
  panel == .int8 || panel == .bfloat16 ? exactPairs : exactPairs / 2
}

/// Rows of A per block. What is made for a block, a widened panel or the codes of the rows, is worth its making for as
/// many rows as there are.
@inline(always) private func rowBlock(_ panel: ReducedPanel) -> Int { panel == .bfloat16 ? 24 : 96 }

/// `product` for weights in reduced precision: `b` points to their codes. Without a bias the sums of a row start from
/// `zeros`.
func reducedProduct(_ p: ProductArguments, _ zeros: Floats) {
  var panel = ReducedPanel(p.format)
  if panel == .bfloat16 && p.rows >= rowsWorthWidening { panel = .widened }
  let rows = p.rows < rowBlock(panel) ? p.rows : rowBlock(panel)
  let bytes =
    panel.isPaired
    ? rows * (4 * depthBlock(panel) + 4)
    : panel == .widened ? 4 * reducedColumns * depthBlock(panel) : 0
  withScratch(bytes: bytes) { multiplyBlocks(p, panel, rows, zeros, $0) }
}

private func multiplyBlocks(
  _ p: ProductArguments, _ panel: ReducedPanel, _ rowBlock: Int, _ zeros: Floats,
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
    if panel == .int8 {
      for r in 0..<rows { rowScales[r] = rowScale(p.depth, p.a + (m + r) * p.aStride) }
    }
    var k = 0
    // At least once: without any k, C is what the sums start from.
    repeat {
      let count = depth - k < block ? depth - k : block
      let a = p.a + m * p.aStride + perRow * k
      var t = ReducedOperands(
        a: Bytes(a), aStride: 4 * p.aStride, rowScales: Floats(rowScales),
        weights: Bytes(p.b) + k * panel.rowBytes, panelStride: depth * panel.rowBytes,
        scales: p.scales ?? p.a, depth: count)
      if k == 0 && !p.accumulates { t.start = p.bias ?? zeros }
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
    } while k < depth
    m += rows
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
    if p.bias != nil { t.start = t.start.map { $0 + j } }
    let c = p.c + m * p.cStride + j
    let columns = p.columns - j
    if rows == 1 && panel != .widened && columns >= 2 * reducedColumns {
      if p.bias != nil { t.startNext = reducedColumns }
      multiplyReduced(panel, rows: 1, panels: 2, t, c, reducedColumns)
      j += 2 * reducedColumns
      continue
    }
    if panel == .widened {
      widen(t.weights, depth: t.depth, ReducedLayout.vectors, scratch)
      t.weights = Bytes(scratch)
    }
    let tiles = Tiles(rows, most: most)
    let isFar = p.columns / reducedColumns * t.panelStride > nearBytes
    var ahead = BytesAhead(
      panel.isPaired && isFar && j + reducedColumns < p.columns ? t.weights + t.panelStride : nil,
      t.depth * panel.rowBytes, tiles: tiles.count, depth: t.depth)
    var r = 0
    for tile in 0..<tiles.count {
      let height = tiles.height(tile)
      t.a = operands.a + r * operands.aStride
      if panel == .int8 { t.rowScales = operands.rowScales + r }
      if let request = ahead.take() { (t.next, t.nextBytes) = request } else { t.nextBytes = 0 }
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
  /// Calls with a row, and a vector's place in it and length.
  @inline(always) func forEachVector(_ body: (Int, Int, Int) -> Void) {
    for r in 0..<rows {
      var j = 0
      while j < columns {
        body(r, j, columns - j < lanes ? columns - j : lanes)
        j += lanes
      }
    }
  }
  withScratch(bytes: mostTileRows * 16 * lanes) { scratch in
    let tile = scratch.assumingMemoryBound(to: Float.self)
    for j in 0..<(rows * 4) { store(splat(0), tile + j * lanes) }
    let start = ReducedStart(t, c, cStride)
    forEachVector { r, j, count in
      store(
        load(start.first + r * start.next + j, upTo: count), tile + r * reducedColumns + j)
    }
    var own = t
    own.start = nil
    multiplyReduced(panel, rows: rows, panels: 1, own, tile, reducedColumns)
    forEachVector { r, j, count in
      store(load(tile + r * reducedColumns + j), c + r * cStride + j, upTo: count)
    }
  }
}
