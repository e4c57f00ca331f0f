import KernelInterface

/// Where the fused step of a thread that has a part of the batch writes, before whole rows go where the sequence keeps
/// them.
///
/// The step writes a line of each row, then the next line of each. Processors take that for a stride and fetch what follows
/// the last row: rows of another thread, which writes them at the same time. Such a line travels from core to core and
/// back, which takes longer than a row's products where the two share no cache. Rows that are written from their
/// beginning to their end have no such neighbours but the next line.
struct StepStaging {
  private let base: UnsafeMutablePointer<Float>
  private let hidden: Int
  private let cell: Int
  private let gates: Int
  /// Of all these, for one row of the batch.
  private let row: Int

  /// Floats of a thread's rows, 128 KiB. Copying more costs what it saves.
  private static let most = 32 << 10
  /// A thread's rows from which on copying the gates of a tape, too, costs less than it saves.
  private static let leastWithGates = 16
  /// Between the rows of two threads, for each row that they have.
  private static let gap = 4 * Memory.rowGranularity

  /// nil where no thread would have rows here.
  init?(_ frame: SequenceFrame<Float>, _ tape: LSTMTape<Float>) throws(EngineError) {
    hidden = frame.hidden.stride
    cell = tape.newCell.stride
    gates = frame.keeps ? tape.gates.stride : 0
    row = 2 * hidden + cell + gates
    let threads = min(ThreadPool.shared.limit, frame.batch)
    guard threads > 1 else { return nil }
    // A batch that is divided has parts from the one size to the other.
    let (smallest, largest) = (frame.batch / threads, (frame.batch + 1) / 2)
    guard smallest * row <= StepStaging.most,
      gates == 0 || largest >= StepStaging.leastWithGates
    else { return nil }
    base = try frame.plan.arena.allocate(
      count: Memory.product(frame.batch, row + StepStaging.gap))
  }

  /// A thread's own; nil if they are so many, or with gates so few, that other threads' lines matter less.
  func rows(of part: Range<Int>) -> StagedRows? {
    guard gates == 0 || part.count >= StepStaging.leastWithGates,
      part.count * row <= StepStaging.most
    else { return nil }
    let first = base + part.lowerBound * (row + StepStaging.gap)
    let cells = first + 2 * part.count * hidden
    return StagedRows(
      hidden: first, hiddenCount: part.count * hidden, cell: cells, cellCount: part.count * cell,
      gates: cells + part.count * cell, gatesCount: part.count * gates)
  }
}

/// One thread's rows: h of two steps, c and gates of one.
struct StagedRows {
  fileprivate let hidden: UnsafeMutablePointer<Float>
  fileprivate let hiddenCount: Int
  fileprivate let cell: UnsafeMutablePointer<Float>
  fileprivate let cellCount: Int
  fileprivate let gates: UnsafeMutablePointer<Float>
  fileprivate let gatesCount: Int

  private func hidden(_ step: Int) -> UnsafeMutablePointer<Float> {
    hidden + step % 2 * hiddenCount
  }

  /// Runs a step here, and then writes its rows where `arguments` has them: c only if `keepsCell`.
  @inline(__always)
  func run(
    _ arguments: LSTMStepArguments, _ step: Int, keepsCell: Bool, _ kernels: KernelTable
  ) {
    var staged = arguments
    // What precedes the first step is in the sequence's own rows.
    if step > 0 {
      staged.hidden = UnsafePointer(hidden(step - 1))
      staged.previousCell = UnsafePointer(cell)
    }
    staged.output = hidden(step)
    staged.cell = cell
    if arguments.gates != nil { staged.gates = gates }
    kernels.lstmStep(&staged)
    arguments.output.update(from: hidden(step), count: hiddenCount)
    if keepsCell { arguments.cell.update(from: cell, count: cellCount) }
    arguments.gates?.update(from: gates, count: gatesCount)
  }
}
