/// Sums over time that make the gradients of weights, always in one order.
///
/// Time is cut into blocks of ``blockSteps`` steps, aligned at multiples of it. The blocks are summed
/// from the last to the first, as back-propagation meets them; within a block rows ascend. A backward
/// pass that goes through time in segments (recomputing each from a checkpoint) therefore gives
/// the same bits as one that goes through it at once, if its segments are whole blocks.
public enum WeightGradient<S: Scalar> {
  public static var blockSteps: Int { 16 }

  /// Calls `body` with the blocks of `steps`, last first.
  @inline(__always)
  public static func forEachBlock(of steps: Range<Int>, _ body: (Range<Int>) -> Void) {
    var end = steps.upperBound
    while end > steps.lowerBound {
      let start = max((end - 1) / blockSteps * blockSteps, steps.lowerBound)
      body(start..<end)
      end = start
    }
  }

  /// W (depth x columns) += sum over rows of xᵀ δ.
  ///
  /// - Parameters:
  ///   - steps: the steps to sum over, counted from the beginning of the sequence.
  ///   - x: the first row of step 0, `batch` rows a step, of `depth` values; `delta` likewise, of
  ///     `columns` values. Only the rows of `steps` are read.
  static func addProduct(
    steps: Range<Int>, batch: Int, depth: Int, columns: Int,
    x: UnsafePointer<S>, xStride: Int, delta: UnsafePointer<S>, deltaStride: Int,
    into weights: UnsafeMutablePointer<S>, stride: Int, threads: Int
  ) {
    forEachBlock(of: steps) { block in
      let row = block.lowerBound * batch
      S.addOuterProduct(
        rows: block.count * batch, k: depth, n: columns,
        a: x + row * xStride, aStride: xStride, d: delta + row * deltaStride,
        dStride: deltaStride, w: weights, wStride: stride, threads: threads)
    }
  }

  /// sums[j] += sum over rows of δ[j]: the gradient of a bias.
  static func addColumnSums(
    steps: Range<Int>, batch: Int, columns: Int,
    delta: UnsafePointer<S>, deltaStride: Int, into sums: UnsafeMutablePointer<S>
  ) {
    forEachBlock(of: steps) { block in
      for row in block.lowerBound * batch..<block.upperBound * batch {
        let values = delta + row * deltaStride
        for j in 0..<columns { sums[j] += values[j] }
      }
    }
  }
}
