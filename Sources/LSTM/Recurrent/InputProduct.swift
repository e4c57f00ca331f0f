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
  private let batch: Int
  private let rows: StepRows<Float>
  private let gathered: StepRows<Float>?

  init(
    _ frame: SequenceFrame<Float>, columns: Int
  ) throws(EngineError) {
    batch = frame.batch
    let stepBytes = try Memory.product(frame.batch, columns, MemoryLayout<Float>.stride)
    // Each block reads W once, each step writes and reads its results: with large W and few rows it pays to
    // make blocks so long that the first costs no more than the second, in the cache or not.
    let cached = InputProduct.cachedBytes / stepBytes
    let balanced = min(frame.inputWidth / (2 * frame.batch), InputProduct.mostBytes / stepBytes)
    steps = min(max(cached, balanced, 1), max(frame.steps, 1))
    rows = try StepRows(
      frame.plan, batch: batch, width: columns, period: steps, isWritten: true)
    gathered =
      batch > 1 && steps > 1
      ? try StepRows(frame.plan, batch: batch, width: frame.inputWidth, period: steps) : nil
  }

  var stride: Int { rows.stride }

  /// z0 of one row: what `compute` left for `step`, which is `offset` steps into the block.
  func at(offset: Int, row: Int, part: Range<Int>) -> UnsafeMutablePointer<Float> {
    let region = part.lowerBound * steps
    return rows.base + (region + offset * part.count + row - part.lowerBound) * rows.stride
  }

  /// z0 = bias + x W for the rows of `part` and some steps, which belong to one block.
  func compute(
    _ block: Range<Int>, part: Range<Int>, frame: SequenceFrame<Float>,
    weights: PackedMatrix<Float>, bias: UnsafePointer<Float>?
  ) {
    let out = at(offset: block.lowerBound % steps, row: part.lowerBound, part: part)
    var arguments = ProductArguments(
      rows: block.count * part.count,
      a: frame.input(block.lowerBound) + part.lowerBound * frame.inputStride,
      aStride: frame.inputStride, b: weights, c: out, cStride: rows.stride, bias: bias)
    if part.count < batch && block.count > 1 {
      guard let gathered else { return }
      let to = gathered.base + part.lowerBound * steps * gathered.stride
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
    weights.kernels.product(&arguments)
  }

  /// The same for all rows of the batch, divided between threads by steps and rows.
  func computeShare(
    _ block: Range<Int>, part: Int, of parts: Int, frame: SequenceFrame<Float>,
    weights: PackedMatrix<Float>, bias: UnsafePointer<Float>?
  ) {
    let share = ParallelKernels.share(
      block.count * batch, unit: ParallelKernels.rowUnit, part, parts)
    var arguments = ProductArguments(
      rows: share.count,
      a: frame.input(block.lowerBound) + share.lowerBound * frame.inputStride,
      aStride: frame.inputStride, b: weights,
      c: rows.base + share.lowerBound * rows.stride, cStride: rows.stride, bias: bias)
    weights.kernels.product(&arguments)
  }
}
