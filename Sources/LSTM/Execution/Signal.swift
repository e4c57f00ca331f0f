/// What flows along an edge of the graph during an execution: a matrix of `time * batch` rows,
/// time-major (row t * batch + b), in memory of the execution's arena.
public struct Signal<S: Scalar> {
  public let batch: Int
  /// Number of steps; 1 for a signal without a time axis.
  public let time: Int
  public let hasTime: Bool
  public let width: Int
  /// Scalars from row to row, `width` rounded up to 16; what lies between is of no meaning.
  public let stride: Int
  public let values: UnsafeMutablePointer<S>
  /// dL/dvalues, same layout; only in executions that keep for the backward pass. Consumers add.
  public let gradient: UnsafeMutablePointer<S>?
  /// One byte per row, 0 where the step is masked or padded; nil: every step is valid.
  public var mask: UnsafeMutablePointer<UInt8>?
  /// The rows as ids instead of `values`, for inputs of kind `ids`.
  public let ids: UnsafeMutablePointer<Int32>?

  public var rows: Int { time * batch }
}

/// Rows of the caller's that a pass reads or writes where they are instead of a copy: row t * batch + b at that many
/// strides. Behind `width` values of a row there may be nothing that can be touched.
struct BorrowedRows<S: Scalar> {
  let values: UnsafeMutablePointer<S>
  let stride: Int
}

extension Signal {
  /// A recurrent layer's final state as the signal of a layer without a time axis: the same memory.
  init(_ state: StateSlot<S>, batch: Int) {
    self.init(
      batch: batch, time: 1, hasTime: false, width: state.width, stride: state.stride,
      values: state.final, gradient: state.finalGradient, mask: nil, ids: nil)
  }
}

/// The state of one recurrent layer that the caller may set, read, and differentiate: `batch` rows
/// of `width`.
public struct StateSlot<S: Scalar> {
  public let width: Int
  public let stride: Int
  /// Before the first step; zero unless set.
  public let initial: UnsafeMutablePointer<S>
  /// After the last (valid) step of each row.
  public let final: UnsafeMutablePointer<S>
  /// dL/dinitial, an output of the backward pass.
  public let initialGradient: UnsafeMutablePointer<S>?
  /// dL/dfinal, an input of the backward pass.
  public let finalGradient: UnsafeMutablePointer<S>?
}

/// What an execution is for; fixed when its memory is laid out.
public struct ExecutionMode: Hashable, Sendable {
  /// Keeps what the backward pass needs.
  public var keepsForBackward = false
  /// Records the norms of dL/dc(t) and dL/dh(t) in the backward pass.
  public var recordsGradientFlow = false
  /// One step per call, the state carried from call to call.
  public var isStream = false
  /// The caller gives a mask or lengths.
  public var takesMask = false

  public init(
    keepsForBackward: Bool = false, recordsGradientFlow: Bool = false, isStream: Bool = false,
    takesMask: Bool = false
  ) {
    self.keepsForBackward = keepsForBackward
    self.recordsGradientFlow = recordsGradientFlow
    self.isStream = isStream
    self.takesMask = takesMask
  }
}

/// What may change from one pass of an execution to the next.
public final class RunContext {
  /// Dropout, recurrent dropout, zoneout and noise are active, BatchNormalization uses the batch.
  public var isTraining = false
  /// Source of all randomness of the pass; layers derive their own keys from it and their index.
  public var randomKey: UInt64 = 0
  /// Position of the first row in the whole batch, if this execution runs a part of one: the
  /// randomness of a row depends on its place in the whole.
  public var firstRow = 0
  /// Overrides what recurrent layers emit at masked steps.
  public var maskedOutput: MaskedOutput?
  /// Step of the sequence that is step 0 of this pass, for sequences that come in segments.
  public var firstStep = 0
  /// Upper limit for the number of threads.
  public var threads = 1

  public init() {}
}
