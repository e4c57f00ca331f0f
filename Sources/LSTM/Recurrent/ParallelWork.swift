/// Work that the thread pool can call: a class without type parameters, because the pool's tasks are C
/// functions.
class ParallelWork {
  /// One part of the work; called once for each part, at the same time.
  func perform(part: Int, of parts: Int) {}

  /// Performs all parts: at most `parts`, fewer if the pool has not as many threads to give.
  /// - Parameter independent: no part waits for another.
  final func performInParallel(_ parts: Int, independent: Bool = false) {
    guard parts > 1 else { return perform(part: 0, of: 1) }
    let this = Unmanaged.passUnretained(self).toOpaque()
    ThreadPool.shared.run(parts: parts, independent: independent, this) {
      Unmanaged<ParallelWork>.fromOpaque($0).takeUnretainedValue().perform(part: $1, of: $2)
    }
  }
}

/// How a pass over a sequence is divided between threads.
///
/// Rows of the batch are independent of each other: each thread takes its rows through the whole
/// sequence and never waits, but reads all weights. Where that is what costs (few rows, weights that no near cache
/// holds) the units are divided instead, and the threads meet after each step.
enum SequenceSplit: Equatable {
  case none
  case rows(parts: Int)
  case units(parts: Int)

  /// Multiplications in a pass that are worth another thread, if it happens to be awake: some 20 to 50 microseconds.
  private static let worthwhile = 4e6
  /// Multiplications in one step that are worth meeting for after it: about half a microsecond.
  private static let worthwhileStep = 5e4
  /// Rows that a thread should have at least: fewer do not fill a tile of the kernels.
  private static let rowsPerPart = 4
  /// Multiplications that take as long as a unit's gates and cell.
  private static let gateWork = 128

  /// Bytes of recurrent weights that each core's cache holds beside all else, and so many that it holds half of them
  /// at best.
  private static let near = 256 << 10
  private static let far = 3 << 20
  /// Rows of a thread from which on multiplying takes longer than reading weights that are far.
  private static let rowsThatHideReading = 16

  /// What the choice depends on.
  struct Size {
    let batch: Int
    let steps: Int
    let units: Int
    /// Multiplications of one step and row.
    let stepWork: Int
    /// Bytes of what each step multiplies its h with.
    let recurrentBytes: Int

    // In floating point: sizes of an execution multiply to anything.
    fileprivate var rowWork: Double { Double(stepWork) * Double(batch) }
    /// Of one step, in units of a multiplication.
    var work: Double { Double(stepWork + gateWork * units) * Double(batch) }
    var isWorthwhile: Bool { work * Double(steps) >= worthwhile }
    /// A core's cache holds what each step reads.
    var isNear: Bool { recurrentBytes <= near }
  }

  static func choose(threads: Int, _ size: Size, dividesUnits: Bool) -> SequenceSplit {
    guard threads > 1 else { return .none }
    let parts = min(threads, size.batch / rowsPerPart)
    let reading =
      size.recurrentBytes >= far && size.batch <= threads * rowsThatHideReading
    let prefersRows = (size.batch > 1 && size.isNear) || (parts > 1 && !reading)
    if dividesUnits, !prefersRows, size.rowWork >= worthwhileStep { return .units(parts: threads) }
    let most = min(threads, size.batch)
    return most > 1 && size.isWorthwhile ? .rows(parts: most) : .none
  }
}
