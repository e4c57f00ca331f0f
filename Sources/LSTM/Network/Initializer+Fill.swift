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

  private typealias Lanes = SIMD8<Double>

  /// Orthonormalises the shorter side's vectors of a Gaussian matrix by modified Gram-Schmidt; once more where
  /// that took away most of a vector ("twice is enough", Giraud et al. 2005), which leaves
  /// nothing to gain from a QR decomposition.
  private static func fillOrthogonal<S: Scalar>(
    _ values: UnsafeMutablePointer<S>, rows: Int, columns: Int,
    generator: inout RandomGenerator
  ) throws(EngineError) {
    let vectors = min(rows, columns)
    let length = max(rows, columns)
    // Whole lanes, the last ones of a vector padded with zeros.
    let stride = (length + Lanes.scalarCount - 1) / Lanes.scalarCount
    let work = try Buffer<Lanes>(count: Memory.product(vectors, stride))
    for v in 0..<vectors {
      for j in 0..<length {
        work.pointer[v * stride + j / Lanes.scalarCount][j % Lanes.scalarCount] = generator.normal()
      }
    }
    for v in 0..<vectors {
      let vector = work.pointer + v * stride
      for _ in 0..<2 {
        let before = product(vector, vector, stride)
        for u in 0..<v {
          let other = work.pointer + u * stride
          let inner = product(vector, other, stride)
          for j in 0..<stride { vector[j] -= inner * other[j] }
        }
        if product(vector, vector, stride) > before / 2 { break }
      }
      let square = product(vector, vector, stride)
      let scale = square > 0 ? 1 / square.squareRoot() : 0
      for j in 0..<stride { vector[j] *= scale }
    }
    for row in 0..<rows {
      for column in 0..<columns {
        let (v, j) = rows <= columns ? (row, column) : (column, row)
        let lanes = work.pointer[v * stride + j / Lanes.scalarCount]
        values[row * columns + column] = S(lanes[j % Lanes.scalarCount])
      }
    }
  }

  private static func product(
    _ a: UnsafePointer<Lanes>, _ b: UnsafePointer<Lanes>, _ count: Int
  ) -> Double {
    var even = Lanes.zero
    var odd = Lanes.zero
    var j = 0
    while j + 1 < count {
      even += a[j] * b[j]
      odd += a[j + 1] * b[j + 1]
      j += 2
    }
    if j < count { even += a[j] * b[j] }
    return (even + odd).sum()
  }
}
