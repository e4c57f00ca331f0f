import LSTM

/// All arrays of a file whose names are its only structure, and which of them were used.
///
/// Names are told apart by `/` and `.` alike: `encoder.lstm.weight_ih_l0`, `encoder/lstm/weight_ih_l0`.
final class ArrayCatalog {
  /// Parts of each array's name, in the order of the file (sorted).
  private(set) var names: [[String]] = []
  private let root: HDF5Group
  private var paths: [[String]: String] = [:]
  private var used: Set<[String]> = []
  /// Arrays that are known not to be weights, with the reason.
  private(set) var ignored: [String] = []

  /// - Parameter splitsDots: dots separate parts, too (PyTorch).
  init(root: HDF5Group, splitsDots: Bool) throws(EngineError) {
    self.root = root
    for (path, name) in try ArrayCatalog.members(below: root) {
      let parts = name.split { $0 == "/" || (splitsDots && $0 == ".") }.map(String.init)
      guard paths.updateValue(path, forKey: parts) == nil else {
        throw EngineError(.format, "two arrays are called '\(parts.joined(separator: "."))'")
      }
      names.append(parts)
    }
  }

  /// Paths of all datasets below a group.
  static func datasets(below root: HDF5Group) throws(EngineError) -> [String] {
    try members(below: root).map(\.path)
  }

  private struct Visit {
    var group: HDF5Group
    /// Before the names of HDF5 and before those of the arrays.
    var path: String
    var name: String
    var depth: Int
  }

  /// Paths of all datasets below a group, and what the arrays are called. They differ in files of Octave,
  /// which makes a group of every variable, with a dataset `type` (text) and what it is worth in `value`.
  private static func members(
    below root: HDF5Group
  ) throws(EngineError) -> [(path: String, name: String)] {
    var result: [(path: String, name: String)] = []
    var pending = [Visit(group: root, path: "", name: "", depth: 0)]
    var visited = 0
    while let visit = pending.popLast() {
      let isVariable = visit.group.attributes.contains("OCTAVE_NEW_FORMAT")
      var groups: [Visit] = []
      for link in try visit.group.names() {
        visited += 1
        let path = visit.path + link
        guard visit.depth < 32, visited <= root.file.limits.objects else {
          throw EngineError(.limit, "'\(path)': the file has too many or too deeply nested groups")
        }
        if isVariable, link == "type" { continue }
        let name = isVariable && link == "value" ? String(visit.name.dropLast()) : visit.name + link
        switch try visit.group.kind(of: link) {
        case .dataset: result.append((path, name))
        case .group:
          groups.append(
            Visit(
              group: try visit.group.group(link), path: path + "/", name: name + "/",
              depth: visit.depth + 1))
        default: throw EngineError(.format, "'\(path)' is neither group nor dataset")
        }
      }
      pending += groups.reversed()
    }
    return result
  }

  /// Keeps the arrays whose names begin with `prefix`, without it; the others are left aside.
  func keep(prefix: String, separators: String) throws(EngineError) {
    let wanted = prefix.split { separators.contains($0) }.map(String.init)
    guard !wanted.isEmpty else { return }
    var kept: [[String]: String] = [:]
    for name in names {
      let path = paths[name] ?? ""
      if name.count > wanted.count, name.starts(with: wanted) {
        kept[Array(name.dropFirst(wanted.count))] = path
      } else {
        ignored.append("\(path): not below the prefix '\(prefix)'")
      }
    }
    guard !kept.isEmpty else {
      throw EngineError(.notFound, "the file has no array whose name begins with '\(prefix)'")
    }
    names = names.filter { $0.starts(with: wanted) && $0.count > wanted.count }
      .map { Array($0.dropFirst(wanted.count)) }
    paths = kept
  }

  func contains(_ name: [String]) -> Bool { paths[name] != nil }

  func shape(_ name: [String]) throws(EngineError) -> [Int] { try dataset(name).shape }

  /// Reads an array and marks it as used.
  func read(_ name: [String], expecting shape: [Int]? = nil) throws(EngineError) -> WeightArray {
    let array = try dataset(name).read(expecting: shape)
    used.insert(name)
    return array
  }

  /// As ``read(_:expecting:)``; nil if there is no such array.
  func readIfPresent(
    _ name: [String], expecting shape: [Int]? = nil
  ) throws(EngineError) -> WeightArray? {
    contains(name) ? try read(name, expecting: shape) : nil
  }

  /// Marks an array as left aside on purpose.
  func ignore(_ name: [String], because reason: String) {
    guard let path = paths[name], used.insert(name).inserted else { return }
    ignored.append("\(path): \(reason)")
  }

  /// Names of arrays that nobody used.
  var unused: [String] { names.filter { !used.contains($0) }.compactMap { paths[$0] } }

  private func dataset(_ name: [String]) throws(EngineError) -> HDF5Dataset {
    guard let path = paths[name] else {
      throw EngineError(.format, "the file has no array '\(name.joined(separator: "."))'")
    }
    return try root.dataset(path)
  }
}
