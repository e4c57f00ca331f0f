// The micro-kernel of int8 in batches: 7 ... 12 rows by half a panel at a time. As many sums as 6 rows by a whole
// one, and half as many weights to widen, which takes one of the units that multiply.

/// Sums of two rows, whole numbers.
private struct TwoRows {
  var a0 = splat(bits: 0)
  var a1 = splat(bits: 0)
  var b0 = splat(bits: 0)
  var b1 = splat(bits: 0)

  /// Rows `first` and, if the tile has it, the next.
  @inline(always) mutating func add(
    _ first: Int, of rows: Int, _ a: Bytes, _ stride: Int, _ w0: Pairs, _ w1: Pairs
  ) {
    guard first < rows else { return }
    let x = activations(a + first * stride)
    a0 = addPairs(w0, x, a0, waits: false)
    a1 = addPairs(w1, x, a1, waits: false)
    guard first + 1 < rows else { return }
    let y = activations(a + (first + 1) * stride)
    b0 = addPairs(w0, y, b0, waits: false)
    b1 = addPairs(w1, y, b1, waits: false)
  }

  @inline(always) func write(
    _ first: Int, of rows: Int, _ rowScales: Floats, _ scales: Floats, _ start: ReducedStart,
    _ z: MutableFloats, _ zNext: Int
  ) {
    @inline(always) func write(_ row: Int, _ sums0: Bits, _ sums1: Bits) {
      guard row < rows else { return }
      let z = z + row * zNext
      writeScaled(sums0, rowScales + row, scales, start.vector(row, 0), z)
      writeScaled(sums1, rowScales + row, scales + lanes, start.vector(row, 1), z + lanes)
    }
    write(first, a0, a1)
    write(first + 1, b0, b1)
  }
}

func multiplyTall(rows: Int, _ t: ReducedOperands, _ z: MutableFloats, _ zNext: Int) {
  switch rows {
  case 7: tallTile(rows: 7, t, z, zNext)
  case 8: tallTile(rows: 8, t, z, zNext)
  case 9: tallTile(rows: 9, t, z, zNext)
  case 10: tallTile(rows: 10, t, z, zNext)
  case 11: tallTile(rows: 11, t, z, zNext)
  default: tallTile(rows: 12, t, z, zNext)
  }
}

@inline(always) private func tallTile(
  rows: Int, _ t: ReducedOperands, _ z: MutableFloats, _ zNext: Int
) {
  for half in 0..<2 {
    let column = half * 2 * lanes
    let (scales, z) = (t.scales + column, z + column)
    var start = ReducedStart(t, z, zNext)
    if t.start != nil { start.first += half * 2 * start.block }
    var a = t.a
    var w = t.weights + 2 * column
    var rest = t.depth
    // The first half asks for everything.
    var ahead = t.next ?? UnsafeRawPointer(w)
    let nextBytes = half == 0 ? t.nextBytes : 0
    repeat {
      let depth = rest > exactPairs ? exactPairs : rest
      var s0 = TwoRows()
      var s1 = TwoRows()
      var s2 = TwoRows()
      var s3 = TwoRows()
      var s4 = TwoRows()
      var s5 = TwoRows()
      for _ in 0..<depth {
        prefetch(ahead)
        ahead += nextBytes
        let w0 = loadBytes(w)
        let w1 = loadBytes(w + 2 * lanes)
        s0.add(0, of: rows, a, t.aStride, w0, w1)
        s1.add(2, of: rows, a, t.aStride, w0, w1)
        s2.add(4, of: rows, a, t.aStride, w0, w1)
        s3.add(6, of: rows, a, t.aStride, w0, w1)
        s4.add(8, of: rows, a, t.aStride, w0, w1)
        s5.add(10, of: rows, a, t.aStride, w0, w1)
        a += 4
        w += ReducedPanel.int8.rowBytes
      }
      @inline(always) func write(_ sums: TwoRows, _ first: Int) {
        sums.write(first, of: rows, t.rowScales, scales, start, z, zNext)
      }
      write(s0, 0)
      write(s1, 2)
      write(s2, 4)
      write(s3, 6)
      write(s4, 8)
      write(s5, 10)
      rest -= depth
      start = ReducedStart(z, zNext)
    } while rest > 0
  }
}
