/// A row of blocks with padding between them: element j of block b is at b · stride + j.
struct BlockedRow {
  let blocks: Int
  let units: Int
  let stride: Int

  private var count: Float { Float(blocks * units) }

  /// As ``ReferenceMath/standardize``; the padding is left alone.
  func standardize(_ x: UnsafeMutablePointer<Float>, epsilon: Double) -> Float {
    var sum: Float = 0
    for block in 0..<blocks {
      let row = x + block * stride
      for j in 0..<units { sum += row[j] }
    }
    let mean = sum / count
    var squares: Float = 0
    for block in 0..<blocks {
      let row = x + block * stride
      for j in 0..<units { squares += (row[j] - mean) * (row[j] - mean) }
    }
    let factor = 1 / (squares / count + Float(epsilon)).squareRoot()
    for block in 0..<blocks {
      let row = x + block * stride
      for j in 0..<units { row[j] = (row[j] - mean) * factor }
    }
    return factor
  }

  /// As ``ReferenceMath/standardizeBackward``.
  func standardizeBackward(
    _ out: UnsafeMutablePointer<Float>, dy: UnsafePointer<Float>, scale: UnsafePointer<Float>,
    standardized x: UnsafePointer<Float>, factor: Float
  ) {
    var sum: Float = 0
    var inner: Float = 0
    for block in 0..<blocks {
      for j in block * stride..<block * stride + units {
        let e = scale[j] * dy[j]
        sum += e
        inner += e * x[j]
      }
    }
    let mean = sum / count
    let slope = inner / count
    for block in 0..<blocks {
      for j in block * stride..<block * stride + units {
        out[j] = factor * (scale[j] * dy[j] - mean - x[j] * slope)
      }
    }
  }
}
