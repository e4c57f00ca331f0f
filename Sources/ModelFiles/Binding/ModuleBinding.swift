import LSTM

/// Which module of a file fills which layer.
///
/// A module of several recurrent layers spans several Carousel layers: `rnn` with two layers binds to `rnn_l0`
/// and `rnn_l1`. A file without prefixes binds to the recurrent layers, whatever their names.
struct ModuleBinding<Module> {
  struct Unit {
    /// Parts of the module's name; empty at the root.
    var path: [String]
    /// Position in a recurrent module of several layers; nil if it has one.
    var index: Int?
    var isRecurrent: Bool
    var module: Module

    var displayName: String {
      let name = path.isEmpty ? "(without a prefix)" : "'\(path.joined(separator: "."))'"
      return index.map { "\(name), layer \($0)" } ?? name
    }

    /// Names of layers that this unit may belong to, best first.
    var candidates: [String] {
      let suffix = index.map { "_l\($0)" } ?? ""
      var names: [String] = []
      for start in path.indices {
        for separator in [".", "/"] {
          names.append(path[start...].joined(separator: separator) + suffix)
        }
      }
      return names
    }
  }

  /// Pairs every target with its unit; throws if one is left over, or it is not clear which is which.
  static func match(
    _ targets: [LayerTarget], with units: [Unit]
  ) throws(EngineError) -> [(target: LayerTarget, unit: Unit)] {
    var owner: [Int?] = Array(repeating: nil, count: targets.count)
    var isTaken = Array(repeating: false, count: units.count)
    // Full names before shortened ones: `a.fc` and `b.fc` are told apart.
    let longest = units.map(\.candidates.count).max() ?? 0
    for place in 0..<longest {
      for (index, unit) in units.enumerated() where !isTaken[index] {
        guard place < unit.candidates.count else { continue }
        let name = unit.candidates[place]
        guard
          let target = targets.indices.first(where: {
            owner[$0] == nil && targets[$0].name == name
              && targets[$0].isRecurrent == unit.isRecurrent
          })
        else { continue }
        owner[target] = index
        isTaken[index] = true
      }
    }
    try bindByOrder(targets, units, recurrent: true, &owner, &isTaken)
    try bindByOrder(targets, units, recurrent: false, &owner, &isTaken)

    var pairs: [(target: LayerTarget, unit: Unit)] = []
    for (target, index) in zip(targets, owner) {
      guard let index else {
        let names = units.map(\.displayName).joined(separator: "; ")
        throw EngineError(
          .format, "the file has no weights for \(target.displayName); it has \(names)")
      }
      pairs.append((target, units[index]))
    }
    if let left = isTaken.firstIndex(of: false) {
      let names = targets.map { "'\($0.name)'" }.joined(separator: ", ")
      throw EngineError(
        .format,
        "the network has no layer for the file's \(units[left].displayName); "
          + "its layers with weights are \(names)")
    }
    return pairs
  }

  /// What names did not settle is bound in order, if the order is certain: the layers of one module, or one
  /// thing for one place.
  private static func bindByOrder(
    _ targets: [LayerTarget], _ units: [Unit], recurrent: Bool, _ owner: inout [Int?],
    _ isTaken: inout [Bool]
  ) throws(EngineError) {
    let openTargets = targets.indices.filter {
      owner[$0] == nil && targets[$0].isRecurrent == recurrent
    }
    let openUnits = units.indices.filter { !isTaken[$0] && units[$0].isRecurrent == recurrent }
    guard openTargets.count == openUnits.count, let first = openUnits.first else { return }
    let isOneModule = openUnits.allSatisfy { units[$0].path == units[first].path }
    guard openUnits.count == 1 || isOneModule else { return }
    for (target, unit) in zip(openTargets, openUnits) {
      owner[target] = unit
      isTaken[unit] = true
    }
  }
}
