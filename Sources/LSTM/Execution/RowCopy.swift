/// Rows that are copied as they are between two arrays, (batch, time) in each, or set to zero.
struct RowCopy {
  let target: UnsafeMutableRawPointer
  /// nil: zeros.
  let source: UnsafeRawPointer?
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

  /// Copies all rows. A thread takes those rows of the batch that it also takes through a sequence: they come into its
  /// core's cache, and leave no other's. One row is divided by its steps.
  func run(threads: Int) {
    guard threads > 1, Double(bytes) * Double(batch) * Double(time) >= Double(RowCopy.worthwhile)
    else { return copy(rows: 0..<batch, steps: 0..<time) }
    var this = self
    let parts = min(threads, batch > 1 ? batch : time)
    ThreadPool.shared.run(parts: parts, independent: true, &this) { raw, part, parts in
      let copy = raw.assumingMemoryBound(to: RowCopy.self).pointee
      var (rows, steps) = (0..<copy.batch, 0..<copy.time)
      if rows.count > 1 {
        rows = ParallelKernels.share(rows.count, unit: 1, part, parts)
      } else {
        steps = ParallelKernels.share(steps.count, unit: 1, part, parts)
      }
      copy.copy(rows: rows, steps: steps)
    }
  }

  private func copy(rows: Range<Int>, steps: Range<Int>) {
    var (rows, steps, bytes) = (rows, steps, bytes)
    // Rows without gaps are one, and so are steps of all rows: of large blocks the C library does not first fetch from
    // another core what it overwrites.
    if targetBatch == bytes && (source == nil || sourceBatch == bytes) {
      bytes *= rows.count
      let isWhole =
        rows.count == batch && targetTime == bytes && (source == nil || sourceTime == bytes)
      rows = rows.prefix(1)
      if isWhole {
        bytes *= steps.count
        steps = steps.prefix(1)
      }
    }
    for t in steps {
      for b in rows {
        let row = target + (b * targetBatch + t * targetTime)
        if let source {
          row.copyMemory(from: source + (b * sourceBatch + t * sourceTime), byteCount: bytes)
        } else {
          row.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
        }
      }
    }
  }
}

extension Signal {
  /// Sets dL/dvalues to zero.
  func zeroGradient(threads: Int) {
    guard let gradient else { return }
    let bytes = stride * MemoryLayout<S>.stride
    RowCopy(
      target: gradient, source: nil, batch: batch, time: time, bytes: bytes, targetBatch: bytes,
      targetTime: batch * bytes, sourceBatch: 0, sourceTime: 0
    ).run(threads: threads)
  }
}
