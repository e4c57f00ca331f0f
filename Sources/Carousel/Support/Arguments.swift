import Glibc
import LSTM

/// Checks of single arguments. Each names the argument, what was expected and what was found.
enum Argument {
  static let longestName = 1024
  static let longestPath = 4096
  static let longestJSON = 64 << 20

  /// A pointer that must not be NULL.
  @inline(__always)
  static func required<Pointer>(
    _ pointer: Pointer?, _ name: StaticString
  ) throws(EngineError) -> Pointer {
    guard let pointer else { throw isNull(name) }
    return pointer
  }

  /// The text of a C string, or an error if it is NULL, longer than `limit`, or not UTF-8.
  static func text(
    _ pointer: UnsafePointer<CChar>?, _ name: StaticString, limit: Int = longestName
  ) throws(EngineError) -> String {
    let pointer = try required(pointer, name)
    let length = strnlen(pointer, limit + 1)
    guard length <= limit else {
      throw EngineError(.invalidArgument, "\(name) is longer than \(limit) bytes")
    }
    if length > longestName { try Memory.require(bytes: 2 * length) }
    guard let text = String(validatingCString: pointer) else {
      throw EngineError(.invalidArgument, "\(name) is not valid UTF-8")
    }
    return text
  }

  /// As `text`, nil for NULL.
  static func optionalText(
    _ pointer: UnsafePointer<CChar>?, _ name: StaticString, limit: Int = longestName
  ) throws(EngineError) -> String? {
    pointer == nil ? nil : try text(pointer, name, limit: limit)
  }

  /// A size that must lie in a range.
  static func size(
    _ value: Int64, _ name: StaticString, from least: Int = 1, to most: Int = Int(Int32.max)
  ) throws(EngineError) -> Int {
    guard value >= Int64(least), value <= Int64(most) else {
      throw EngineError(
        .invalidArgument, "\(name) is \(value), expected \(least) to \(most)")
    }
    return Int(value)
  }

  /// A number of things that must be exactly so many.
  static func count(
    _ value: Int, _ name: @autoclosure () -> String, expected: Int, of what: StaticString
  ) throws(EngineError) {
    guard value == expected else {
      throw EngineError(
        .shape,
        "\(name()) is \(UInt(bitPattern: value)), expected \(expected): the network's \(what)")
    }
  }

  /// What the header calls the number of an array's elements: `outputs` has its `output_count`.
  static func countName(of name: StaticString) -> String { "\("\(name)".dropLast())_count" }

  /// An index below `count`.
  static func index(
    _ value: Int, _ name: StaticString, below count: Int, of what: StaticString
  ) throws(EngineError) -> Int {
    guard value >= 0, value < count else {
      throw EngineError(
        .notFound,
        "\(name) is \(UInt(bitPattern: value)), but the network has \(count) \(what)")
    }
    return value
  }

  /// A number in a closed range; NaN is never in one.
  static func number(
    _ value: Double, _ name: StaticString, in range: ClosedRange<Double>
  ) throws(EngineError) -> Double {
    guard range.contains(value) else {
      throw EngineError(
        .invalidArgument,
        "\(name) is \(value), expected \(range.lowerBound) to \(range.upperBound)")
    }
    return value
  }

  static func isNull(_ name: StaticString) -> EngineError {
    EngineError(.invalidArgument, "\(name) is NULL")
  }

  static func unknown(_ value: UInt32, _ name: StaticString) -> EngineError {
    EngineError(.invalidArgument, "\(name) has the unknown value \(Int32(bitPattern: value))")
  }
}
