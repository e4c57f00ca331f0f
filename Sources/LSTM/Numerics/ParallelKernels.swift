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
          own.columns, unit: own.panelWidth(job.kernels), part, parts)
        own.columns = columns.count
        own.skip(columns: columns.lowerBound)
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
      withUnsafePointer(to: arguments) { kernels.outerProduct($0) }
      return
    }
    var job = Job(arguments: arguments, kernels: kernels)
    job.splitsRows = arguments.columns < threads * kernels.panelWidth
    run(&job, threads) { raw, part, parts in
      let job = raw.assumingMemoryBound(to: Job<OuterProductArguments>.self).pointee
      var own = job.arguments
      if job.splitsRows {
        let rows = ParallelKernels.share(own.depth, unit: ParallelKernels.rowUnit, part, parts)
        own.depth = rows.count
        own.a += rows.lowerBound
        own.c += rows.lowerBound * own.cStride
      } else {
        let columns = ParallelKernels.share(own.columns, unit: job.kernels.panelWidth, part, parts)
        own.columns = columns.count
        own.d += columns.lowerBound
        own.c += columns.lowerBound
      }
      withUnsafeTemporaryAllocation(
        byteCount: job.kernels.outerProductScratch * MemoryLayout<Float>.stride,
        alignment: Memory.alignment
      ) { scratch in
        guard let base = scratch.baseAddress else { return }
        own.scratch = base.assumingMemoryBound(to: Float.self)
        job.kernels.outerProduct(&own)
      }
    }
  }

  private static func run<Arguments>(
    _ job: inout Job<Arguments>, _ threads: Int, _ task: ThreadPool.Task
  ) {
    withUnsafeMutablePointer(to: &job) { ThreadPool.shared.run(parts: threads, $0, task) }
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
