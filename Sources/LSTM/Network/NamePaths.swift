/// Names as the paths that they are in files: a layer's is a group there, a parameter's an array in it. HDF5 ends a
/// name at each slash, so that `dense` and `dense/` are one group.
struct NamePaths {
  /// Parts between slashes, at most: every beginning of a path is looked up.
  private static let mostParts = 64

  private var layers: [String: String] = [:]
  private var arrays: [String: String] = [:]
  /// Every group that a file needs, and the first name that needs it.
  private var groups: [String: String] = [:]

  /// - Throws: ``EngineError/Code/invalidArgument`` if no file could hold the layer beside those before it.
  mutating func addLayer(_ name: String) throws(EngineError) {
    let parts = try NamePaths.parts(name)
    if let other = layers.updateValue(name, forKey: NamePaths.path(parts)) {
      throw EngineError(
        .invalidArgument,
        other == name
          ? "two layers are named '\(name)'"
          : "layers '\(other)' and '\(name)' would be the same group of a file")
    }
    try addGroups(parts, for: name)
  }

  /// - Throws: ``EngineError/Code/invalidArgument`` if no file could hold the parameter beside the names before it.
  mutating func addArray(_ name: String) throws(EngineError) {
    let parts = try NamePaths.parts(name)
    try addGroups(parts.dropLast(), for: name)
    let path = NamePaths.path(parts)
    if let other = arrays.updateValue(name, forKey: path) {
      throw EngineError(
        .invalidArgument, "parameters '\(other)' and '\(name)' would be the same array of a file")
    }
    if let inner = groups[path] { throw NamePaths.lies(inner, inArray: name) }
  }

  private mutating func addGroups(
    _ parts: ArraySlice<Substring>, for name: String
  ) throws(EngineError) {
    var parts = parts
    while !parts.isEmpty {
      let path = NamePaths.path(parts)
      if let array = arrays[path] { throw NamePaths.lies(name, inArray: array) }
      if groups[path] == nil { groups[path] = name }
      parts = parts.dropLast()
    }
  }

  private static func lies(_ name: String, inArray array: String) -> EngineError {
    EngineError(.invalidArgument, "'\(name)' would lie in the array '\(array)' of a file")
  }

  private static func parts(_ name: String) throws(EngineError) -> ArraySlice<Substring> {
    let parts = name.split(separator: "/")
    guard !parts.contains(".") else {
      throw EngineError(.invalidArgument, "'\(name)' cannot be a path in a file: a part is '.'")
    }
    guard parts.count <= mostParts else {
      throw EngineError(
        .invalidArgument,
        "a name has \(parts.count) parts between slashes, more than the limit of \(mostParts)")
    }
    return parts[...]
  }

  private static func path(_ parts: ArraySlice<Substring>) -> String {
    parts.joined(separator: "/")
  }
}
