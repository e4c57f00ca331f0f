/// Bounds that protect the process from a hostile or damaged file.
public struct FileLimits: Sendable {
  /// Size of the file itself.
  public var fileBytes: Int = 64 << 30
  /// One array of numbers, as the 64-bit numbers that it becomes in memory.
  public var arrayBytes: Int = 32 << 30
  /// Text in attributes and in members of archives: configurations, lists of names.
  public var textBytes: Int = 64 << 20
  /// Values in one JSON text: each takes a hundred times the memory of the two bytes that make it.
  public var jsonValues: Int = 1_000_000
  /// Nesting of JSON values, groups and nested models.
  public var depth: Int = 100
  /// Objects in a file whose names are not known beforehand.
  public var objects: Int = 200_000

  public init() {}
}
