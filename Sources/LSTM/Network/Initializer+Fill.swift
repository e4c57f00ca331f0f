extension Initializer {
  /// Fills `values`, a row-major array of `shape`.
  func fill<S: Scalar>(
    _ values: UnsafeMutablePointer<S>, shape: [Int], generator: inout RandomGenerator
  ) throws(EngineError) {
    let count = shape.reduce(1, *)
    switch self {
    case .zeros: for i in 0..<count { values[i] = 0 }
    case .ones: for i in 0..<count { values[i] = 1 }
    case .constant(let value): for i in 0..<count { values[i] = S(value) }
    case .uniform(let limit):
      for i in 0..<count { values[i] = S((2 * generator.uniform() - 1) * limit) }
    case .glorotUniform(let fanIn, let fanOut):
      let limit = (6 / Double(max(fanIn + fanOut, 1))).squareRoot()
      for i in 0..<count { values[i] = S((2 * generator.uniform() - 1) * limit) }
    case .orthogonal:
      try Initializer.fillOrthogonal(
        values, rows: shape[0], columns: shape.dropFirst().reduce(1, *), generator: &generator)
    case .unitForgetBias(let units, let forgetBlock):
      for i in 0..<count { values[i] = i / units == forgetBlock ? 1 : 0 }
    }
  }

  /// Orthonormalises the shorter side's vectors of a Gaussian matrix (modified Gram-Schmidt, twice,
  /// which is as good as a QR decomposition here: "twice is enough", Giraud et al. 2005).
  private static func fillOrthogonal<S: Scalar>(
    _ values: UnsafeMutablePointer<S>, rows: Int, columns: Int,
    generator: inout RandomGenerator
  ) throws(EngineError) {
    let vectors = min(rows, columns)
    let length = max(rows, columns)
    let work = try Buffer<Double>(count: Memory.product(vectors, length))
    let q = work.pointer
    for i in 0..<vectors * length { q[i] = generator.normal() }
    for v in 0..<vectors {
      let vector = q + v * length
      for _ in 0..<2 {
        for u in 0..<v {
          let other = q + u * length
          var inner = 0.0
          for j in 0..<length { inner += vector[j] * other[j] }
          for j in 0..<length { vector[j] -= inner * other[j] }
        }
      }
      var square = 0.0
      for j in 0..<length { square += vector[j] * vector[j] }
      let scale = square > 0 ? 1 / square.squareRoot() : 0
      for j in 0..<length { vector[j] *= scale }
    }
    for row in 0..<rows {
      for column in 0..<columns {
        let value = rows <= columns ? q[row * length + column] : q[column * length + row]
        values[row * columns + column] = S(value)
      }
    }
  }
}
