// The micro-kernels of panels of pairs: one instruction (two, where the processor has no better) multiplies a pair
// of ks of a vector of columns by a pair of activations and adds both products to that vector's sums.

/// Most rows of a tile: each has four vectors of sums.
@inline(always) var pairTileRows: Int { lanes == 16 ? 6 : 2 }

/// Rows of an int8 panel (pairs of ks) whose sums fit 32 bits: 256 · 2 · 128 · 32767 < 2³¹.
let exactPairs = 256

@inline(always) func multiplyPairs(
  _ panel: ReducedPanel, rows: Int, panels: Int, _ t: ReducedOperands, _ z: MutableFloats,
  _ zNext: Int
) {
  if panels == 2 {
    pairTile(panel, rows: 1, panels: 2, t, z, zNext)
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

  @inline(always) init(_ panel: ReducedPanel, _ z: Floats) {
    guard panel != .int8 else { return }
    v0 = bits(load(z))
    v1 = bits(load(z + lanes))
    v2 = bits(load(z + 2 * lanes))
    v3 = bits(load(z + 3 * lanes))
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

  /// int8: z = start + sums · row's scale · columns' scales.
  @inline(always) func write(
    _ panel: ReducedPanel, _ rowScale: Floats, _ scales: Floats, _ start: Floats,
    _ z: MutableFloats
  ) {
    write(panel, v0, rowScale, scales, start, z)
    write(panel, v1, rowScale, scales + lanes, start + lanes, z + lanes)
    write(panel, v2, rowScale, scales + 2 * lanes, start + 2 * lanes, z + 2 * lanes)
    write(panel, v3, rowScale, scales + 3 * lanes, start + 3 * lanes, z + 3 * lanes)
  }

  @inline(always) private func write(
    _ panel: ReducedPanel, _ sums: Bits, _ rowScale: Floats, _ scales: Floats, _ start: Floats,
    _ z: MutableFloats
  ) {
    if panel == .int8 {
      store(fma(number(sums), splat(rowScale.pointee) * load(scales), load(start)), z)
    } else {
      store(float(sums), z)
    }
  }
}

@inline(always) private func pairTile(
  _ panel: ReducedPanel, rows: Int, panels: Int, _ t: ReducedOperands, _ z: MutableFloats,
  _ zNext: Int
) {
  @inline(always) func activations(_ a: Bytes) -> Pairs {
    pairs(splat(bits: a.load(as: UInt32.self)))
  }
  let members = rows * panels
  var a = t.a
  var w = t.weights
  var rest = t.depth
  var (from, next) = t.beginning(z, zNext)
  var ahead = t.next ?? UnsafeRawPointer(w)
  repeat {
    let depth = panel == .int8 && rest > exactPairs ? exactPairs : rest
    var s0 = PairSums(panel, from)
    var s1 = members > 1 ? PairSums(panel, from + next) : s0
    var s2 = members > 2 ? PairSums(panel, from + 2 * next) : s0
    var s3 = members > 3 ? PairSums(panel, from + 3 * next) : s0
    var s4 = members > 4 ? PairSums(panel, from + 4 * next) : s0
    var s5 = members > 5 ? PairSums(panel, from + 5 * next) : s0
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
    s0.write(panel, scale, t.scales, from, z)
    if panels > 1 { s1.write(panel, scale, t.scales + reducedColumns, from + next, z + zNext) }
    if rows > 1 { s1.write(panel, scale + 1, t.scales, from + next, z + zNext) }
    if rows > 2 { s2.write(panel, scale + 2, t.scales, from + 2 * next, z + 2 * zNext) }
    if rows > 3 { s3.write(panel, scale + 3, t.scales, from + 3 * next, z + 3 * zNext) }
    if rows > 4 { s4.write(panel, scale + 4, t.scales, from + 4 * next, z + 4 * zNext) }
    if rows > 5 { s5.write(panel, scale + 5, t.scales, from + 5 * next, z + 5 * zNext) }
    rest -= depth
    (from, next) = (Floats(z), zNext)
  } while rest > 0
}
