/// The few pieces of linear algebra that the reference cells are written with, on one row.
///
/// W is row-major, `stride` scalars from row to row.
enum ReferenceMath<S: Scalar> {
  /// out (n) += x (k) · W (k x n), k ascending.
  @inline(__always)
  static func addProduct(
    _ out: UnsafeMutablePointer<S>, _ n: Int, _ x: UnsafePointer<S>, _ k: Int,
    _ w: UnsafePointer<S>, stride: Int
  ) {
    for i in 0..<k {
      let factor = x[i]
      let row = w + i * stride
      for j in 0..<n { out[j] += factor * row[j] }
    }
  }

  /// out (k) += W (k x n) · delta (n): the way back through `addProduct`.
  @inline(__always)
  static func addTransposedProduct(
    _ out: UnsafeMutablePointer<S>, _ k: Int, _ w: UnsafePointer<S>, stride: Int,
    _ delta: UnsafePointer<S>, _ n: Int
  ) {
    for i in 0..<k {
      let row = w + i * stride
      var sum = out[i]
      for j in 0..<n { sum += row[j] * delta[j] }
      out[i] = sum
    }
  }

  /// W (k x n) += x (k) ⊗ delta (n): the gradient of the matrix of `addProduct`.
  @inline(__always)
  static func addOuterProduct(
    _ w: UnsafeMutablePointer<S>, stride: Int, _ x: UnsafePointer<S>, _ k: Int,
    _ delta: UnsafePointer<S>, _ n: Int
  ) {
    for i in 0..<k {
      let factor = x[i]
      let row = w + i * stride
      for j in 0..<n { row[j] += factor * delta[j] }
    }
  }

  /// out += a ⊙ b.
  @inline(__always)
  static func addElementwise(
    _ out: UnsafeMutablePointer<S>, _ n: Int, _ a: UnsafePointer<S>, _ b: UnsafePointer<S>
  ) {
    for j in 0..<n { out[j] += a[j] * b[j] }
  }

  /// x̂ = (x - mean) / sqrt(variance + ε) in place, by the biased variance of Ba et al.; returns the
  /// factor 1 / sqrt(…), which the way back needs.
  @inline(__always)
  static func standardize(_ x: UnsafeMutablePointer<S>, _ n: Int, epsilon: Double) -> S {
    var mean: S = 0
    for j in 0..<n { mean += x[j] }
    mean /= S(n)
    var variance: S = 0
    for j in 0..<n { variance += (x[j] - mean) * (x[j] - mean) }
    variance /= S(n)
    let factor = 1 / (variance + S(epsilon)).squareRoot()
    for j in 0..<n { x[j] = (x[j] - mean) * factor }
    return factor
  }

  /// The way back through y = γ x̂: from dL/dy to dL/dx, which is written to `out` (may be `dy`):
  /// dx = factor (e - mean(e) - x̂ mean(e x̂)), e = γ dy.
  @inline(__always)
  static func standardizeBackward(
    _ out: UnsafeMutablePointer<S>, _ n: Int, dy: UnsafePointer<S>, scale: UnsafePointer<S>,
    standardized x: UnsafePointer<S>, factor: S
  ) {
    var mean: S = 0
    var inner: S = 0
    for j in 0..<n {
      let e = scale[j] * dy[j]
      mean += e
      inner += e * x[j]
    }
    mean /= S(n)
    inner /= S(n)
    for j in 0..<n { out[j] = factor * (scale[j] * dy[j] - mean - x[j] * inner) }
  }

  @inline(__always)
  static func apply(_ activation: Activation, _ x: S) -> S {
    S(ActivationMath.value(activation, Double(x)))
  }

  /// dy/dx, given x and y = activation(x).
  @inline(__always)
  static func slope(_ activation: Activation, _ x: S, _ y: S) -> S {
    S(ActivationMath.derivative(activation, Double(x), Double(y)))
  }

  @inline(__always)
  static func clip(_ x: S, _ limit: Double?) -> S {
    guard let limit else { return x }
    // Comparisons, not min and max: NaN stays NaN.
    return x > S(limit) ? S(limit) : x < S(-limit) ? S(-limit) : x
  }

  /// The derivative of `clip`, told from its result: 0 where the clip was hit, 1 inside.
  @inline(__always)
  static func clipSlope(_ clipped: S, _ limit: Double?) -> S {
    guard let limit else { return 1 }
    return abs(clipped) >= S(limit) ? 0 : 1
  }
}
