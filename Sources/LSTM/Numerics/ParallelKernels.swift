import KernelInterface

/// Products split over the thread pool: over rows or columns of the result, never over the sum, so
/// that the number of threads changes no bit.
enum ParallelKernels {
  /// Multiplications that are worth a second thread: about 10 microseconds of work.
  static let worthwhile = 1 << 20

  private struct Job<Arguments> {
    var arguments: Arguments
    var kernels: KernelTable
    var splitsRows = false
  }

  static func product(_ arguments: ProductArguments, _ kernels: KernelTable, threads: Int) {
    let work = arguments.rows &* arguments.columns &* arguments.depth
    guard threads > 1, work >= worthwhile else {
      withUnsafePointer(to: arguments) { kernels.product($0) }
      return
    }
    var job = Job(arguments: arguments, kernels: kernels)
    job.splitsRows = arguments.rows >= threads * rowUnit
    run(&job, threads) { raw, part, parts in
      let job = raw.assumingMemoryBound(to: Job<ProductArguments>.self).pointee
      var own = job.arguments
      if job.splitsRows {
        let rows = ParallelKernels.share(own.rows, unit: ParallelKernels.rowUnit, part, parts)
        own.rows = rows.count
        own.a += rows.lowerBound * own.aStride
        own.c += rows.lowerBound * own.cStride
      } else {
        let columns = ParallelKernels.share(
          own.columns, unit: job.kernels.panelWidth(own.format), part, parts)
        own.take(columns: columns, job.kernels)
      }
      job.kernels.product(&own)
    }
  }

  /// Each part has scratch of its own; `arguments.scratch` serves when there is one part only.
  static func outerProduct(
    _ arguments: OuterProductArguments, _ kernels: KernelTable, threads: Int
  ) {
    let work = arguments.rows &* arguments.columns &* arguments.depth
    guard threads > 1, work >= worthwhile else {
      var all = arguments
      kernels.outerProduct(&all)
      return
    }
    var job = Job(arguments: arguments, kernels: kernels)
    run(&job, threads) { raw, part, parts in
      ParallelKernels.outerProductShare(
        raw.assumingMemoryBound(to: Job<OuterProductArguments>.self).pointee, part, parts)
    }
  }

  private static func outerProductShare(
    _ job: Job<OuterProductArguments>, _ part: Int, _ parts: Int
  ) {
    withOuterProductScratch(depth: job.arguments.depth, job.kernels) { scratch, count in
      var own = job.arguments
      own.scratch = scratch
      own.scratchCount = count
      own.takeShare(part, of: parts, job.kernels)
      job.kernels.outerProduct(&own)
    }
  }

  /// Scratch of at most 200 KiB: a temporary allocation cannot fail, so it must find room in the reserve for
  /// bad times (reserve.c).
  static func withOuterProductScratch(
    depth: Int, _ kernels: KernelTable, _ body: (UnsafeMutablePointer<Float>, Int) -> Void
  ) {
    let count = kernels.outerProductScratch(256, min(depth, 96))
    withUnsafeTemporaryAllocation(
      byteCount: count * MemoryLayout<Float>.stride, alignment: Memory.alignment
    ) { scratch in
      guard let base = scratch.baseAddress else { return }
      body(base.assumingMemoryBound(to: Float.self), count)
    }
  }

  private static func run<Arguments>(
    _ job: inout Job<Arguments>, _ threads: Int, _ task: ThreadPool.Task
  ) {
    withUnsafeMutablePointer(to: &job) {
      ThreadPool.shared.run(parts: threads, independent: true, $0, task)
    }
  }

  /// Rows by which a product is split: whole tiles of every instruction set.
  static let rowUnit = 12

  /// The part's share of `0 ..< count`, in multiples of `unit` but for the last.
  static func share(_ count: Int, unit: Int, _ part: Int, _ parts: Int) -> Range<Int> {
    let units = (count + unit - 1) / unit
    let first = min(count, units * part / parts * unit)
    return first..<min(count, units * (part + 1) / parts * unit)
  }
}

extension OuterProductArguments {
  /// One thread's part: some columns, or some rows where there are too few columns for all threads.
  mutating func takeShare(_ part: Int, of parts: Int, _ kernels: KernelTable) {
    guard columns >= parts * kernels.panelWidth else {
      var first = OuterFactor(depth: depth, a: a, aStride: aStride, c: c, cStride: cStride)
      first.takeShare(part, of: parts)
      depth = first.depth
      a = first.a
      c = first.c
      second?.takeShare(part, of: parts)
      return
    }
    let share = ParallelKernels.share(columns, unit: kernels.panelWidth, part, parts)
    columns = share.count
    if dBlocks == nil { d += share.lowerBound } else { dBlocks?.first += share.lowerBound }
    c += share.lowerBound
    second?.c += share.lowerBound
  }
}

extension OuterFactor {
  fileprivate mutating func takeShare(_ part: Int, of parts: Int) {
    let share = ParallelKernels.share(depth, unit: ParallelKernels.rowUnit, part, parts)
    depth = share.count
    a += share.lowerBound
    c += share.lowerBound * cStride
  }
}
