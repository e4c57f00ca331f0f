/// What is told about a batch beside its loss: means over the positions that are not masked.
public enum Metric: String, CaseIterable, Sendable {
  /// Share of right answers; what is right depends on the loss.
  case accuracy
  case meanAbsoluteError = "mae"
  case meanSquaredError = "mse"

  public var name: String { rawValue }

  /// The metric of one position: for classes 1 if the largest output is the target's, for
  /// `binaryCrossEntropy` the share of features on the right side of one half (Keras).
  @inline(__always)
  func position<S: Scalar>(
    _ y: UnsafePointer<S>, _ target: UnsafePointer<S>, width: Int, loss: Loss
  ) -> Double {
    switch (self, loss) {
    case (.accuracy, .sparseCategoricalCrossEntropy):
      return Metric.largest(y, width) == Int(target[0]) ? 1 : 0
    case (.accuracy, .categoricalCrossEntropy):
      return Metric.largest(y, width) == Metric.largest(target, width) ? 1 : 0
    case (.accuracy, .binaryCrossEntropy(fromLogits: true)):
      return Metric.share(y, target, width, threshold: 0)
    case (.accuracy, _):
      return Metric.share(y, target, width, threshold: 0.5)
    case (_, .sparseCategoricalCrossEntropy):
      return Metric.error(width, self) { Double(y[$0]) - ($0 == Int(target[0]) ? 1 : 0) }
    default:
      return Metric.error(width, self) { Double(y[$0]) - Double(target[$0]) }
    }
  }

  /// Index of the first of the largest values.
  private static func largest<S: Scalar>(_ values: UnsafePointer<S>, _ count: Int) -> Int {
    var best = 0
    for j in 0..<count where values[j] > values[best] { best = j }
    return best
  }

  private static func share<S: Scalar>(
    _ y: UnsafePointer<S>, _ target: UnsafePointer<S>, _ width: Int, threshold: S
  ) -> Double {
    var right = 0
    for j in 0..<width where (y[j] > threshold) == (target[j] > 0.5) { right += 1 }
    return Double(right) / Double(width)
  }

  @inline(__always)
  private static func error(_ width: Int, _ metric: Metric, _ of: (Int) -> Double) -> Double {
    var sum = 0.0
    for j in 0..<width {
      let error = of(j)
      sum += metric == .meanSquaredError ? error * error : abs(error)
    }
    return sum / Double(width)
  }
}
