import KernelInterface

/// A matrix of weights in reduced precision, row-major: what files store, and what the kernels' panels are
/// packed from. Immutable, so networks may share it.
public final class ReducedArray: Sendable {
  public let format: WeightFormat
  public let rows: Int
  public let columns: Int
  /// int8: one scale for each row (the vectors of an embedding) instead of each column.
  public let scalesRows: Bool
  /// How far the values are from those that were rounded.
  public let error: WeightError
  private let codes: Buffer<UInt8>
  /// int8 only.
  public let scales: Buffer<Float>

  /// Rounds a matrix.
  ///
  /// - Throws: `.numeric` if a weight is NaN, infinite or beyond 2¹²⁰.
  public init(
    _ format: WeightFormat, rows: Int, columns: Int, scalesRows: Bool,
    values: UnsafePointer<Float>
  ) throws(EngineError) {
    self.format = format
    self.rows = rows
    self.columns = columns
    self.scalesRows = scalesRows
    let count = try Memory.product(rows, columns)
    codes = try Buffer(count: Memory.product(count, format == .int8 ? 1 : 2))
    scales = try Buffer(count: format == .int8 ? (scalesRows ? rows : columns) : 0)
    for index in 0..<count where !(values[index].magnitude < WeightRounding.limit) {
      throw EngineError(
        .numeric,
        "the weight at position \(index) is \(values[index]), which \(format.name) cannot hold")
    }
    var error = WeightError()
    if format == .int8 {
      ReducedArray.findScales(values, rows, columns, scalesRows, scales.pointer)
    }
    for row in 0..<rows {
      for column in 0..<columns {
        let index = row * columns + column
        let value: Float
        if format == .int8 {
          let scale = scales.pointer[scalesRows ? row : column]
          let code = WeightRounding.int8(values[index], scale: scale)
          codes.pointer[index] = UInt8(bitPattern: code)
          value = Float(code) * scale
        } else {
          let code = WeightRounding.bfloat16(values[index])
          codes.pointer[2 * index] = UInt8(truncatingIfNeeded: code)
          codes.pointer[2 * index + 1] = UInt8(truncatingIfNeeded: code >> 8)
          value = WeightRounding.value(bfloat16: code)
        }
        error.add(rounded: value, of: values[index])
      }
    }
    self.error = error
  }

  private static func findScales(
    _ values: UnsafePointer<Float>, _ rows: Int, _ columns: Int, _ byRow: Bool,
    _ scales: UnsafeMutablePointer<Float>
  ) {
    for row in 0..<rows {
      for column in 0..<columns {
        let place = byRow ? row : column
        scales[place] = max(scales[place], values[row * columns + column].magnitude)
      }
    }
    for place in 0..<(byRow ? rows : columns) {
      scales[place] = WeightRounding.scale(largest: scales[place])
    }
  }

  /// Bytes that the codes and scales take.
  public var byteCount: Int { codes.count + scales.count * MemoryLayout<Float>.stride }

  /// The code of an element: -127 to 127, or the bits of a bfloat16.
  public func code(_ index: Int) -> Int {
    format == .int8
      ? Int(Int8(bitPattern: codes.pointer[index]))
      : Int(codes.pointer[2 * index]) | Int(codes.pointer[2 * index + 1]) << 8
  }

  /// What the code stands for, exactly.
  @inline(__always)
  public func value(_ row: Int, _ column: Int) -> Float {
    let index = row * columns + column
    if format == .int8 {
      return Float(Int8(bitPattern: codes.pointer[index]))
        * scales.pointer[scalesRows ? row : column]
    }
    return Float(
      bitPattern: UInt32(codes.pointer[2 * index]) << 16
        | UInt32(codes.pointer[2 * index + 1]) << 24)
  }

  /// The values of some columns of a row.
  func read(row: Int, into values: UnsafeMutablePointer<Float>) {
    for column in 0..<columns { values[column] = value(row, column) }
  }

  /// All values, row-major.
  public func read(into values: UnsafeMutablePointer<Float>) {
    for row in 0..<rows { read(row: row, into: values + row * columns) }
  }
}

/// What rounding did to weights.
public struct WeightError: Sendable {
  public var count = 0
  /// The largest difference.
  public var largest = 0.0
  var squares = 0.0
  var reference = 0.0

  public init() {}

  mutating func add(rounded: Float, of exact: Float) {
    let difference = Double(rounded) - Double(exact)
    count += 1
    largest = max(largest, difference.magnitude)
    squares += difference * difference
    reference += Double(exact) * Double(exact)
  }

  mutating func add(_ other: WeightError) {
    count += other.count
    largest = max(largest, other.largest)
    squares += other.squares
    reference += other.reference
  }

  /// Root of the mean squared difference.
  public var rootMeanSquare: Double { count > 0 ? (squares / Double(count)).squareRoot() : 0 }
  /// The same, divided by that of the weights; 0 for weights that are all 0.
  public var relative: Double { reference > 0 ? (squares / reference).squareRoot() : 0 }
}
