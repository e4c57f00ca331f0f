// The micro-kernels of panels of pairs: one instruction (two, where the processor has no better) multiplies a pair
// of ks of a vector of columns by a pair of activations and adds both products to that vector's sums.

/// Most rows of a tile: each has four vectors of sums.
@inline(always) var pairTileRows: Int { lanes == 16 ? 6 : 2 }

/// The same of int8, whose weights are widened in each tile. Where one instruction does the rest, that is worth having more rows
/// take half of the panel at a time (TallTile.swift).
@inline(always) var byteTileRows: Int { pairsBrainFloats ? 12 : pairTileRows }

/// Rows of an int8 panel (pairs of ks) whose sums fit 32 bits: 256 · 2 · 128 · 32767 < 2³¹.
let exactPairs = 256

@inline(always) func multiplyPairs(
  _ panel: ReducedPanel, rows: Int, panels: Int, _ t: ReducedOperands, _ z: MutableFloats,
  _ zNext: Int
) {
  if panels == 2 {
    pairTile(panel, rows: 1, panels: 2, t, z, zNext)
  } else if byteTileRows > pairTileRows && panel == .int8 && rows > pairTileRows {
    multiplyTall(rows: rows, t, z, zNext)
  } else if pairTileRows > 2 && rows == 6 {
    pairTile(panel, rows: 6, panels: 1, t, z, zNext)
  } else if pairTileRows > 2 && rows == 5 {
    pairTile(panel, rows: 5, panels: 1, t, z, zNext)
  } else if pairTileRows > 2 && rows == 4 {
    pairTile(panel, rows: 4, panels: 1, t, z, zNext)
  } else if pairTileRows > 2 && rows == 3 {
    pairTile(panel, rows: 3, panels: 1, t, z, zNext)
  } else if rows == 2 {
    pairTile(panel, rows: 2, panels: 1, t, z, zNext)
  } else {
    pairTile(panel, rows: 1, panels: 1, t, z, zNext)
  }
}

/// The weights of a pair of ks.
private struct PairWeights {
  var v0: Pairs
  var v1: Pairs
  var v2: Pairs
  var v3: Pairs

  @inline(always) init(_ panel: ReducedPanel, _ w: Bytes) {
    @inline(always) func vector(_ index: Int) -> Pairs {
      panel == .int8 ? loadBytes(w + index * 2 * lanes) : pairs(loadBits(w + index * 4 * lanes))
    }
    v0 = vector(0)
    v1 = vector(1)
    v2 = vector(2)
    v3 = vector(3)
  }
}

/// The sums of a row or panel: whole numbers (int8), or the bits of floats.
private struct PairSums {
  var v0 = splat(bits: 0)
  var v1 = splat(bits: 0)
  var v2 = splat(bits: 0)
  var v3 = splat(bits: 0)

  @inline(always) init(_ panel: ReducedPanel, _ start: ReducedStart, _ member: Int) {
    guard panel != .int8 else { return }
    v0 = bits(start.vector(member, 0))
    v1 = bits(start.vector(member, 1))
    v2 = bits(start.vector(member, 2))
    v3 = bits(start.vector(member, 3))
  }

  @inline(always) mutating func add(
    _ panel: ReducedPanel, _ x: Pairs, _ w: PairWeights, waits: Bool = false
  ) {
    if panel == .int8 {
      v0 = addPairs(w.v0, x, v0, waits: waits)
      v1 = addPairs(w.v1, x, v1, waits: waits)
      v2 = addPairs(w.v2, x, v2, waits: waits)
      v3 = addPairs(w.v3, x, v3, waits: waits)
    } else {
      v0 = addBrainPairs(w.v0, x, v0)
      v1 = addBrainPairs(w.v1, x, v1)
      v2 = addBrainPairs(w.v2, x, v2)
      v3 = addBrainPairs(w.v3, x, v3)
    }
  }

  @inline(always) func write(
    _ panel: ReducedPanel, _ member: Int, _ rowScale: Floats, _ scales: Floats,
    _ start: ReducedStart, _ z: MutableFloats
  ) {
    @inline(always) func write(_ b: Int, _ sums: Bits) {
      if panel == .int8 {
        writeScaled(sums, rowScale, scales + b * lanes, start.vector(member, b), z + b * lanes)
      } else {
        store(float(sums), z + b * lanes)
      }
    }
    write(0, v0)
    write(1, v1)
    write(2, v2)
    write(3, v3)
  }
}

/// z = start + sums · row's scale · columns' scales.
@inline(always) func writeScaled(
  _ sums: Bits, _ rowScale: Floats, _ scales: Floats, _ start: Vector, _ z: MutableFloats
) {
  store(fma(number(sums), splat(rowScale.pointee) * load(scales), start), z)
}

/// A pair of activations, for every column.
@inline(always) func activations(_ a: Bytes) -> Pairs {
  pairs(splat(bits: a.load(as: UInt32.self)))
}

@inline(always) private func pairTile(
  _ panel: ReducedPanel, rows: Int, panels: Int, _ t: ReducedOperands, _ z: MutableFloats,
  _ zNext: Int
) {
  let members = rows * panels
  var a = t.a
  var w = t.weights
  var rest = t.depth
  var start = ReducedStart(t, z, zNext)
  var ahead = t.next ?? UnsafeRawPointer(w)
  repeat {
    let depth = panel == .int8 && rest > exactPairs ? exactPairs : rest
    var s0 = PairSums(panel, start, 0)
    var s1 = members > 1 ? PairSums(panel, start, 1) : s0
    var s2 = members > 2 ? PairSums(panel, start, 2) : s0
    var s3 = members > 3 ? PairSums(panel, start, 3) : s0
    var s4 = members > 4 ? PairSums(panel, start, 4) : s0
    var s5 = members > 5 ? PairSums(panel, start, 5) : s0
    for _ in 0..<depth {
      if rows > 1 && 2 * rows >= pairTileRows {
        prefetch(ahead)
        ahead += t.nextBytes
      }
      let weights = PairWeights(panel, w)
      let x = activations(a)
      s0.add(panel, x, weights, waits: rows == 1)
      if panels > 1 { s1.add(panel, x, PairWeights(panel, w + t.panelStride), waits: true) }
      if rows > 1 { s1.add(panel, activations(a + t.aStride), weights) }
      if rows > 2 { s2.add(panel, activations(a + 2 * t.aStride), weights) }
      if rows > 3 { s3.add(panel, activations(a + 3 * t.aStride), weights) }
      if rows > 4 { s4.add(panel, activations(a + 4 * t.aStride), weights) }
      if rows > 5 { s5.add(panel, activations(a + 5 * t.aStride), weights) }
      a += 4
      w += panel.rowBytes
    }
    let scale = t.rowScales
    s0.write(panel, 0, scale, t.scales, start, z)
    if panels > 1 { s1.write(panel, 1, scale, t.scales + reducedColumns, start, z + zNext) }
    if rows > 1 { s1.write(panel, 1, scale + 1, t.scales, start, z + zNext) }
    if rows > 2 { s2.write(panel, 2, scale + 2, t.scales, start, z + 2 * zNext) }
    if rows > 3 { s3.write(panel, 3, scale + 3, t.scales, start, z + 3 * zNext) }
    if rows > 4 { s4.write(panel, 4, scale + 4, t.scales, start, z + 4 * zNext) }
    if rows > 5 { s5.write(panel, 5, scale + 5, t.scales, start, z + 5 * zNext) }
    rest -= depth
    start = ReducedStart(z, zNext)
  } while rest > 0
}
