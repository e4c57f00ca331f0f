import LSTM

/// The rearrangements that lead from one framework's layout to another's. Each makes a new array.
extension WeightArray {
  /// The same numbers under another shape.
  func reshaped(_ shape: [Int]) throws(EngineError) -> WeightArray {
    guard WeightArray.count(of: shape) == count else {
      throw EngineError(
        .shape, "an array of shape \(describe(self.shape)) cannot become \(describe(shape))")
    }
    let result = try WeightArray(shape: shape)
    result.copy(from: self)
    return result
  }

  /// Rows and columns exchanged.
  func transposed() throws(EngineError) -> WeightArray {
    let (rows, columns) = try matrix()
    let result = try WeightArray(shape: [columns, rows])
    for row in 0..<rows {
      for column in 0..<columns {
        result.values[column * rows + row] = values[row * columns + column]
      }
    }
    return result
  }

  /// Rows `range` of the first axis.
  func rows(_ range: Range<Int>) throws(EngineError) -> WeightArray {
    guard let extent = shape.first, range.lowerBound >= 0, range.upperBound <= extent else {
      throw EngineError(.shape, "an array of shape \(describe(shape)) has no rows \(range)")
    }
    let rowSize = extent == 0 ? 0 : count / extent
    let result = try WeightArray(shape: [range.count] + shape.dropFirst())
    for index in 0..<result.count {
      result.values[index] = values[range.lowerBound * rowSize + index]
    }
    return result
  }

  /// The element of the first axis at `index`, without that axis.
  func element(_ index: Int) throws(EngineError) -> WeightArray {
    try rows(index..<index + 1).reshaped(Array(shape.dropFirst()))
  }

  /// Splits the last axis into `count` equal blocks and puts block `order[k]` at place k.
  func permutingColumnBlocks(_ order: [Int], of count: Int) throws(EngineError) -> WeightArray {
    guard let columns = shape.last, count > 0, columns % count == 0 else {
      throw EngineError(
        .shape, "the last axis of \(describe(shape)) cannot be split into \(count) gates")
    }
    let width = columns / count
    let rows = columns == 0 ? 0 : self.count / columns
    let result = try WeightArray(shape: shape.dropLast() + [width * order.count])
    let resultColumns = width * order.count
    for row in 0..<rows {
      for (place, block) in order.enumerated() {
        let from = row * columns + block * width
        let to = row * resultColumns + place * width
        for index in 0..<width { result.values[to + index] = values[from + index] }
      }
    }
    return result
  }

  /// The arrays side by side along the last axis; all other extents must agree.
  static func joiningColumns(_ arrays: [WeightArray]) throws(EngineError) -> WeightArray {
    guard let first = arrays.first, !first.shape.isEmpty else {
      throw EngineError(.shape, "there are no arrays to join")
    }
    let leading = Array(first.shape.dropLast())
    var columns = 0
    for array in arrays {
      guard Array(array.shape.dropLast()) == leading, let width = array.shape.last else {
        throw EngineError(
          .shape,
          "arrays of shapes \(describe(first.shape)) and \(describe(array.shape)) do not join")
      }
      columns += width
    }
    let result = try WeightArray(shape: leading + [columns])
    let rows = leading.reduce(1, *)
    var place = 0
    for array in arrays {
      let width = array.shape[array.shape.count - 1]
      for row in 0..<rows {
        for index in 0..<width {
          result.values[row * columns + place + index] = array.values[row * width + index]
        }
      }
      place += width
    }
    return result
  }

  /// The arrays one below the other along the first axis.
  static func joiningRows(_ arrays: [WeightArray]) throws(EngineError) -> WeightArray {
    guard let first = arrays.first, !first.shape.isEmpty else {
      throw EngineError(.shape, "there are no arrays to join")
    }
    var rows = 0
    for array in arrays {
      guard array.shape.dropFirst() == first.shape.dropFirst() else {
        throw EngineError(
          .shape,
          "arrays of shapes \(describe(first.shape)) and \(describe(array.shape)) do not join")
      }
      rows += array.shape[0]
    }
    let result = try WeightArray(shape: [rows] + first.shape.dropFirst())
    var place = 0
    for array in arrays {
      for index in 0..<array.count { result.values[place + index] = array.values[index] }
      place += array.count
    }
    return result
  }

  /// Element by element: self + other.
  func adding(_ other: WeightArray) throws(EngineError) -> WeightArray {
    guard shape == other.shape else {
      throw EngineError(
        .shape, "arrays of shapes \(describe(shape)) and \(describe(other.shape)) cannot be added")
    }
    let result = try WeightArray(shape: shape)
    for index in 0..<count { result.values[index] = values[index] + other.values[index] }
    return result
  }

  func scaled(by factor: Double) throws(EngineError) -> WeightArray {
    let result = try WeightArray(shape: shape)
    for index in 0..<count { result.values[index] = values[index] * factor }
    return result
  }

  func copy(from other: WeightArray) {
    for index in 0..<count { values[index] = other.values[index] }
  }

  /// Rows and columns of a matrix; an error for other ranks.
  func matrix() throws(EngineError) -> (rows: Int, columns: Int) {
    guard shape.count == 2 else {
      throw EngineError(.shape, "an array of shape \(describe(shape)) is not a matrix")
    }
    return (shape[0], shape[1])
  }
}

extension WeightArray {
  /// The axes of a three-dimensional array in reverse order.
  func reversingAxes() throws(EngineError) -> WeightArray {
    guard shape.count == 3 else {
      throw EngineError(.shape, "an array of shape \(describe(shape)) does not have three axes")
    }
    let (a, b, c) = (shape[0], shape[1], shape[2])
    let result = try WeightArray(shape: [c, b, a])
    for i in 0..<a {
      for j in 0..<b {
        for k in 0..<c { result.values[(k * b + j) * a + i] = values[(i * b + j) * c + k] }
      }
    }
    return result
  }
}

extension WeightArray {
  /// Columns `count * j + order[k]` become column j of block k, with `count` gates.
  func deinterleavingColumns(_ order: [Int]) throws(EngineError) -> WeightArray {
    let gates = order.count
    guard let columns = shape.last, columns % gates == 0 else {
      throw EngineError(.shape, "the last axis of \(describe(shape)) does not hold \(gates) gates")
    }
    let units = columns / gates
    let result = try WeightArray(shape: shape)
    for start in stride(from: 0, to: count, by: max(columns, 1)) {
      for (place, gate) in order.enumerated() {
        for unit in 0..<units {
          result.values[start + place * units + unit] = values[start + gates * unit + gate]
        }
      }
    }
    return result
  }

  /// The inverse of ``deinterleavingColumns(_:)``.
  func interleavingColumns(_ order: [Int]) throws(EngineError) -> WeightArray {
    let gates = order.count
    guard let columns = shape.last, columns % gates == 0 else {
      throw EngineError(.shape, "the last axis of \(describe(shape)) does not hold \(gates) gates")
    }
    let units = columns / gates
    let result = try WeightArray(shape: shape)
    for start in stride(from: 0, to: count, by: max(columns, 1)) {
      for (place, gate) in order.enumerated() {
        for unit in 0..<units {
          result.values[start + gates * unit + gate] = values[start + place * units + unit]
        }
      }
    }
    return result
  }
}
