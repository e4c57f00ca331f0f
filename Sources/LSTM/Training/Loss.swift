/// What training makes small. Each is a mean over the features of a position (a row, or a row's step),
/// then over the positions that are not masked, as in Keras.
public enum Loss: Equatable, Sendable {
  /// (y - t)².
  case meanSquaredError
  /// |y - t|.
  case meanAbsoluteError
  /// (y - t)² / 2 up to |y - t| = delta, delta (|y - t| - delta / 2) beyond (Huber 1964).
  case huber(delta: Double)
  /// -t log p - (1 - t) log(1 - p), where y is p, or p = sigmoid(y).
  case binaryCrossEntropy(fromLogits: Bool)
  /// -Σ t log p over the features, where y is proportional to p, or p = softmax(y).
  case categoricalCrossEntropy(fromLogits: Bool)
  /// The same with the number of the one class whose t is 1 as the target.
  case sparseCategoricalCrossEntropy(fromLogits: Bool)

  /// Keras's: probabilities are clipped to [epsilon, 1 - epsilon], where their gradient is 0.
  static let epsilon = 1e-7

  /// Keras's name.
  public var name: String {
    switch self {
    case .meanSquaredError: "mse"
    case .meanAbsoluteError: "mae"
    case .huber: "huber"
    case .binaryCrossEntropy: "binary_crossentropy"
    case .categoricalCrossEntropy: "categorical_crossentropy"
    case .sparseCategoricalCrossEntropy: "sparse_categorical_crossentropy"
    }
  }

  /// Targets are class numbers, one for each position.
  public var hasClassTargets: Bool {
    if case .sparseCategoricalCrossEntropy = self { return true }
    return false
  }

  /// The features of a target for an output of `width` features.
  func targetWidth(_ width: Int) -> Int { hasClassTargets ? 1 : width }

  func check() throws(EngineError) {
    if case .huber(let delta) = self, !(delta > 0 && delta.isFinite) {
      throw EngineError(.invalidArgument, "huber: delta must be positive, got \(delta)")
    }
  }
}

extension Loss {
  /// The loss of one position, in double precision.
  ///
  /// - Parameters:
  ///   - y: the network's output, `width` values.
  ///   - target: `targetWidth(width)` values; class numbers are below `width`.
  ///   - gradient: where to add `scale` · dloss/dy, unless nil.
  @inline(__always)
  func position<S: Scalar>(
    _ y: UnsafePointer<S>, _ target: UnsafePointer<S>, width: Int,
    gradient: UnsafeMutablePointer<S>?, scale: Double
  ) -> Double {
    switch self {
    case .meanSquaredError:
      return Loss.mean(y, target, width, gradient, scale) { y, t in
        ((y - t) * (y - t), 2 * (y - t))
      }
    case .meanAbsoluteError:
      return Loss.mean(y, target, width, gradient, scale) { y, t in
        (abs(y - t), y > t ? 1 : y < t ? -1 : 0)
      }
    case .huber(let delta):
      return Loss.mean(y, target, width, gradient, scale) { y, t in
        let error = y - t
        if abs(error) <= delta { return (0.5 * error * error, error) }
        return (delta * (abs(error) - 0.5 * delta), error > 0 ? delta : -delta)
      }
    case .binaryCrossEntropy(fromLogits: false):
      return Loss.mean(y, target, width, gradient, scale) { y, t in
        let p = min(max(y, Loss.epsilon), 1 - Loss.epsilon)
        let slope = p == y ? (p - t) / (p * (1 - p)) : 0
        // y - y carries NaN and infinity, which the comparisons lose, into the result.
        let value = -(t * natural(p) + (1 - t) * naturalOfOnePlus(-p))
        return (value + (y - y), slope + (y - y))
      }
    case .binaryCrossEntropy(fromLogits: true):
      return Loss.mean(y, target, width, gradient, scale) { x, t in
        let value = (x > 0 ? x : 0) - x * t + naturalOfOnePlus(exponential(-abs(x)))
        return (value + (x - x), ActivationMath.value(.sigmoid, x) - t)
      }
    case .categoricalCrossEntropy(let fromLogits):
      return Loss.crossEntropy(y, width, gradient, scale, fromLogits) { Double(target[$0]) }
    case .sparseCategoricalCrossEntropy(let fromLogits):
      let chosen = Int(target[0])
      return Loss.crossEntropy(y, width, gradient, scale, fromLogits) { $0 == chosen ? 1 : 0 }
    }
  }

  /// The mean over the features of an element-wise loss, given as (value, derivative).
  @inline(__always)
  private static func mean<S: Scalar>(
    _ y: UnsafePointer<S>, _ target: UnsafePointer<S>, _ width: Int,
    _ gradient: UnsafeMutablePointer<S>?, _ scale: Double,
    _ element: (Double, Double) -> (Double, Double)
  ) -> Double {
    let share = 1 / Double(width)
    var sum = 0.0
    for j in 0..<width {
      let (value, slope) = element(Double(y[j]), Double(target[j]))
      sum += value
      if let gradient { gradient[j] += S(scale * share * slope) }
    }
    return sum * share
  }

  /// With logits: p = softmax(x), dL/dx = p Σt - t. With probabilities: p = y / Σy, clipped.
  @inline(__always)
  private static func crossEntropy<S: Scalar>(
    _ y: UnsafePointer<S>, _ width: Int, _ gradient: UnsafeMutablePointer<S>?, _ scale: Double,
    _ fromLogits: Bool, _ target: (Int) -> Double
  ) -> Double {
    var targets = 0.0
    var value = 0.0
    if fromLogits {
      var largest = -Double.infinity
      for j in 0..<width { largest = max(largest, Double(y[j])) }
      var total = 0.0
      for j in 0..<width { total += exponential(Double(y[j]) - largest) }
      let logOfTotal = natural(total)
      for j in 0..<width {
        let t = target(j)
        targets += t
        if t != 0 { value -= t * (Double(y[j]) - largest - logOfTotal) }
      }
      guard let gradient else { return value }
      for j in 0..<width {
        let p = exponential(Double(y[j]) - largest) / total
        gradient[j] += S(scale * (p * targets - target(j)))
      }
      return value
    }
    var total = 0.0
    for j in 0..<width { total += Double(y[j]) }
    /// Σ p dL/dp, over the classes that are not clipped.
    var inner = 0.0
    for j in 0..<width {
      let t = target(j)
      let p = Double(y[j]) / total
      let clipped = min(max(p, epsilon), 1 - epsilon)
      value -= t * natural(clipped)
      if p == clipped { inner -= t }
    }
    guard let gradient else { return value + (total - total) }
    for j in 0..<width {
      let p = Double(y[j]) / total
      let slope = p >= epsilon && p <= 1 - epsilon ? -target(j) / p : 0
      gradient[j] += S(scale * (slope - inner) / total)
    }
    return value + (total - total)
  }
}
