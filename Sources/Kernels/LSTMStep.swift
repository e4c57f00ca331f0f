import KernelInterface

func lstmStep(_ arguments: UnsafePointer<LSTMStepArguments>) {
  if arguments.pointee.rows == 1 && arguments.pointee.isStandard {
    stepOneRow(arguments)
  } else {
    var sums = TileSums()
    withUnsafeMutablePointer(to: &sums) { sums in
      stepRows(arguments, arguments.pointee.blocks.count, aligned(sums))
    }
  }
}

/// Batch 1: two groups at a time (three, where one would be left over) have enough sums under way to
/// keep the multipliers busy. More at a time would leave nothing in the nearest cache for the next
/// step, which begins where this one ended if the steps alternate in direction.
private func stepOneRow(_ arguments: UnsafePointer<LSTMStepArguments>) {
  let groups = arguments.pointee.endGroup - arguments.pointee.firstGroup
  let blockStride = arguments.pointee.blocks.stride
  var visited = 0
  while visited < groups {
    let rest = groups - visited
    let count = rest == 3 || rest == 1 ? rest : 2
    let first =
      arguments.pointee.descends
      ? arguments.pointee.endGroup - visited - count : arguments.pointee.firstGroup + visited
    let p = operands(arguments, 4, row: 0, group: first)
    let initial = arguments.pointee.initial + first * lanes
    let places = StepPlaces(arguments, row: 0, group: first, byRow: false)

    @inline(always) func tile(groups: Int) -> GroupTile {
      GroupTile(groups: groups, blocks: 4, p, initial: initial, blockStride: blockStride)
    }
    switch count {
    case 1:
      finishStandard(places, 0, blockStride, tile(groups: 1).g0)
    case 2:
      let sums = tile(groups: 2)
      finishStandard(places, 0, blockStride, sums.g0, sums.g1)
    default:
      let sums = tile(groups: 3)
      finishStandard(places, 0, blockStride, sums.g0, sums.g1)
      finishStandard(places, 2, blockStride, sums.g2)
    }
    visited += count
  }
}

/// Larger batches, and every cell that is not the usual one: a group's weights serve a tile of rows
/// while they are in registers.
private func stepRows(
  _ arguments: UnsafePointer<LSTMStepArguments>, _ blocks: Int, _ z: MutableFloats
) {
  let rows = arguments.pointee.rows
  // Tiles of nearly equal heights: a last tile of one row would wait for its own sums.
  let tiles = (rows + TileSums.rows - 1) / TileSums.rows
  let groups = arguments.pointee.endGroup - arguments.pointee.firstGroup
  for visited in 0..<groups {
    let group =
      arguments.pointee.descends
      ? arguments.pointee.endGroup - 1 - visited : arguments.pointee.firstGroup + visited
    var row = 0
    for tile in 0..<tiles {
      let count = (rows - row + tiles - tile - 1) / (tiles - tile)
      let p = operands(arguments, blocks, row: row, group: group)
      multiply(arguments, blocks, p, row, count, group, z)
      finishStep(arguments, row: row, group: group, count, byRow: true, Floats(z))
      row += count
    }
  }
}

@inline(always) private func multiply(
  _ arguments: UnsafePointer<LSTMStepArguments>, _ blocks: Int, _ p: StepOperands,
  _ row: Int, _ count: Int, _ group: Int, _ z: MutableFloats
) {
  let rowStride = arguments.pointee.initialStride
  let initial = arguments.pointee.initial + row * rowStride + group * lanes
  let stride = arguments.pointee.blocks.stride
  @inline(always) func tile(rows: Int, blocks: Int) {
    rowTile(
      rows: rows, blocks: blocks, p, initial: initial, initialStride: rowStride,
      blockStride: stride, z)
  }
  switch (blocks, count) {
  case (4, 2): tile(rows: 2, blocks: 4)
  case (4, 3): tile(rows: 3, blocks: 4)
  case (3, 2): tile(rows: 2, blocks: 3)
  case (3, 3): tile(rows: 3, blocks: 3)
  #if KERNELS_AVX512
    case (4, 4): tile(rows: 4, blocks: 4)
    case (4, 5): tile(rows: 5, blocks: 4)
    case (4, 6): tile(rows: 6, blocks: 4)
    case (3, 4): tile(rows: 4, blocks: 3)
    case (3, 5): tile(rows: 5, blocks: 3)
    case (3, 6): tile(rows: 6, blocks: 3)
  #endif
  default:
    // One or two blocks, or a batch of which one row is left: nobody runs these for speed.
    for r in 0..<count {
      let p = operands(arguments, blocks, row: row + r, group: group)
      oneGroup(blocks, p, initial + r * rowStride, stride, z + r * 4 * lanes)
    }
  }
}

/// One row by one group, any number of blocks.
@inline(never) private func oneGroup(
  _ blocks: Int, _ p: StepOperands, _ initial: Floats, _ stride: Int, _ z: MutableFloats
) {
  @inline(always) func tile(blocks: Int) {
    GroupTile(groups: 1, blocks: blocks, p, initial: initial, blockStride: stride)
      .g0.write(blocks, z)
  }
  switch blocks {
  case 1: tile(blocks: 1)
  case 2: tile(blocks: 2)
  case 3: tile(blocks: 3)
  default: tile(blocks: 4)
  }
}

@inline(always) private func operands(
  _ arguments: UnsafePointer<LSTMStepArguments>, _ blocks: Int, row: Int, group: Int
) -> StepOperands {
  let hidden = arguments.pointee.hidden
  let weights = arguments.pointee.recurrentWeights
  var width = 0
  // Without an input product these are never read.
  var x = hidden
  var inputWeights = weights
  if let given = arguments.pointee.input, let packed = arguments.pointee.inputWeights {
    width = arguments.pointee.inputWidth
    x = given + row * arguments.pointee.inputStride
    inputWeights = packed + group * width * blocks * lanes
  }
  return StepOperands(
    inputWidth: width, input: x, inputStride: arguments.pointee.inputStride,
    inputWeights: inputWeights, hiddenWidth: arguments.pointee.hiddenWidth,
    hidden: hidden + row * arguments.pointee.hiddenStride,
    hiddenStride: arguments.pointee.hiddenStride,
    recurrentWeights: weights + group * arguments.pointee.hiddenWidth * blocks * lanes)
}
