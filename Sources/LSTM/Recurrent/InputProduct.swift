import KernelInterface

/// The products of the inputs of several steps with W, made as one large product for a block of steps.
///
/// Each thread works on a region of its own, with the rows of its part of the batch step by step, and
/// gathers their inputs first if they are not neighbours in memory.
struct InputProduct {
  /// Bytes of results that stay in the second-level cache until the steps use them.
  private static let cachedBytes = 256 << 10
  /// Bytes of results that a block may take at most.
  private static let mostBytes = 8 << 20

  /// Steps per block.
  let steps: Int
  private let regionSteps: Int
  private let frame: SequenceFrame<Float>
  private let packed: CellWeights
  private let bias: UnsafePointer<Float>?
  /// Steps that would follow a block's: a thread's region is so far from the next one's that no core fetches rows of
  /// the other's while it writes its last.
  private static let gap = 4
  private let rows: StepRows<Float>
  private let gathered: StepRows<Float>?

  init(
    _ frame: SequenceFrame<Float>, _ packed: CellWeights, addsBias: Bool = true
  ) throws(EngineError) {
    self.frame = frame
    self.packed = packed
    bias = addsBias ? UnsafePointer(packed.bias.pointer) : nil
    let batch = frame.batch
    let stepBytes = try Memory.product(batch, packed.columns, MemoryLayout<Float>.stride)
    // Each block reads W once, each step writes and reads its results: with large W and few rows it pays to
    // make blocks so long that the first costs no more than the second, in the cache or not.
    let cached = InputProduct.cachedBytes / stepBytes
    let balanced = min(frame.inputWidth / (2 * batch), InputProduct.mostBytes / stepBytes)
    steps = min(max(cached, balanced, 1), max(frame.steps, 1))
    regionSteps = steps + (batch > 1 && ThreadPool.shared.limit > 1 ? InputProduct.gap : 0)
    rows = try StepRows(
      frame.plan, batch: batch, width: packed.columns, period: regionSteps, isWritten: true)
    gathered =
      batch > 1 && steps > 1
      ? try StepRows(frame.plan, batch: batch, width: frame.inputWidth, period: regionSteps) : nil
  }

  var stride: Int { rows.stride }

  /// z0 of a step and row, as `compute` left it.
  func at(_ step: Int, _ row: Int, part: Range<Int>) -> UnsafeMutablePointer<Float> {
    let region = part.lowerBound * regionSteps
    let offset = step % steps * part.count
    return rows.base + (region + offset + row - part.lowerBound) * rows.stride
  }

  /// z0 = bias + x W for the rows of `part` and some steps, which belong to one block.
  func compute(_ block: Range<Int>, part: Range<Int>) {
    var arguments = product(
      rows: block.count * part.count,
      a: frame.input(block.lowerBound) + part.lowerBound * frame.inputStride,
      c: at(block.lowerBound, part.lowerBound, part: part))
    if part.count < frame.batch && block.count > 1 {
      guard let gathered else { return }
      let to = gathered.base + part.lowerBound * regionSteps * gathered.stride
      for (offset, step) in block.enumerated() {
        let from = frame.input(step) + part.lowerBound * frame.inputStride
        for row in 0..<part.count {
          (to + (offset * part.count + row) * gathered.stride).update(
            from: from + row * frame.inputStride, count: frame.inputWidth)
        }
      }
      arguments.a = UnsafePointer(to)
      arguments.aStride = gathered.stride
    }
    packed.kernels.product(&arguments)
  }

  /// The same for all rows of the batch and a whole block, divided between threads by steps and rows.
  func computeShare(_ block: Range<Int>, part: Int, of parts: Int) {
    let share = ParallelKernels.share(
      block.count * frame.batch, unit: ParallelKernels.rowUnit, part, parts)
    var arguments = product(
      rows: share.count, a: frame.input(block.lowerBound) + share.lowerBound * frame.inputStride,
      c: rows.base + share.lowerBound * rows.stride)
    packed.kernels.product(&arguments)
  }

  private func product(
    rows count: Int, a: UnsafePointer<Float>, c: UnsafeMutablePointer<Float>
  ) -> ProductArguments {
    ProductArguments(
      rows: count, a: a, aStride: frame.inputStride, b: packed.input, c: c, cStride: rows.stride,
      bias: bias)
  }

  /// Some units' z0 of a step, with the padding behind the last unit, for sums that go on from there.
  func copy(
    _ step: Int, _ rows: Range<Int>, part: Range<Int>, _ units: Range<Int>,
    to target: StepRows<Float>
  ) {
    let end = units.upperBound == packed.units ? packed.blockStride : units.upperBound
    for row in rows {
      let z0 = at(step, row, part: part)
      let z = target.at(step, row)
      for block in 0..<packed.blocks {
        let first = block * packed.blockStride + units.lowerBound
        (z + first).update(from: z0 + first, count: end - units.lowerBound)
      }
    }
  }
}
