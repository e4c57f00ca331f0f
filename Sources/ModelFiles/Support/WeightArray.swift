import CPlatform
import Glibc
import LSTM

/// An array of numbers on its way between a file and a network, row-major.
///
/// Numbers are held as `Double`, which represents every float16, bfloat16 and float32 exactly: what
/// a file stores in single precision comes out of a network of single precision bit for bit.
public final class WeightArray: @unchecked Sendable {
  public let shape: [Int]
  public let values: UnsafeMutableBufferPointer<Double>

  public var count: Int { values.count }

  /// An array of zeros.
  public init(shape: [Int]) throws(EngineError) {
    guard let count = WeightArray.count(of: shape), count <= Int.max / 16 else {
      throw EngineError(.limit, "an array of shape \(describe(shape)) has too many elements")
    }
    guard let memory = carousel_platform_allocate(max(count, 1) * 8, Memory.alignment) else {
      throw EngineError(
        .outOfMemory, "no memory for an array of shape \(describe(shape)), \(count) elements")
    }
    let first = memory.bindMemory(to: Double.self, capacity: max(count, 1))
    first.initialize(repeating: 0, count: max(count, 1))
    self.shape = shape
    values = UnsafeMutableBufferPointer(start: first, count: count)
  }

  deinit { free(values.baseAddress) }

  /// Product of the extents; nil if one is negative or the product does not fit.
  static func count(of shape: [Int]) -> Int? {
    var count = 1
    for extent in shape {
      guard extent >= 0 else { return nil }
      let (product, overflow) = count.multipliedReportingOverflow(by: extent)
      guard !overflow else { return nil }
      count = product
    }
    return count
  }

  subscript(_ row: Int, _ column: Int) -> Double {
    get { values[row * shape[1] + column] }
    set { values[row * shape[1] + column] = newValue }
  }

  /// Position and value of the first number that is NaN or infinite.
  var firstNonFinite: (index: Int, value: Double)? {
    for index in values.indices where !values[index].isFinite { return (index, values[index]) }
    return nil
  }
}

/// A shape as error messages and reports print it: `(4, 24)`.
public func describe(_ shape: [Int]) -> String {
  "(" + shape.map(String.init).joined(separator: ", ") + (shape.count == 1 ? ",)" : ")")
}
