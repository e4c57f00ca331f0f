import KernelInterface

/// Pre-activations of one vector of units in registers: one vector per block, in block order.
struct BlockRow {
  var b0: Vector
  var b1: Vector
  var b2: Vector
  var b3: Vector

  /// Begins with what is at `z`, block b at `b * stride`.
  @inline(always) init(_ blocks: Int, _ z: Floats, _ stride: Int) {
    b0 = load(z)
    b1 = blocks > 1 ? load(z + stride) : b0
    b2 = blocks > 2 ? load(z + 2 * stride) : b0
    b3 = blocks > 3 ? load(z + 3 * stride) : b0
  }

  /// The same of a narrow group: two blocks in a vector.
  @inline(always) init(narrow z: Floats, _ stride: Int) {
    b0 = joinHalves(load(z), load(z + stride))
    b1 = joinHalves(load(z + 2 * stride), load(z + 3 * stride))
    b2 = b0
    b3 = b0
  }

  /// A narrow group's four blocks, each in a vector of its own again.
  @inline(always) var spread: BlockRow {
    var row = self
    row.b0 = half(b0, upper: false)
    row.b1 = half(b0, upper: true)
    row.b2 = half(b1, upper: false)
    row.b3 = half(b1, upper: true)
    return row
  }

  @inline(always) mutating func add(_ a: Float, _ w: BlockWeights, _ blocks: Int) {
    let x = splat(a)
    b0 = fma(x, w.b0, b0)
    if blocks > 1 { b1 = fma(x, w.b1, b1) }
    if blocks > 2 { b2 = fma(x, w.b2, b2) }
    if blocks > 3 { b3 = fma(x, w.b3, b3) }
  }

  /// Leaves the sums in a scratch tile, where blocks are always four.
  @inline(always) func write(_ blocks: Int, _ z: MutableFloats) {
    store(b0, z)
    if blocks > 1 { store(b1, z + lanes) }
    if blocks > 2 { store(b2, z + 2 * lanes) }
    if blocks > 3 { store(b3, z + 3 * lanes) }
  }
}

/// One row (k) of a group's packed weights.
struct BlockWeights {
  var b0: Vector
  var b1: Vector
  var b2: Vector
  var b3: Vector

  @inline(always) init(_ blocks: Int, _ w: Floats) {
    b0 = load(w)
    b1 = blocks > 1 ? load(w + lanes) : b0
    b2 = blocks > 2 ? load(w + 2 * lanes) : b0
    b3 = blocks > 3 ? load(w + 3 * lanes) : b0
  }
}

/// Sums of some rows or groups, [row or group][block][lane]: what is handed from the products to the gates.
typealias MemberSums = (Vector, Vector, Vector, Vector)

/// Of one tile.
struct TileSums {
  #if KERNELS_AVX512
    static var rows: Int { 6 }
  #else
    /// 3 x 4 accumulators, 3 inputs and a vector of weights fill the 16 registers.
    static var rows: Int { 3 }
  #endif
  /// Six members and room to align them.
  var members: (MemberSums, MemberSums, MemberSums, MemberSums, MemberSums, MemberSums, MemberSums)

  @inline(always) init() {
    let z = (splat(0), splat(0), splat(0), splat(0))
    members = (z, z, z, z, z, z, z)
  }
}

/// Of the rows that share a block of weights while it is in the nearest cache.
struct BlockSums {
  static var rows: Int { 36 }
  typealias Twelve = (
    MemberSums, MemberSums, MemberSums, MemberSums, MemberSums, MemberSums, MemberSums, MemberSums,
    MemberSums, MemberSums, MemberSums, MemberSums
  )
  /// 36 members and room to align them.
  var members: (Twelve, Twelve, Twelve, MemberSums)

  @inline(always) init() {
    let z = (splat(0), splat(0), splat(0), splat(0))
    let twelve = (z, z, z, z, z, z, z, z, z, z, z, z)
    members = (twelve, twelve, twelve, z)
  }
}

/// The products of a step: x W, then h R.
struct StepOperands {
  var inputWidth: Int
  var input: Floats
  var inputWeights: Floats
  var hiddenWidth: Int
  var hidden: Floats
  var recurrentWeights: Floats
}

/// Some k of one of these products, for some rows of the batch, and what their sums start from: row r at
/// `start + r * startStride`, its block b at `b * startBlock`.
struct RowOperands {
  var x: Floats
  var xStride: Int
  var weights: Floats
  var depth: Int
  var start: Floats
  var startStride: Int
  var startBlock: Int
  /// From there to what the next group's sums start from, which is asked for; 0: it is not.
  var nextStart: Int
  /// What is needed next: with each k of a whole tile another `nextBytes` of it are asked for; 0: nothing is.
  var next: UnsafeRawPointer
  var nextBytes: Int
}

#if !KERNELS_AVX512
  /// One block of up to three rows.
  @inline(always) private func addBlock(
    _ rows: Int, _ w: Vector, _ x0: Vector, _ x1: Vector, _ x2: Vector,
    _ sum0: inout Vector, _ sum1: inout Vector, _ sum2: inout Vector
  ) {
    sum0 = fma(x0, w, sum0)
    if rows > 1 { sum1 = fma(x1, w, sum1) }
    if rows > 2 { sum2 = fma(x2, w, sum2) }
  }
#endif

/// `rows` rows of the batch by one group; all but the operands are literals at every call.
///
/// - Parameter isNarrow: four blocks in two vectors.
@inline(always) func rowTile(
  rows: Int, blocks: Int, isNarrow: Bool = false, asks: Bool = false, _ p: RowOperands,
  _ z: MutableFloats
) {
  let vectors = isNarrow ? 2 : blocks
  @inline(always) func begin(_ r: Int) -> BlockRow {
    let start = p.start + (r < rows ? r : 0) * p.startStride
    return isNarrow ? BlockRow(narrow: start, p.startBlock) : BlockRow(blocks, start, p.startBlock)
  }
  @inline(always) func end(_ r: Int, _ row: BlockRow) {
    guard r < rows else { return }
    (isNarrow ? row.spread : row).write(blocks, z + 4 * r * lanes)
  }
  var r0 = begin(0)
  var r1 = begin(1)
  var r2 = begin(2)
  #if KERNELS_AVX512
    var r3 = begin(3)
    var r4 = begin(4)
    var r5 = begin(5)
  #endif
  var a = p.x
  var w = p.weights
  var next = p.next
  let s = p.xStride
  @inline(always) func step() {
    if asks {
      prefetch(next)
      next += p.nextBytes
    }
    #if KERNELS_AVX512
      let row = BlockWeights(vectors, w)
      r0.add(a[0], row, vectors)
      if rows > 1 { r1.add(a[s], row, vectors) }
      if rows > 2 { r2.add(a[2 * s], row, vectors) }
      if rows > 3 { r3.add(a[3 * s], row, vectors) }
      if rows > 4 { r4.add(a[4 * s], row, vectors) }
      if rows > 5 { r5.add(a[5 * s], row, vectors) }
    #else
      // With 12 sums there is room for the inputs of three rows and one vector of weights.
      let x0 = splat(a[0])
      let x1 = rows > 1 ? splat(a[s]) : x0
      let x2 = rows > 2 ? splat(a[2 * s]) : x0
      addBlock(rows, load(w), x0, x1, x2, &r0.b0, &r1.b0, &r2.b0)
      if vectors > 1 { addBlock(rows, load(w + lanes), x0, x1, x2, &r0.b1, &r1.b1, &r2.b1) }
      if vectors > 2 { addBlock(rows, load(w + 2 * lanes), x0, x1, x2, &r0.b2, &r1.b2, &r2.b2) }
      if vectors > 3 { addBlock(rows, load(w + 3 * lanes), x0, x1, x2, &r0.b3, &r1.b3, &r2.b3) }
    #endif
    a += 1
    w += vectors * lanes
  }
  unrolled(p.depth, step)
  end(0, r0)
  end(1, r1)
  end(2, r2)
  #if KERNELS_AVX512
    end(3, r3)
    end(4, r4)
    end(5, r5)
  #endif
}

/// One row of the batch by `groups` neighbouring groups, the last of which may be narrow.
struct GroupTile {
  var g0: BlockRow
  var g1: BlockRow
  var g2: BlockRow

  @inline(always) init(
    groups: Int, blocks: Int, endsNarrow: Bool = false, _ p: StepOperands, initial: Floats,
    blockStride: Int
  ) {
    @inline(always) func begin(_ group: Int) -> BlockRow {
      let start = initial + (group < groups ? group : 0) * lanes
      return endsNarrow && group == groups - 1
        ? BlockRow(narrow: start, blockStride) : BlockRow(blocks, start, blockStride)
    }
    g0 = begin(0)
    g1 = begin(1)
    g2 = begin(2)
    accumulate(groups, blocks, endsNarrow, p.inputWidth, p.input, p.inputWeights)
    accumulate(groups, blocks, endsNarrow, p.hiddenWidth, p.hidden, p.recurrentWeights)
    if endsNarrow && groups == 1 { g0 = g0.spread }
    if endsNarrow && groups == 2 { g1 = g1.spread }
    if endsNarrow && groups == 3 { g2 = g2.spread }
  }

  @inline(always) private mutating func accumulate(
    _ groups: Int, _ blocks: Int, _ endsNarrow: Bool, _ depth: Int, _ x: Floats, _ weights: Floats
  ) {
    let panel = depth * blocks * lanes
    let last = endsNarrow ? 2 : blocks
    /// Vectors of a group's row.
    @inline(always) func vectors(_ group: Int) -> Int { group == groups - 1 ? last : blocks }
    var w = weights
    var lastWeights = weights + (groups - 1) * panel
    for k in 0..<depth {
      @inline(always) func row(_ group: Int) -> BlockWeights {
        BlockWeights(vectors(group), group == groups - 1 ? lastWeights : w + group * panel)
      }
      g0.add(x[k], row(0), vectors(0))
      if groups > 1 { g1.add(x[k], row(1), vectors(1)) }
      if groups > 2 { g2.add(x[k], row(2), vectors(2)) }
      w += blocks * lanes
      lastWeights += last * lanes
    }
  }
}
