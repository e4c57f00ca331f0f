/// Everything that can go wrong inside Carousel, as one error type.
///
/// The raw values of ``Code`` are the values of `carousel_status` in `include/carousel.h`:
/// they are part of the ABI and never change their meaning.
public struct EngineError: Error, Sendable, CustomStringConvertible {
  public enum Code: Int32, Sendable, CaseIterable {
    /// An argument is NULL, negative, an unknown enum value, or otherwise outside its domain.
    case invalidArgument = 1
    /// Two shapes that must agree do not.
    case shape = 2
    /// Memory whose size depends on the caller or on a file could not be had.
    case outOfMemory = 3
    /// The model is well-formed but needs something that Carousel does not do.
    case unsupported = 4
    /// A file or text is damaged, or is of no layout that Carousel knows.
    case format = 5
    /// The operating system refused to open, read or write a file.
    case io = 6
    /// Nothing of the given name exists.
    case notFound = 7
    /// A loss, gradient or weight became NaN or infinite.
    case numeric = 8
    /// The call is legal, but not in the object's present state.
    case state = 9
    /// A callback of the caller asked to stop.
    case interrupted = 10
    /// A library that is loaded on first use (libhdf5, libzip) is missing or unfit.
    case library = 11
    /// The input is larger than a limit that was set to protect the process.
    case limit = 12
  }

  public let code: Code
  /// One sentence that names the offending thing, what was expected and what was found.
  public let message: String

  public init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }

  public var description: String { message }

  /// The same error, told from further out: `context: message`.
  public func within(_ context: String) -> EngineError {
    EngineError(code, "\(context): \(message)")
  }
}
