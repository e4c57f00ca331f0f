/// A cell bound to the memory of one direction: what it computes at each step, for some rows of the
/// batch that are all valid. Overrides carry `@_specialize`, as those of ``LayerRun``.
class CellRun<S: Scalar> {
  let frame: SequenceFrame<S>

  init(_ frame: SequenceFrame<S>) { self.frame = frame }

  /// Before the first step of a pass: draws masks.
  func prepareForward() {}

  /// How many steps a thread walks over between two calls of `beginForward`.
  var inputBlock: Int { frame.steps }

  /// Before a thread walks over some steps with its rows of the batch.
  func beginForward(_ steps: Range<Int>, part: Range<Int>) {}

  /// From x(s), h(s-1), c(s-1) to h(s), c(s), for valid rows among the thread's own.
  func forward(_ step: Int, _ rows: Range<Int>, part: Range<Int>) {}

  /// Several steps with all of the thread's rows, without anything between them.
  func forward(_ steps: Range<Int>, part: Range<Int>) {
    for step in steps { forward(step, part, part: part) }
  }

  /// Multiplications of one step and row.
  var stepWork: Int { 0 }

  /// Several threads may share the units of a step (`forwardUnits`).
  var dividesUnits: Bool { false }

  /// The thread's share of a step's units, for all rows; `beginForward` was called with all rows by
  /// one of the threads.
  func forwardUnits(_ step: Int, part: Int, of parts: Int) {}

  /// The thread's share of the input products of some steps.
  func beginForwardUnits(_ steps: Range<Int>, part: Int, of parts: Int) {}

  /// From dL/dh(s) in `hidden` and what step s+1 sent to c(s) in `cell` to the same of step s-1; adds to
  /// the input's gradient (or leaves that to `finishBackward`).
  func backward(_ step: Int, _ rows: Range<Int>, _ gradient: StateGradients<S>) {}

  /// Several threads may share the units of a step's way back (`backwardUnits`), in multiples of so many; 0: they
  /// may not.
  var backwardUnit: Int { 0 }

  /// `backward` in two stages, for some units: their deltas, and, when all threads have made theirs, what all deltas
  /// send to h(s-1) at these units.
  func backwardUnits(
    _ step: Int, _ rows: Range<Int>, _ units: Range<Int>, _ gradient: StateGradients<S>
  ) {}
  func sendToHiddenUnits(
    _ step: Int, _ rows: Range<Int>, _ units: Range<Int>, _ gradient: StateGradients<S>
  ) {}

  /// Threads that can take part in a backward pass.
  var backwardParts: Int { ThreadPool.shared.limit }

  /// After the steps of a block went backwards: adds their share to the parameters' gradients, in
  /// ascending order of steps and rows. Each thread sums its share of the parameters.
  func finishBackward(_ block: Range<Int>, part: Int, of parts: Int) {}

  /// A masked row of a step: nothing of it may show in traces.
  func skip(_ step: Int, _ row: Int) {}
  func skipBackward(_ step: Int, _ row: Int, _ gradient: StateGradients<S>) {}

  /// Rows of a field by step, all steps kept; nil if the cell does not have it.
  func trace(_ field: TraceField) -> CellTrace<S>? { nil }
}

/// dL/dh and dL/dc on their way back through time, `batch` rows each.
struct StateGradients<S: Scalar> {
  let hidden: UnsafeMutablePointer<S>
  let hiddenStride: Int
  let cell: UnsafeMutablePointer<S>?
  let cellStride: Int
}

/// A column block of rows, in processing order.
struct CellTrace<S: Scalar> {
  let rows: StepRows<S>
  let first: Int
  let width: Int
  /// The field is 1 minus what is there (a coupled forget gate).
  var isComplement = false

  init(_ rows: StepRows<S>, first: Int = 0, width: Int, isComplement: Bool = false) {
    self.rows = rows
    self.first = first
    self.width = width
    self.isComplement = isComplement
  }
}

extension Activation {
  /// The derivative cannot be told from the function's value alone.
  var derivativeNeedsInput: Bool {
    switch self {
    case .linear, .tanh, .sigmoid, .exponential: false
    default: true
    }
  }
}
