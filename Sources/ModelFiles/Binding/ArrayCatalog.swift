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
    for path in try ArrayCatalog.datasets(below: root) {
      let parts = path.split { $0 == "/" || (splitsDots && $0 == ".") }.map(String.init)
      guard paths.updateValue(path, forKey: parts) == nil else {
        throw EngineError(.format, "two arrays are called '\(parts.joined(separator: "."))'")
      }
      names.append(parts)
    }
  }

  /// Paths of all datasets below a group.
  static func datasets(below root: HDF5Group) throws(EngineError) -> [String] {
    var result: [String] = []
    var pending: [(group: HDF5Group, prefix: String, depth: Int)] = [(root, "", 0)]
    var visited = 0
    while let (group, prefix, depth) = pending.popLast() {
      var groups: [(group: HDF5Group, prefix: String, depth: Int)] = []
      for name in try group.names() {
        visited += 1
        guard depth < 32, visited <= root.file.limits.objects else {
          throw EngineError(
            .limit, "'\(prefix)\(name)': the file has too many or too deeply nested groups")
        }
        switch try group.kind(of: name) {
        case .dataset: result.append(prefix + name)
        case .group: groups.append((try group.group(name), "\(prefix)\(name)/", depth + 1))
        default: throw EngineError(.format, "'\(prefix)\(name)' is neither group nor dataset")
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
