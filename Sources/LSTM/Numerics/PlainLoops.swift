/// The arithmetic of ``Scalar`` as plain loops: what `Double` runs on, and the oracle for the
/// kernels that `Float` runs on.
public enum PlainLoops<S: Scalar> {
  static func pack(
    _ source: UnsafePointer<S>, stride: Int, transposed: Bool, rows: Int, columns: Int,
    into packed: UnsafeMutablePointer<S>
  ) {
    for row in 0..<rows {
      for column in 0..<columns {
        packed[row * columns + column] =
          transposed ? source[column * stride + row] : source[row * stride + column]
      }
    }
  }

  static func product(
    rows: Int, a: UnsafePointer<S>, aStride: Int, b: PackedMatrix<S>,
    c: UnsafeMutablePointer<S>, cStride: Int, initial: ProductInitial<S>
  ) {
    let columns = b.columns
    for row in 0..<rows {
      let out = c + row * cStride
      switch initial {
      case .zero: for column in 0..<columns { out[column] = 0 }
      case .bias(let bias): for column in 0..<columns { out[column] = bias[column] }
      case .accumulate: break
      }
      for k in 0..<b.rows {
        let factor = a[row * aStride + k]
        let weights = b.storage.pointer + k * columns
        for column in 0..<columns { out[column] += factor * weights[column] }
      }
    }
  }

  static func addOuterProduct(
    rows: Int, k: Int, n: Int, a: UnsafePointer<S>, aStride: Int,
    d: UnsafePointer<S>, dStride: Int, w: UnsafeMutablePointer<S>, wStride: Int
  ) {
    for row in 0..<rows {
      let delta = d + row * dStride
      for i in 0..<k {
        let factor = a[row * aStride + i]
        let out = w + i * wStride
        for j in 0..<n { out[j] += factor * delta[j] }
      }
    }
  }

  static func activate(
    _ activation: Activation, rows: Int, width: Int, values: UnsafeMutablePointer<S>, stride: Int
  ) {
    if activation == .linear { return }
    for row in 0..<rows {
      let x = values + row * stride
      if activation.isRowWise {
        softmax(x, width)
      } else {
        for j in 0..<width { x[j] = S(ActivationMath.value(activation, Double(x[j]))) }
      }
    }
  }

  private static func softmax(_ x: UnsafeMutablePointer<S>, _ width: Int) {
    guard width > 0 else { return }
    var largest = x[0]
    for j in 1..<width { largest = S.maximum(largest, x[j]) }
    var total: S = 0
    for j in 0..<width {
      x[j] = S(ActivationMath.value(.exponential, Double(x[j] - largest)))
      total += x[j]
    }
    for j in 0..<width { x[j] /= total }
  }

  static func activationGradient(
    _ activation: Activation, rows: Int, width: Int, input: UnsafePointer<S>,
    output: UnsafePointer<S>, gradient: UnsafeMutablePointer<S>, stride: Int
  ) {
    if activation == .linear { return }
    for row in 0..<rows {
      let x = input + row * stride
      let y = output + row * stride
      let g = gradient + row * stride
      if activation.isRowWise {
        var inner: S = 0
        for j in 0..<width { inner += g[j] * y[j] }
        for j in 0..<width { g[j] = y[j] * (g[j] - inner) }
      } else {
        for j in 0..<width {
          g[j] *= S(ActivationMath.derivative(activation, Double(x[j]), Double(y[j])))
        }
      }
    }
  }
}
