import KernelInterface

/// The masks with which a layer drops units of h(t-1): one per row and gate, fixed over the sequence,
/// scaled by 1 / (1 - rate) (Keras `LSTMCell.call`, implementation 1).
struct RecurrentDropout<S: Scalar> {
  let rate: Double
  let blocks: Int
  let width: Int
  /// "Step" b holds the masks of block b.
  let masks: StepRows<S>
  /// A row for what is dropped, per row of the batch.
  let scratch: StepRows<S>

  init(
    _ plan: ExecutionPlan<S>, rate: Double, blocks: Int, batch: Int, width: Int
  ) throws(EngineError) {
    self.rate = rate
    self.blocks = blocks
    self.width = width
    masks = try StepRows(plan, batch: batch, width: width, period: blocks)
    scratch = try StepRows(plan, batch: batch, width: width, period: 1)
  }

  func draw(key: UInt64) {
    for block in 0..<blocks {
      for row in 0..<masks.batch {
        drawMask(
          masks.at(block, row), count: width, rate: rate, key: key,
          first: (block * masks.batch + row) * width)
      }
    }
  }

  func row(_ row: Int) -> RecurrentDropoutRow<S> {
    RecurrentDropoutRow(
      masks: masks.at(0, row), blockStride: masks.batch * masks.stride, width: width,
      scratch: scratch.at(0, row))
  }
}

extension RecurrentDropout where S == Float {
  /// mask ⊙ h for some rows, into "step" `block` of `dropped`.
  func apply(
    _ block: Int, _ rows: Range<Int>, to hidden: StepRows<Float>, _ step: Int,
    into dropped: StepRows<Float>, _ kernels: KernelTable
  ) {
    for row in rows {
      let to = dropped.at(block, row)
      to.update(repeating: 0, count: width)
      kernels.multiplyAdd(width, hidden.at(step, row), masks.at(block, row), to)
    }
  }
}

/// The masks of one row of the batch.
struct RecurrentDropoutRow<S: Scalar> {
  let masks: UnsafeMutablePointer<S>
  let blockStride: Int
  let width: Int
  let scratch: UnsafeMutablePointer<S>

  func mask(_ block: Int) -> UnsafePointer<S> { UnsafePointer(masks + block * blockStride) }

  /// mask ⊙ h, valid until the next call.
  func dropped(_ block: Int, _ h: UnsafePointer<S>) -> UnsafePointer<S> {
    let mask = mask(block)
    for j in 0..<width { scratch[j] = mask[j] * h[j] }
    return UnsafePointer(scratch)
  }

  /// The scratch row, set to zero.
  func cleared(_ count: Int) -> UnsafeMutablePointer<S> {
    scratch.update(repeating: 0, count: count)
    return scratch
  }
}

/// A dropout mask: 0 with probability `rate`, else 1 / (1 - rate). The elements are functions of key and
/// index, so that they do not depend on the order in which they are drawn.
func drawMask<S: Scalar>(
  _ mask: UnsafeMutablePointer<S>, count: Int, rate: Double, key: UInt64, first: Int
) {
  let kept = S(1 / (1 - rate))
  for j in 0..<count {
    mask[j] = RandomGenerator.uniform(key: key, index: first + j) < rate ? 0 : kept
  }
}

/// Zoneout of one row at one step (Krueger et al., arXiv 1606.01305): with probability `rate` a unit
/// keeps its old value in training; in inference it takes the expectation of the two.
struct Zoneout<S: Scalar> {
  let rate: Double
  let isTraining: Bool
  /// Source of randomness of this pass, for c and for h.
  let cellKey: UInt64
  let hiddenKey: UInt64
  /// Index of the row in the sequence.
  let row: Int
  let units: Int

  /// How much of the old c is kept: 0 or 1 in training.
  func cellShare(_ j: Int) -> S { share(cellKey, j) }
  func hiddenShare(_ j: Int) -> S { share(hiddenKey, j) }

  func cell(_ j: Int, kept: S, new: S) -> S { mix(cellShare(j), kept, new) }
  func hidden(_ j: Int, kept: S, new: S) -> S { mix(hiddenShare(j), kept, new) }

  private func share(_ key: UInt64, _ j: Int) -> S {
    guard isTraining else { return S(rate) }
    return RandomGenerator.uniform(key: key, index: row * units + j) < rate ? 1 : 0
  }

  private func mix(_ share: S, _ kept: S, _ new: S) -> S { share * kept + (1 - share) * new }
}
