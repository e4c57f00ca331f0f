/// What training takes, before it is taken. The formula is in docs/memory.md.
extension Trainer {
  /// Bytes that a step for `batch` rows of `times[i]` steps allocates beside what the trainer holds
  /// already (`heldByteCount`), in the mode that the options choose.
  public func stepByteCount(
    batch: Int, times: [Int], takesMask: Bool = false
  ) throws(EngineError) -> Int {
    _ = try network.outputTimes(times)
    guard batch >= 1 else {
      throw EngineError(.shape, "the batch must have at least one row, got \(batch)")
    }
    let rows = options.microBatch == 0 ? batch : min(batch, options.microBatch)
    let length = options.truncation?.every ?? options.segment
    let time = times.max() ?? 0
    let mode = ExecutionMode(keepsForBackward: true, takesMask: takesMask)
    let arena = Arena(.measure)
    if options.truncation?.keepsTraces == true {
      _ = try EligibilityTraces(network, batch: rows, arena: arena)
    }
    guard length > 0, time > length else {
      return try Memory.sum(
        runByteCount(batch: rows, times: times, mode: mode), arena.byteCount)
    }
    let parts = SegmentStates<S>.parts(time, every: length)
    var bytes = try runByteCount(batch: rows, times: times.map { _ in length }, mode: mode)
    if let last = parts.last, last.count != length {
      bytes = try Memory.sum(
        bytes, runByteCount(batch: rows, times: times.map { _ in last.count }, mode: mode))
    }
    _ = try SegmentStates(
      network: network, batch: rows,
      count: options.truncation?.boundaries(parts.count) ?? parts.count + 1, arena: arena)
    return try Memory.sum(bytes, arena.byteCount)
  }

  private func runByteCount(
    batch: Int, times: [Int], mode: ExecutionMode
  ) throws(EngineError) -> Int {
    let arena = Arena(.measure)
    _ = try TrainingRun(
      network: network, weights: weights, options: options, batch: batch, times: times, mode: mode,
      gradients: gradients.pointer, arena: arena)
    return arena.byteCount
  }

  /// Bytes that the trainer holds whatever the batch, each of the size of the parameters: gradients,
  /// the optimiser's slots, the weights from before the step and the best ones; without the forms of
  /// the weights that the kernels read (about three times the parameters).
  public var heldByteCount: Int {
    let copies = 2 + optimizer.slots.count + (bestWeights == nil ? 0 : 1)
    return network.values.count * MemoryLayout<S>.stride * copies
  }
}
