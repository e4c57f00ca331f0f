/// The order in which the gradients of a cell's weights are summed over steps and rows, and how many steps make one
/// product.
///
/// The gradients are read and written once for each product, so a product has to have enough rows. From 16 rows
/// of the batch on blocks of 16 steps do, aligned at multiples of 16: they come last first, rows ascending within
/// each. Smaller batches need longer blocks, and so sum from the last row of the last step to the first of the
/// first: where a block ends does not show. Sequences that are trained in segments of a multiple of 16 steps give
/// the same bits as in one piece in both cases.
struct SumOrder {
  let descends: Bool
  /// Steps of a block.
  let block: Int

  private static let alignedSteps = WeightGradient<Float>.blockSteps
  private static let rows = 256

  init(batch: Int, steps: Int) {
    descends = batch < SumOrder.rows / SumOrder.alignedSteps
    guard descends else {
      block = min(steps, SumOrder.alignedSteps)
      return
    }
    // Blocks of nearly equal length.
    let most = SumOrder.rows / batch
    let blocks = max((steps + most - 1) / most, 1)
    block = (steps + blocks - 1) / blocks
  }
}

extension SequenceFrame {
  /// Calls `body` with each run of neighbouring valid rows of a block of steps, in the order of the sums: the step
  /// and row where it begins and the number of rows, which may reach over several steps. Step 0 has runs
  /// of its own, since what precedes it lies elsewhere.
  @inline(__always)
  func forEachValidRun(ofBlock block: Range<Int>, _ body: (Int, Int, Int) -> Void) {
    let (begin, end) = (block.lowerBound * batch, block.upperBound * batch)
    let second = begin == 0 ? min(batch, end) : begin
    let (first, others) = (begin..<second, second..<end)
    forEachRun(of: sums.descends ? others : first, body)
    forEachRun(of: sums.descends ? first : others, body)
  }

  @inline(__always)
  private func forEachRun(of rows: Range<Int>, _ body: (Int, Int, Int) -> Void) {
    var rest = rows
    while !rest.isEmpty {
      var run = rest
      if hasMask {
        run = sums.descends ? lastRun(of: rest) : firstRun(of: rest)
      }
      if !run.isEmpty { body(run.lowerBound / batch, run.lowerBound % batch, run.count) }
      rest =
        sums.descends ? rest.lowerBound..<run.lowerBound : run.upperBound..<rest.upperBound
    }
  }

  private func firstRun(of rows: Range<Int>) -> Range<Int> {
    var first = rows.lowerBound
    while first < rows.upperBound, !isValid(first / batch, first % batch) { first += 1 }
    var end = first
    while end < rows.upperBound, isValid(end / batch, end % batch) { end += 1 }
    return first..<end
  }

  private func lastRun(of rows: Range<Int>) -> Range<Int> {
    var end = rows.upperBound
    while end > rows.lowerBound, !isValid((end - 1) / batch, (end - 1) % batch) { end -= 1 }
    var first = end
    while first > rows.lowerBound, isValid((first - 1) / batch, (first - 1) % batch) { first -= 1 }
    return first..<end
  }
}
