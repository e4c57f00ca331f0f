/// Names as the paths that they are in files: a layer's is a group there, a parameter's an array in it. HDF5 ends a
/// name at each slash, so that `dense` and `dense/` are one group.
struct NamePaths {
  /// Parts between slashes, at most: every beginning of a path is looked up.
  private static let mostParts = 64

  private var layers: [String: String] = [:]
  private var arrays: [String: String] = [:]

  /// - Throws: ``EngineError/Code/invalidArgument`` if no file could hold the layer beside those before it.
  mutating func addLayer(_ name: String) throws(EngineError) {
    let path = try NamePaths.path(name)
    guard let other = layers.updateValue(name, forKey: path) else { return }
    throw EngineError(
      .invalidArgument,
      other == name
        ? "two layers are named '\(name)'"
        : "layers '\(other)' and '\(name)' would be the same group of a file")
  }

  mutating func addArray(_ name: String) throws(EngineError) {
    guard let other = arrays.updateValue(name, forKey: try NamePaths.path(name)) else { return }
    throw EngineError(
      .invalidArgument, "parameters '\(other)' and '\(name)' would be the same array of a file")
  }

  /// No group and no array may lie in an array.
  func check() throws(EngineError) {
    for (path, name) in layers { try check(name, path.split(separator: "/")[...]) }
    for (path, name) in arrays { try check(name, path.split(separator: "/").dropLast()) }
  }

  private func check(_ name: String, _ path: ArraySlice<Substring>) throws(EngineError) {
    var path = path
    while !path.isEmpty {
      if let array = arrays[path.joined(separator: "/")] {
        throw EngineError(
          .invalidArgument, "'\(name)' would lie in the array '\(array)' of a file")
      }
      path = path.dropLast()
    }
  }

  private static func path(_ name: String) throws(EngineError) -> String {
    let parts = name.split(separator: "/")
    guard !parts.contains(".") else {
      throw EngineError(.invalidArgument, "'\(name)' cannot be a path in a file: a part is '.'")
    }
    guard parts.count <= mostParts else {
      throw EngineError(
        .invalidArgument,
        "a name has \(parts.count) parts between slashes, more than the limit of \(mostParts)")
    }
    return parts.joined(separator: "/")
  }
}
