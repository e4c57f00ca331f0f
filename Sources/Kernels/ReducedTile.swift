import KernelInterface

// The micro-kernels of weights in reduced precision: a tile of one panel (four vectors) by some rows, or of one
// row by two panels. Its sums start from `start`, or else from what is at `z`, where they are written. Panels of pairs:
// PairTile.swift, TallTile.swift.

/// What a panel holds.
enum ReducedPanel {
  case bfloat16
  /// bfloat16 that was widened to floats, four vectors for each k, because many rows want it.
  case widened
  /// bfloat16 in pairs of ks.
  case bfloat16Pairs
  case int8

  /// Whether it is a panel of pairs of ks, which meet activations in 16 bits.
  @inline(always) var isPaired: Bool { self == .bfloat16Pairs || self == .int8 }
  /// Bytes of one of its rows.
  @inline(always) var rowBytes: Int { (self == .bfloat16Pairs ? 16 : 8) * lanes }
  /// Most rows of a tile: what the registers hold beside weights on their way.
  @inline(always) var tileRows: Int {
    switch self {
    case .int8: byteTileRows
    case .bfloat16Pairs: pairTileRows
    case .widened: 3
    case .bfloat16: 2
    }
  }

  /// What weights of a format come in.
  @inline(always) init(_ format: WeightFormat) {
    self = format == .int8 ? .int8 : pairsBrainFloats ? .bfloat16Pairs : .bfloat16
  }
}

/// Most rows of any tile.
@inline(always) var mostTileRows: Int { byteTileRows > 3 ? byteTileRows : 3 }

/// Where a tile's operands are. A member is a row, or a panel of the only row.
struct ReducedOperands {
  /// Rows of floats or (for panels of pairs) of 16-bit codes, and the bytes between them.
  var a: Bytes
  var aStride: Int
  /// int8: the scale of each row.
  var rowScales: Floats
  var weights: Bytes
  var panelStride: Int
  /// int8: the scales of the panel's columns; those of the next panel follow.
  var scales: Floats
  /// Rows of the panel: ks, or pairs of ks.
  var depth: Int
  /// What the sums start from if not from z, and from there to the next member's and to the next vector's.
  var start: Floats?
  var startNext = 0
  var startBlock = lanes
  /// What is needed next: with each row of a panel of pairs another `nextBytes` of it are asked for; 0: nothing is.
  var next: UnsafeRawPointer?
  var nextBytes = 0
  var mask: UInt32 = 0xffff_0000
}

/// What a tile's sums start from: vector b of member m at `first + m * next + b * block`.
struct ReducedStart {
  var first: Floats
  var next: Int
  var block: Int

  /// What is at z.
  @inline(always) init(_ z: MutableFloats, _ zNext: Int) {
    (first, next, block) = (Floats(z), zNext, lanes)
  }

  @inline(always) init(_ t: ReducedOperands, _ z: MutableFloats, _ zNext: Int) {
    self.init(z, zNext)
    if let start = t.start { (first, next, block) = (start, t.startNext, t.startBlock) }
  }

  @inline(always) func vector(_ member: Int, _ b: Int) -> Vector {
    load(first + member * next + b * block)
  }
}

/// Columns of a panel.
@inline(always) var reducedColumns: Int { 4 * lanes }

/// Rows of the batch from which on bfloat16 weights are widened, a block at a time, once for all of them.
let rowsWorthWidening = 6

/// Writes a bfloat16 panel as floats, `vectors` of them for each k.
func widen(_ panel: Bytes, depth: Int, _ vectors: Int, _ to: MutableFloats) {
  for k in 0..<depth {
    let first = loadBits(panel + k * ReducedPanel.bfloat16.rowBytes)
    let second = loadBits(panel + k * ReducedPanel.bfloat16.rowBytes + 4 * lanes)
    let row = to + k * vectors * lanes
    store(lower(first), row)
    if vectors > 1 { store(upper(first), row + lanes) }
    if vectors > 2 { store(lower(second), row + 2 * lanes) }
    if vectors > 3 { store(upper(second), row + 3 * lanes) }
  }
}

func multiplyReduced(
  _ panel: ReducedPanel, rows: Int, panels: Int, _ t: ReducedOperands, _ z: MutableFloats,
  _ zNext: Int
) {
  if panel == .int8 {
    multiplyPairs(.int8, rows: rows, panels: panels, t, z, zNext)
  } else if pairsBrainFloats {
    // Known when a set is compiled, so that none has tiles for panels of another.
    multiplyPairs(.bfloat16Pairs, rows: rows, panels: panels, t, z, zNext)
  } else if panel == .widened {
    if rows == 3 {
      widenedTile(rows: 3, t, z, zNext)
    } else if rows == 2 {
      widenedTile(rows: 2, t, z, zNext)
    } else {
      widenedTile(rows: 1, t, z, zNext)
    }
  } else if panels == 2 {
    bfloatTile(rows: 1, panels: 2, t, z, zNext)
  } else if rows == 2 {
    bfloatTile(rows: 2, panels: 1, t, z, zNext)
  } else {
    bfloatTile(rows: 1, panels: 1, t, z, zNext)
  }
}

// MARK: - bfloat16

private struct FloatSums {
  var v0: Vector
  var v1: Vector
  var v2: Vector
  var v3: Vector

  @inline(always) init(_ start: ReducedStart, _ member: Int) {
    v0 = start.vector(member, 0)
    v1 = start.vector(member, 1)
    v2 = start.vector(member, 2)
    v3 = start.vector(member, 3)
  }

  @inline(always) func write(_ z: MutableFloats) {
    store(v0, z)
    store(v1, z + lanes)
    store(v2, z + 2 * lanes)
    store(v3, z + 3 * lanes)
  }

  @inline(always) mutating func add(_ x: Vector, _ w: Bytes, _ mask: Bits) {
    let first = loadBits(w)
    v0 = fma(x, lower(first), v0)
    v1 = fma(x, float(first & mask), v1)
    let second = loadBits(w + 4 * lanes)
    v2 = fma(x, lower(second), v2)
    v3 = fma(x, float(second & mask), v3)
  }
}

@inline(always) private func bfloatTile(
  rows: Int, panels: Int, _ t: ReducedOperands, _ z: MutableFloats, _ zNext: Int
) {
  let members = rows * panels
  let start = ReducedStart(t, z, zNext)
  var s0 = FloatSums(start, 0)
  var s1 = members > 1 ? FloatSums(start, 1) : s0
  let mask = splat(bits: t.mask)
  var a = t.a
  var w = t.weights
  let end = a + 4 * t.depth
  while a != end {
    let x0 = splat(a.load(as: Float.self))
    if panels > 1 {
      s0.add(x0, w, mask)
      // Never so. But a loop with two ways out is not unrolled, for which 16 registers would not do.
      if t.panelStride == 0 { break }
      s1.add(x0, w + t.panelStride, mask)
    } else if rows == 1 {
      s0.add(x0, w, mask)
    } else {
      let x1 = splat(a.load(fromByteOffset: t.aStride, as: Float.self))
      let first = loadBits(w)
      s0.v0 = fma(x0, lower(first), s0.v0)
      s1.v0 = fma(x1, lower(first), s1.v0)
      s0.v1 = fma(x0, float(first & mask), s0.v1)
      s1.v1 = fma(x1, float(first & mask), s1.v1)
      let second = loadBits(w + 4 * lanes)
      s0.v2 = fma(x0, lower(second), s0.v2)
      s1.v2 = fma(x1, lower(second), s1.v2)
      s0.v3 = fma(x0, float(second & mask), s0.v3)
      s1.v3 = fma(x1, float(second & mask), s1.v3)
    }
    a += 4
    w += ReducedPanel.bfloat16.rowBytes
  }
  s0.write(z)
  if members > 1 { s1.write(z + zNext) }
}

@inline(always) private func widenedTile(
  rows: Int, _ t: ReducedOperands, _ z: MutableFloats, _ zNext: Int
) {
  let start = ReducedStart(t, z, zNext)
  var s0 = FloatSums(start, 0)
  var s1 = rows > 1 ? FloatSums(start, 1) : s0
  var s2 = rows > 2 ? FloatSums(start, 2) : s0
  var a = t.a
  var w = t.weights.assumingMemoryBound(to: Float.self)
  for _ in 0..<t.depth {
    let x0 = splat(a.load(as: Float.self))
    let x1 = rows > 1 ? splat(a.load(fromByteOffset: t.aStride, as: Float.self)) : x0
    let x2 = rows > 2 ? splat(a.load(fromByteOffset: 2 * t.aStride, as: Float.self)) : x0
    addVector(rows, load(w), x0, x1, x2, &s0.v0, &s1.v0, &s2.v0)
    addVector(rows, load(w + lanes), x0, x1, x2, &s0.v1, &s1.v1, &s2.v1)
    addVector(rows, load(w + 2 * lanes), x0, x1, x2, &s0.v2, &s1.v2, &s2.v2)
    addVector(rows, load(w + 3 * lanes), x0, x1, x2, &s0.v3, &s1.v3, &s2.v3)
    a += 4
    w += reducedColumns
  }
  s0.write(z)
  if rows > 1 { s1.write(z + zNext) }
  if rows > 2 { s2.write(z + 2 * zNext) }
}

/// One vector of weights for up to three rows.
@inline(always) private func addVector(
  _ rows: Int, _ w: Vector, _ x0: Vector, _ x1: Vector, _ x2: Vector,
  _ sum0: inout Vector, _ sum1: inout Vector, _ sum2: inout Vector
) {
  sum0 = fma(x0, w, sum0)
  if rows > 1 { sum1 = fma(x1, w, sum1) }
  if rows > 2 { sum2 = fma(x2, w, sum2) }
}
