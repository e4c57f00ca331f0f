// The micro-kernel under every matrix product: a tile of C, at most `tileRows` rows by one panel
// (two vectors), stays in registers while k runs.

#if KERNELS_AVX512
  /// 12 x 2 accumulators, 2 vectors of B and 1 of A fit the 32 registers.
  let tileRows = 12
#else
  let tileRows = 6
#endif

@inline(always) var panelColumns: Int { 2 * lanes }

/// Calls `step` so often. The compiler leaves loops as large as a tile's as they are; counting and adding to pointers are
/// then a fifth of their instructions, which is felt when a neighbour shares the core. With AVX-512 a k has twice as many
/// multiply-adds to count for, and four of them run out of registers for addresses.
@inline(always) func unrolled(_ count: Int, _ step: () -> Void) {
  var rest = count
  #if !KERNELS_AVX512
    while rest >= 4 {
      step()
      step()
      step()
      step()
      rest -= 4
    }
  #endif
  while rest > 0 {
    step()
    rest -= 1
  }
}

/// Where a tile's operands are. The sums of row r start from what is at `r * startStride`: C itself, or with stride 0
/// one row for all.
struct TileOperands {
  var start: Floats
  var startStride: Int
  var a: TileRows
  /// Panel of B: row k at `k * panelColumns`.
  var b: Floats
  var depth: Int
  /// Of tiles that have time for one.
  var errand = TileErrand.none
}

/// What a tile does beside its products, a little with each k: multiplications leave the processor time to load and to
/// store.
enum TileErrand {
  case none
  /// Asks for what is needed next, and goes on by so many bytes with each k.
  case asks(UnsafeRawPointer, bytes: Int)
  /// Copies a vector, from rows `stride` floats apart to rows `toStride` floats apart. Of packed tiles only.
  case copies(Floats, stride: Int, to: MutableFloats, toStride: Int)
}

/// Tiles of less than half the height have no time for more than what they load.
@inline(always) func hasTimeForErrands(rows: Int) -> Bool { 2 * rows >= tileRows }

/// A tile's rows of A: element (r, k) at `r * stride + k`, or packed at `k * tileRows + r`.
struct TileRows {
  /// Row 0, and where every third row after it begins. Given and not computed by the tile: from one base alone the
  /// compiler would go from row to row, with an addition for each.
  private(set) var first: Floats
  private var row3: Floats
  private var row6: Floats
  private var row9: Floats
  /// 0 if all rows are the same, or if they are packed.
  let stride: Int
  let isPacked: Bool

  @inline(always) init(_ a: Floats, stride: Int, isPacked: Bool = false) {
    self.isPacked = isPacked
    first = a
    row3 = a + 3 * stride
    row6 = a + 6 * stride
    row9 = a + 9 * stride
    self.stride = stride
  }

  @inline(always) init(packed a: Floats) { self.init(a, stride: 0, isPacked: true) }

  /// From `rows` rows on.
  @inline(always) func after(_ rows: Int) -> TileRows {
    TileRows(first + rows * stride, stride: stride)
  }

  /// Element (r, 0).
  @inline(always) func at(_ r: Int, isPacked: Bool) -> Float {
    if isPacked { return first[r] }
    if r < 3 { return first[r * stride] }
    if r < 6 { return row3[(r - 3) * stride] }
    return r < 9 ? row6[(r - 6) * stride] : row9[(r - 9) * stride]
  }

  /// To the next k.
  @inline(always) mutating func advance(isPacked: Bool) {
    let step = isPacked ? tileRows : 1
    first += step
    row3 += step
    row6 += step
    row9 += step
  }
}

/// One row of a tile.
struct TileRow {
  var left: Vector
  var right: Vector

  @inline(always) init(_ start: Floats) {
    left = load(start)
    right = load(start + lanes)
  }

  /// Only the left half of a row.
  @inline(always) init(left start: Floats) {
    left = load(start)
    right = left
  }

  @inline(always) mutating func add(_ a: Float, _ b0: Vector, _ b1: Vector) {
    left = fma(splat(a), b0, left)
    right = fma(splat(a), b1, right)
  }

  @inline(always) func write(_ c: MutableFloats) {
    store(left, c)
    store(right, c + lanes)
  }
}

/// C tile = start + A B. All but the operands are literals at every call, so that the conditions fold away.
///
/// - Parameters:
///   - isHalf: only the left vector of the panel.
///   - alongside: called with each k.
@inline(always) private func tile(
  rows: Int, isPacked: Bool, isHalf: Bool = false, _ t: TileOperands, _ c: MutableFloats,
  _ cStride: Int, alongside: () -> Void = {}
) {
  @inline(always) func row(_ r: Int) -> TileRow {
    let start = t.start + (r < rows ? r : 0) * t.startStride
    return isHalf ? TileRow(left: start) : TileRow(start)
  }
  var r0 = row(0)
  var r1 = row(1)
  var r2 = row(2)
  var r3 = row(3)
  var r4 = row(4)
  var r5 = row(5)
  #if KERNELS_AVX512
    var r6 = row(6)
    var r7 = row(7)
    var r8 = row(8)
    var r9 = row(9)
    var r10 = row(10)
    var r11 = row(11)
  #endif
  var a = t.a
  var b = t.b
  @inline(always) func step() {
    alongside()
    let b0 = load(b)
    let b1 = isHalf ? b0 : load(b + lanes)
    r0.add(a.at(0, isPacked: isPacked), b0, b1)
    if rows > 1 { r1.add(a.at(1, isPacked: isPacked), b0, b1) }
    if rows > 2 { r2.add(a.at(2, isPacked: isPacked), b0, b1) }
    if rows > 3 { r3.add(a.at(3, isPacked: isPacked), b0, b1) }
    if rows > 4 { r4.add(a.at(4, isPacked: isPacked), b0, b1) }
    if rows > 5 { r5.add(a.at(5, isPacked: isPacked), b0, b1) }
    #if KERNELS_AVX512
      if rows > 6 { r6.add(a.at(6, isPacked: isPacked), b0, b1) }
      if rows > 7 { r7.add(a.at(7, isPacked: isPacked), b0, b1) }
      if rows > 8 { r8.add(a.at(8, isPacked: isPacked), b0, b1) }
      if rows > 9 { r9.add(a.at(9, isPacked: isPacked), b0, b1) }
      if rows > 10 { r10.add(a.at(10, isPacked: isPacked), b0, b1) }
      if rows > 11 { r11.add(a.at(11, isPacked: isPacked), b0, b1) }
    #endif
    a.advance(isPacked: isPacked)
    b += panelColumns
  }
  unrolled(t.depth, step)
  @inline(always) func end(_ r: Int, _ row: TileRow) {
    guard r < rows else { return }
    if isHalf { store(row.left, c + r * cStride) } else { row.write(c + r * cStride) }
  }
  end(0, r0)
  end(1, r1)
  end(2, r2)
  end(3, r3)
  end(4, r4)
  end(5, r5)
  #if KERNELS_AVX512
    end(6, r6)
    end(7, r7)
    end(8, r8)
    end(9, r9)
    end(10, r10)
    end(11, r11)
  #endif
}

/// C tile = start + A B for 1 ... `tileRows` rows of whole panels, or of their left halves.
func multiplyTile(
  _ rows: Int, isHalf: Bool = false, _ t: TileOperands, _ c: MutableFloats, _ cStride: Int
) {
  if t.a.isPacked {
    multiplyTile(rows, isPacked: true, isHalf: isHalf, t, c, cStride)
  } else {
    multiplyTile(rows, isPacked: false, isHalf: isHalf, t, c, cStride)
  }
}

@inline(always) private func multiplyTile(
  _ rows: Int, isPacked: Bool, isHalf: Bool, _ t: TileOperands, _ c: MutableFloats, _ cStride: Int
) {
  @inline(always) func multiply(rows: Int) {
    if isHalf { return tile(rows: rows, isPacked: isPacked, isHalf: true, t, c, cStride) }
    guard hasTimeForErrands(rows: rows) else {
      return tile(rows: rows, isPacked: isPacked, t, c, cStride)
    }
    switch t.errand {
    case .asks(var next, let bytes):
      tile(rows: rows, isPacked: isPacked, t, c, cStride) {
        prefetch(next)
        next += bytes
      }
    case .copies(var from, let stride, var to, let toStride) where isPacked:
      tile(rows: rows, isPacked: isPacked, t, c, cStride) {
        store(load(from), to)
        from += stride
        to += toStride
      }
    case .none, .copies: tile(rows: rows, isPacked: isPacked, t, c, cStride)
    }
  }
  switch rows {
  case 1: multiply(rows: 1)
  case 2: multiply(rows: 2)
  case 3: multiply(rows: 3)
  case 4: multiply(rows: 4)
  case 5: multiply(rows: 5)
  #if KERNELS_AVX512
    case 6: multiply(rows: 6)
    case 7: multiply(rows: 7)
    case 8: multiply(rows: 8)
    case 9: multiply(rows: 9)
    case 10: multiply(rows: 10)
    case 11: multiply(rows: 11)
  #endif
  default: multiply(rows: tileRows)
  }
}

/// The same where C ends within the panel: in a tile of its own, of which `columns` are kept.
func multiplyRaggedTile(
  _ rows: Int, _ columns: Int, _ t: TileOperands, _ c: MutableFloats, _ cStride: Int
) {
  if columns == lanes { return multiplyTile(rows, isHalf: true, t, c, cStride) }
  let leftCount = columns < lanes ? columns : lanes
  let rightCount = columns - leftCount
  var sums = TileSums()
  withUnsafeMutablePointer(to: &sums) { sums in
    let tile = aligned(sums)
    var whole = t
    whole.start = Floats(tile)
    whole.startStride = panelColumns
    for r in 0..<rows {
      let row = t.start + r * t.startStride
      store(load(row, upTo: leftCount), tile + r * panelColumns)
      store(load(row + leftCount, upTo: rightCount), tile + r * panelColumns + lanes)
    }
    multiplyTile(rows, isHalf: columns <= lanes, whole, tile, panelColumns)
    for r in 0..<rows {
      let row = c + r * cStride
      store(load(tile + r * panelColumns), row, upTo: leftCount)
      store(load(tile + r * panelColumns + lanes), row + leftCount, upTo: rightCount)
    }
  }
}

/// One row of A, not packed, by two or four whole panels at once: one panel would wait for its own sums.
/// `panelStride` is the distance of the panels.
func multiplyRow(panels: Int, _ t: TileOperands, panelStride: Int, _ c: MutableFloats) {
  if panels == 4 {
    row(panels: 4, t, panelStride, c)
  } else {
    row(panels: 2, t, panelStride, c)
  }
}

@inline(__always) private func row(
  panels: Int, _ t: TileOperands, _ panelStride: Int, _ c: MutableFloats
) {
  @inline(__always) func sums(_ panel: Int) -> TileRow {
    TileRow(t.start + (panel < panels ? panel : 0) * panelColumns)
  }
  var r0 = sums(0)
  var r1 = sums(1)
  var r2 = sums(2)
  var r3 = sums(3)
  var a = t.a.first
  var b = t.b
  for _ in 0..<t.depth {
    r0.add(a[0], load(b), load(b + lanes))
    r1.add(a[0], load(b + panelStride), load(b + panelStride + lanes))
    if panels > 2 {
      r2.add(a[0], load(b + 2 * panelStride), load(b + 2 * panelStride + lanes))
      r3.add(a[0], load(b + 3 * panelStride), load(b + 3 * panelStride + lanes))
    }
    a += 1
    b += panelColumns
  }
  r0.write(c)
  r1.write(c + panelColumns)
  if panels > 2 {
    r2.write(c + 2 * panelColumns)
    r3.write(c + 3 * panelColumns)
  }
}
