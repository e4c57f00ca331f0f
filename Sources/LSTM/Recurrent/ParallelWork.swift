/// Work that the thread pool can call: a class without type parameters, because the pool's tasks are C
/// functions.
class ParallelWork {
  /// One part of the work; called once for each part, at the same time.
  func perform(part: Int, of parts: Int) {}

  /// Performs all parts: at most `parts`, fewer if the pool has not as many threads to give.
  final func performInParallel(_ parts: Int) {
    guard parts > 1 else { return perform(part: 0, of: 1) }
    ThreadPool.shared.run(parts: parts, Unmanaged.passUnretained(self).toOpaque()) {
      Unmanaged<ParallelWork>.fromOpaque($0).takeUnretainedValue().perform(part: $1, of: $2)
    }
  }
}

/// How a pass over a sequence is divided between threads.
///
/// Rows of the batch are independent of each other: each thread takes its rows through the whole
/// sequence and never waits. A batch of a few rows cannot be divided like that; if the cell is large,
/// its units are divided instead, and the threads meet after each step.
enum SequenceSplit: Equatable {
  case none
  case rows(parts: Int)
  case units(parts: Int)

  /// Multiplications in a pass that are worth waking a thread for: some 30 microseconds of work.
  private static let worthwhile = 4e6
  /// Multiplications in one step that are worth meeting for after it: about half a microsecond.
  private static let worthwhileStep = 5e4
  /// Rows that a thread should have at least: fewer do not fill a tile of the kernels.
  private static let rowsPerPart = 4

  static func isWorthwhile(batch: Int, steps: Int, stepWork: Int) -> Bool {
    Double(stepWork) * Double(batch) * Double(steps) >= worthwhile
  }

  /// - Parameter stepWork: multiplications of one step and row.
  static func choose(
    threads: Int, batch: Int, steps: Int, stepWork: Int, dividesUnits: Bool
  ) -> SequenceSplit {
    guard threads > 1 else { return .none }
    let parts = min(threads, batch / rowsPerPart)
    // In floating point: sizes of an execution multiply to anything.
    let rowWork = Double(stepWork) * Double(batch)
    if parts > 1 {
      return isWorthwhile(batch: batch, steps: steps, stepWork: stepWork)
        ? .rows(parts: parts) : .none
    }
    guard dividesUnits, rowWork >= worthwhileStep else { return .none }
    return .units(parts: threads)
  }
}
