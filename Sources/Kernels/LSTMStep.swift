import KernelInterface

func lstmStep(_ arguments: UnsafePointer<LSTMStepArguments>) {
  let format = arguments.pointee.format
  let isWide =
    format == .bfloat16 && !pairsBrainFloats && arguments.pointee.rows >= rowsWorthWidening
  if format != .float32 && !isWide {
    reducedStep(arguments)
  } else if isWide {
    var sums = BlockSums()
    withUnsafeMutablePointer(to: &sums) { sums in
      withScratch(bytes: widenedBlock * MemoryLayout<Float>.stride) {
        stepRows(
          arguments, BlockSums.rows, aligned(sums), widened: $0.assumingMemoryBound(to: Float.self))
      }
    }
  } else if arguments.pointee.rows == 1 {
    stepOneRow(arguments)
  } else if arguments.pointee.rows <= TileSums.rows {
    var sums = TileSums()
    withUnsafeMutablePointer(to: &sums) { stepRows(arguments, TileSums.rows, aligned($0)) }
  } else {
    var sums = BlockSums()
    withUnsafeMutablePointer(to: &sums) { stepRows(arguments, BlockSums.rows, aligned($0)) }
  }
}

// MARK: - One row

/// Batch 1: two groups at a time (three, where one would be left over) have enough sums under way to
/// keep the multipliers busy. More at a time would leave nothing in the nearest cache for the next
/// step, which begins where this one ended if the steps alternate in direction. Of `groupsAtOnce` groups no h(t) is
/// written before all of h(t-1) is read.
private func stepOneRow(_ arguments: UnsafePointer<LSTMStepArguments>) {
  let groups = arguments.pointee.endGroup - arguments.pointee.firstGroup
  let isStandard = arguments.pointee.isStandard
  var visited = 0
  while visited < groups {
    let rest = groups - visited
    let count = rest == 3 || rest == 1 ? rest : 2
    let first =
      arguments.pointee.descends
      ? arguments.pointee.endGroup - visited - count : arguments.pointee.firstGroup + visited
    if isStandard {
      stepStandardGroups(arguments, first, count)
    } else {
      stepGroups(arguments, first, count)
    }
    visited += count
  }
}

/// The usual cell: sums go from the products to the gates in registers.
@inline(always) private func stepStandardGroups(
  _ arguments: UnsafePointer<LSTMStepArguments>, _ first: Int, _ count: Int
) {
  let p = operands(arguments, 4, first)
  let blockStride = arguments.pointee.blocks.stride
  let initial = arguments.pointee.initial + first * lanes
  let places = StepPlaces(arguments, row: 0, group: first, byRow: false)

  @inline(always) func step(groups: Int, endsNarrow: Bool = false) {
    let sums = GroupTile(
      groups: groups, blocks: 4, endsNarrow: endsNarrow, p, initial: initial,
      blockStride: blockStride)
    if groups == 1 {
      finishStandard(places, 0, blockStride, sums.g0)
    } else {
      finishStandard(places, 0, blockStride, sums.g0, sums.g1)
      if groups == 3 { finishStandard(places, 2, blockStride, sums.g2) }
    }
  }
  switch (count, first + count - 1 == arguments.pointee.narrowGroup) {
  case (1, false): step(groups: 1)
  case (2, false): step(groups: 2)
  case (_, false): step(groups: 3)
  case (1, true): step(groups: 1, endsNarrow: true)
  case (2, true): step(groups: 2, endsNarrow: true)
  case (_, true): step(groups: 3, endsNarrow: true)
  }
}

/// Every other cell.
@inline(never) private func stepGroups(
  _ arguments: UnsafePointer<LSTMStepArguments>, _ first: Int, _ count: Int
) {
  let blocks = arguments.pointee.blocks.count
  let p = operands(arguments, blocks, first)
  let initial = arguments.pointee.initial + first * lanes
  let stride = arguments.pointee.blocks.stride
  let endsNarrow = first + count - 1 == arguments.pointee.narrowGroup
  var sums = TileSums()
  withUnsafeMutablePointer(to: &sums) { sums in
    let z = aligned(sums)
    @inline(always) func tile(groups: Int, blocks: Int, endsNarrow: Bool = false) {
      let tile = GroupTile(
        groups: groups, blocks: blocks, endsNarrow: endsNarrow, p, initial: initial,
        blockStride: stride)
      tile.g0.write(blocks, z)
      if groups > 1 { tile.g1.write(blocks, z + 4 * lanes) }
      if groups > 2 { tile.g2.write(blocks, z + 8 * lanes) }
    }
    switch (blocks, count) {
    case (4, 1) where endsNarrow: tile(groups: 1, blocks: 4, endsNarrow: true)
    case (4, 2) where endsNarrow: tile(groups: 2, blocks: 4, endsNarrow: true)
    case (4, 3) where endsNarrow: tile(groups: 3, blocks: 4, endsNarrow: true)
    case (4, 1): tile(groups: 1, blocks: 4)
    case (4, 2): tile(groups: 2, blocks: 4)
    case (4, _): tile(groups: 3, blocks: 4)
    case (3, 1): tile(groups: 1, blocks: 3)
    case (3, 2): tile(groups: 2, blocks: 3)
    case (3, _): tile(groups: 3, blocks: 3)
    case (2, 1): tile(groups: 1, blocks: 2)
    case (2, 2): tile(groups: 2, blocks: 2)
    case (2, _): tile(groups: 3, blocks: 2)
    case (_, 1): tile(groups: 1, blocks: 1)
    case (_, 2): tile(groups: 2, blocks: 1)
    default: tile(groups: 3, blocks: 1)
    }
    finishStep(arguments, row: 0, group: first, count, byRow: false, Floats(z))
  }
}

/// Row 0 and a group's weights.
@inline(always) private func operands(
  _ arguments: UnsafePointer<LSTMStepArguments>, _ blocks: Int, _ group: Int
) -> StepOperands {
  let hidden = arguments.pointee.hidden
  let weights = arguments.pointee.recurrentWeights
  var width = 0
  // Without an input product these are never read.
  var x = hidden
  var inputWeights = weights
  if let given = arguments.pointee.input, let packed = arguments.pointee.inputWeights {
    width = arguments.pointee.inputWidth
    x = given
    inputWeights = packed + group * width * blocks * lanes
  }
  return StepOperands(
    inputWidth: width, input: x, inputWeights: inputWeights,
    hiddenWidth: arguments.pointee.hiddenWidth, hidden: hidden,
    recurrentWeights: weights + group * arguments.pointee.hiddenWidth * blocks * lanes)
}

// MARK: - Several rows

/// Floats of a group's weights that all rows use before the next ones are fetched.
#if KERNELS_AVX512
  /// Tiles of six rows multiply so often with each weight that the second-level cache keeps up, and long sums
  /// seldom go through memory.
  private var weightBlock: Int { 1 << 16 }
#else
  /// Half of the nearest cache.
  private var weightBlock: Int { 1 << 12 }
#endif
/// The same of weights that are widened first.
private var widenedBlock: Int { 1 << 12 }

/// A block of a group's weights serves up to `capacity` rows while it is in the nearest cache, and a tile of
/// rows while its vectors are in registers. `z` has room for the sums of these rows, and `widened`, given if the
/// weights are bfloat16, for a block as floats.
private func stepRows(
  _ arguments: UnsafePointer<LSTMStepArguments>, _ capacity: Int, _ z: MutableFloats,
  widened: MutableFloats? = nil
) {
  let blocks = arguments.pointee.blocks.count
  let rowBlocks = Tiles(arguments.pointee.rows, most: capacity)
  let groups = arguments.pointee.endGroup - arguments.pointee.firstGroup
  /// Of one k of a group.
  let bytes =
    widened == nil
    ? blocks * lanes * MemoryLayout<Float>.stride : ReducedPanel.bfloat16.rowBytes
  let asks = groups * bytes * arguments.pointee.hiddenWidth > nearBytes
  // After a group's last weights come the next group's, which lie before them if the step descends.
  let toNext = arguments.pointee.descends ? -1 : 1
  for visited in 0..<groups {
    let group =
      arguments.pointee.descends
      ? arguments.pointee.endGroup - 1 - visited : arguments.pointee.firstGroup + visited
    func rowBytes(_ group: Int) -> Int {
      group == arguments.pointee.narrowGroup ? bytes / 2 : bytes
    }
    let asksNext = asks && visited + 1 < groups
    @inline(always) func add(_ weights: Bytes, _ p: inout RowOperands, _ rows: Int) {
      addProduct(
        rows, blocks, isNarrow: group == arguments.pointee.narrowGroup, weights, rowBytes(group),
        &p, asks: asks, next: asksNext ? weights + toNext * bytes * p.depth : nil,
        nextBytes: rowBytes(group + toNext), widened, z)
    }
    for block in 0..<rowBlocks.count {
      let (row, count) = (rowBlocks.start(block), rowBlocks.height(block))
      var p = RowOperands(
        x: arguments.pointee.hidden, xStride: 0, weights: arguments.pointee.recurrentWeights,
        depth: 0,
        start: arguments.pointee.initial + row * arguments.pointee.initialStride + group * lanes,
        startStride: arguments.pointee.initialStride, startBlock: arguments.pointee.blocks.stride,
        nextStart: asksNext ? toNext * lanes : 0, next: arguments.pointee.recurrentWeights,
        nextBytes: 0)
      if let x = arguments.pointee.input, let weights = arguments.pointee.inputWeights {
        p.xStride = arguments.pointee.inputStride
        p.x = x + row * p.xStride
        p.depth = arguments.pointee.inputWidth
        add(Bytes(weights) + group * bytes * p.depth, &p, count)
      }
      p.xStride = arguments.pointee.hiddenStride
      p.x = arguments.pointee.hidden + row * p.xStride
      p.depth = arguments.pointee.hiddenWidth
      add(Bytes(arguments.pointee.recurrentWeights) + group * bytes * p.depth, &p, count)
      finishStep(arguments, row: row, group: group, count, byRow: true, Floats(z))
    }
  }
}

/// z = start + one of the two products; the next begins from z. The weights take `bytes` for each k, those at `next`
/// (nil: there are none) `nextBytes`.
private func addProduct(
  _ rows: Int, _ blocks: Int, isNarrow: Bool, _ weights: Bytes, _ bytes: Int,
  _ product: inout RowOperands, asks: Bool, next: Bytes?, nextBytes: Int,
  _ widened: MutableFloats?, _ z: MutableFloats
) {
  let tiles = Tiles(rows, most: TileSums.rows)
  let most =
    tiles.count == 1 && widened == nil
    ? product.depth : (widened == nil ? weightBlock : widenedBlock) / (blocks * lanes)
  // The tiles ask for the next block of weights. One tile alone reads them as fast as they come, and would only push
  // its own out of the nearest cache.
  let asks = asks && tiles.count > 1
  var k = 0
  while k < product.depth {
    let depth = product.depth - k < most ? product.depth - k : most
    let block = weights + k * bytes
    if let widened {
      widen(block, depth: depth, blocks, widened)
      product.weights = Floats(widened)
    } else {
      product.weights = block.assumingMemoryBound(to: Float.self)
    }
    let rest = product.depth - k - depth
    let (nextBlock, left): (Bytes?, Int) =
      rest > 0 ? (block + depth * bytes, rest) : (next, product.depth)
    var ahead = BytesAhead(
      asks ? nextBlock : nil, (left < most ? left : most) * (rest > 0 ? bytes : nextBytes),
      tiles: tiles.count, depth: depth)
    var row = 0
    for tile in 0..<tiles.count {
      let count = tiles.height(tile)
      if product.nextStart != 0 { askStart(product, row..<row + count, blocks) }
      let request = ahead.take() ?? (UnsafeRawPointer(block), 0)
      multiplyTile(
        count, blocks, isNarrow: isNarrow,
        RowOperands(
          x: product.x + row * product.xStride + k, xStride: product.xStride,
          weights: product.weights, depth: depth,
          start: product.start + row * product.startStride, startStride: product.startStride,
          startBlock: product.startBlock, nextStart: 0, next: request.start,
          nextBytes: request.bytes),
        z + row * 4 * lanes)
      row += count
    }
    k += depth
    product.start = Floats(z)
    product.startStride = 4 * lanes
    product.startBlock = lanes
    product.nextStart = 0
  }
}

/// Asks for what the next group's sums of some rows start from. Each line is on a page of its own, and a tile would wait
/// for all of them before its first multiplication ends.
@inline(always) private func askStart(_ p: RowOperands, _ rows: Range<Int>, _ blocks: Int) {
  for row in rows {
    ask(p.start + row * p.startStride + p.nextStart, p.startBlock, rows: blocks, lanes)
  }
}

@inline(always) private func multiplyTile(
  _ rows: Int, _ blocks: Int, isNarrow: Bool, _ p: RowOperands, _ z: MutableFloats
) {
  switch (blocks, rows) {
  case (4, 1) where isNarrow: rowTile(rows: 1, blocks: 4, isNarrow: true, p, z)
  case (4, 2) where isNarrow: rowTile(rows: 2, blocks: 4, isNarrow: true, p, z)
  case (4, 3) where isNarrow: rowTile(rows: 3, blocks: 4, isNarrow: true, p, z)
  #if KERNELS_AVX512
    case (4, 4) where isNarrow: rowTile(rows: 4, blocks: 4, isNarrow: true, p, z)
    case (4, 5) where isNarrow: rowTile(rows: 5, blocks: 4, isNarrow: true, p, z)
    case (4, 6) where isNarrow: rowTile(rows: 6, blocks: 4, isNarrow: true, p, z)
  #endif
  case (4, TileSums.rows) where p.nextBytes > 0:
    rowTile(rows: TileSums.rows, blocks: 4, asks: true, p, z)
  #if KERNELS_AVX512
    // A batch of 32 is cut into two tiles of 6 rows and four of 5.
    case (4, 5) where p.nextBytes > 0: rowTile(rows: 5, blocks: 4, asks: true, p, z)
  #endif
  case (4, 1): rowTile(rows: 1, blocks: 4, p, z)
  case (4, 2): rowTile(rows: 2, blocks: 4, p, z)
  case (4, 3): rowTile(rows: 3, blocks: 4, p, z)
  case (3, 1): rowTile(rows: 1, blocks: 3, p, z)
  case (3, 2): rowTile(rows: 2, blocks: 3, p, z)
  case (3, 3): rowTile(rows: 3, blocks: 3, p, z)
  #if KERNELS_AVX512
    case (4, 4): rowTile(rows: 4, blocks: 4, p, z)
    case (4, 5): rowTile(rows: 5, blocks: 4, p, z)
    case (4, 6): rowTile(rows: 6, blocks: 4, p, z)
    case (3, 4): rowTile(rows: 4, blocks: 3, p, z)
    case (3, 5): rowTile(rows: 5, blocks: 3, p, z)
    case (3, 6): rowTile(rows: 6, blocks: 3, p, z)
  #endif
  default:
    // One or two blocks: nobody runs these for speed.
    for r in 0..<rows {
      var one = p
      one.x += r * p.xStride
      one.start += r * p.startStride
      let to = z + r * 4 * lanes
      if blocks == 1 {
        rowTile(rows: 1, blocks: 1, one, to)
      } else {
        rowTile(rows: 1, blocks: 2, one, to)
      }
    }
  }
}
