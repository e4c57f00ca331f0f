/// One array of a sequence: `batch` rows a step, of which as many steps as `period` says are kept.
struct StepRows<S: Scalar> {
  let base: UnsafeMutablePointer<S>
  /// Scalars from row to row.
  let stride: Int
  let batch: Int
  /// Step s is kept where step s + period will be.
  let period: Int
  /// Step -1: the state before the first step.
  var initial: UnsafeMutablePointer<S>?
  /// Holds what all copies of this use instead of `base` for one pass.
  private var place: UnsafeMutablePointer<UnsafeMutablePointer<S>?>?

  /// - Parameter isWritten: every row is written before it is read. Padding at the end of rows still has to
  ///   be zero, or finite: products read it.
  init(
    _ plan: ExecutionPlan<S>, batch: Int, width: Int, period: Int, isWritten: Bool = false
  ) throws(EngineError) {
    stride = try Memory.matrixStride(width)
    self.batch = batch
    self.period = max(period, 1)
    base = try plan.arena.allocate(
      count: Memory.product(self.period, batch, stride),
      zeroed: !isWritten || width % Memory.rowGranularity != 0)
  }

  init(
    base: UnsafeMutablePointer<S>, stride: Int, batch: Int, period: Int,
    initial: UnsafeMutablePointer<S>? = nil
  ) {
    self.base = base
    self.stride = stride
    self.batch = batch
    self.period = max(period, 1)
    self.initial = initial
  }

  /// The first row of a step.
  @inline(__always)
  func at(_ step: Int) -> UnsafeMutablePointer<S> {
    if step < 0, let initial { return initial }
    return (place?.pointee ?? base) + (step < period ? step : step % period) * batch * stride
  }

  /// From now on the rows can be moved to other memory, for all copies of this.
  mutating func becomeMovable(_ plan: ExecutionPlan<S>) throws(EngineError) {
    place = try plan.arena.allocate(count: 1)
  }

  /// nil: back to memory of their own.
  func move(to rows: UnsafeMutablePointer<S>?) { place?.pointee = rows }

  @inline(__always)
  func at(_ step: Int, _ row: Int) -> UnsafeMutablePointer<S> { at(step) + row * stride }

  func clear(_ step: Int, _ row: Int) {
    at(step, row).update(repeating: 0, count: stride)
  }
}
