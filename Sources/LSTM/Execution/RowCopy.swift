/// Rows that are copied as they are between two arrays, (batch, time) in each.
struct RowCopy {
  let target: UnsafeMutableRawPointer
  let source: UnsafeRawPointer
  let batch: Int
  let time: Int
  /// Of one row.
  let bytes: Int
  /// In bytes, from row to row of the batch and from step to step.
  let targetBatch: Int
  let targetTime: Int
  let sourceBatch: Int
  let sourceTime: Int

  /// Bytes that are worth another thread, which at this time is usually awake: some 20 microseconds.
  private static let worthwhile = 256 << 10

  /// Copies all rows, divided between threads by their steps.
  func run(threads: Int) {
    guard threads > 1, Double(bytes) * Double(batch) * Double(time) >= Double(RowCopy.worthwhile)
    else { return copy(steps: 0..<time) }
    var this = self
    ThreadPool.shared.run(parts: min(threads, time), independent: true, &this) { raw, part, parts in
      let copy = raw.assumingMemoryBound(to: RowCopy.self).pointee
      copy.copy(steps: ParallelKernels.share(copy.time, unit: 1, part, parts))
    }
  }

  private func copy(steps: Range<Int>) {
    for t in steps {
      for b in 0..<batch {
        (target + (b * targetBatch + t * targetTime)).copyMemory(
          from: source + (b * sourceBatch + t * sourceTime), byteCount: bytes)
      }
    }
  }
}
