/// Limits of the process that reads a file which is not trusted.
public struct Isolation: Sendable {
  /// Processor time, and time by the clock, in seconds.
  public var seconds = 30
  /// Address space in bytes; 0: ``memory(forFileOf:)``.
  public var memory = 0

  public init() {}

  /// The process itself with its libraries, and several copies of the file and of its weights.
  static func memory(forFileOf size: Int) -> Int {
    let copies = size.multipliedClamping(by: 16)
    return copies > Int.max - (512 << 20) ? .max : copies + 512 << 20
  }
}
