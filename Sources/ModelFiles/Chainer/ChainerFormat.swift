import LSTM

/// Chainer's `serializers.save_hdf5`: groups follow the attributes of the chain, there are no attributes.
///
/// `L.LSTM` and its relatives interleave the gates by unit (row 4j + k is gate k of unit j, in the order a, i,
/// f, o); NStep links keep eight (six, two) small matrices, in cuDNN's order i, f, a, o whatever the
/// documentation of `NStepLSTM` says.
enum ChainerFormat {
  private enum Module {
    case interleaved
    case gated
    /// NStep link: numbers of the groups of one layer, one or two.
    case stacked(groups: [Int], matrices: Int)
    case plain
  }

  static func recognises(_ catalog: ArrayCatalog) -> Bool {
    catalog.names.contains {
      $0.suffix(2) == ["upward", "W"] || $0.suffix(2) == ["U_r", "W"] || isStackedName($0)
    }
  }

  /// `…/0/w0`
  private static func isStackedName(_ name: [String]) -> Bool {
    name.count >= 2 && name.last == "w0" && Int(name[name.count - 2]) != nil
  }

  static func read(
    _ catalog: ArrayCatalog, into description: NetworkDescription
  ) throws(EngineError) -> [String: WeightArray] {
    let targets = LayerTarget.targets(of: description)
    let pairs = try ModuleBinding.match(targets, with: try modules(of: catalog, targets))
    var result: [String: WeightArray] = [:]
    for (target, unit) in pairs {
      switch (unit.module, target.kind) {
      case (.plain, .plain(let kind)):
        for (part, array) in try readPlain(catalog, unit.path, kind) {
          result["\(target.name)/\(part)"] = array
        }
      case (.interleaved, .recurrent(let description)):
        try description.requirePlain("Chainer", target.displayName)
        let arrays = try readInterleaved(catalog, unit.path, description.cell, target)
        for (part, array) in arrays { result["\(target.name)/\(part)"] = array }
      case (.gated, .recurrent(let description)):
        try description.requirePlain("Chainer", target.displayName)
        let arrays = try readGated(catalog, unit.path, description.cell, target)
        for (part, array) in arrays { result["\(target.name)/\(part)"] = array }
      case (.stacked(let groups, let matrices), _) where target.isRecurrent:
        try readStacked(catalog, unit.path, groups, matrices, target, &result)
      default:
        throw EngineError(
          .shape, "\(target.displayName) does not fit the file's \(unit.displayName)")
      }
    }
    return result
  }

  // MARK: - Modules

  private static func modules(
    of catalog: ArrayCatalog, _ targets: [LayerTarget]
  ) throws(EngineError) -> [ModuleBinding<Module>.Unit] {
    var units: [ModuleBinding<Module>.Unit] = []
    var seen: Set<[String]> = []
    for name in catalog.names {
      if isStackedName(name) {
        let path = Array(name.dropLast(2))
        if seen.insert(path).inserted { units += try stackedUnits(catalog, path, targets) }
      } else if name.suffix(2) == ["upward", "W"] {
        units.append(
          .init(path: name.dropLast(2), index: nil, isRecurrent: true, module: .interleaved))
      } else if isGatedPart(name, of: catalog) {
        if name.suffix(2) == ["U_r", "W"] {
          units.append(
            .init(path: name.dropLast(2), index: nil, isRecurrent: true, module: .gated))
        }
      } else if ["W", "gamma", "avg_mean"].contains(name.last ?? ""), !isRecurrentPart(name) {
        let path = Array(name.dropLast())
        if seen.insert(path).inserted {
          units.append(.init(path: path, index: nil, isRecurrent: false, module: .plain))
        }
      } else if name.last == "N", catalog.contains(name.dropLast() + ["avg_mean"]) {
        catalog.ignore(name, because: "a training counter")
      }
    }
    return units
  }

  private static func isRecurrentPart(_ name: [String]) -> Bool {
    ["lateral", "peep_i", "peep_f", "peep_o"].contains(name.dropLast().last ?? "")
  }

  private static func stackedUnits(
    _ catalog: ArrayCatalog, _ path: [String], _ targets: [LayerTarget]
  ) throws(EngineError) -> [ModuleBinding<Module>.Unit] {
    var count = 0
    while catalog.contains(path + [String(count), "w0"]) { count += 1 }
    var matrices = 0
    while catalog.contains(path + ["0", "w\(matrices)"]) { matrices += 1 }
    guard [2, 6, 8].contains(matrices) else {
      throw EngineError(
        .format,
        "'\(path.joined(separator: "/"))' has \(matrices) matrices per layer; "
          + "8 (LSTM), 6 (GRU) and 2 (RNN) are known")
    }
    let directions = try hasTwoDirections(catalog, path, count, targets) ? 2 : 1
    let layers = count / directions
    return (0..<layers).map { layer in
      .init(
        path: path, index: layers == 1 ? nil : layer, isRecurrent: true,
        module: .stacked(
          groups: Array(layer * directions..<(layer + 1) * directions), matrices: matrices))
    }
  }

  /// Groups are layers x directions; the widths of the inputs tell, the network where they do not.
  private static func hasTwoDirections(
    _ catalog: ArrayCatalog, _ path: [String], _ count: Int, _ targets: [LayerTarget]
  ) throws(EngineError) -> Bool {
    guard count % 2 == 0, count > 0 else { return false }
    func width(_ group: Int) throws(EngineError) -> [Int] {
      try catalog.shape(path + [String(group), "w0"])
    }
    let first = try width(0)
    guard try width(1) == first, first.count == 2 else { return false }
    if count >= 4 { return try width(2) == [first[0], 2 * first[0]] }
    guard first[0] == first[1] else { return true }
    return targets.contains { $0.directions.count == 2 }
  }

  // MARK: - Recurrent links

  private static func readInterleaved(
    _ catalog: ArrayCatalog, _ path: [String], _ cell: CellDescription, _ target: LayerTarget
  ) throws(EngineError) -> [String: WeightArray] {
    guard case .lstm(let cell) = cell, cell.hasAllGates, cell.projection == nil else {
      throw EngineError(
        .unsupported, "\(target.displayName) is not a plain LSTM, as the file's link is")
    }
    let units = cell.units
    // a, i, f, o in the file; input, forget, cell, output here.
    let order = [1, 2, 0, 3]
    let input = try catalog.read(path + ["upward", "W"])
    guard input.shape.count == 2, input.shape[0] == 4 * units else {
      throw EngineError(
        .shape,
        "'\((path + ["upward", "W"]).joined(separator: "/"))' has shape "
          + "\(describe(input.shape)), expected \(4 * units) rows")
    }
    let hidden = try catalog.read(path + ["lateral", "W"], expecting: [4 * units, units])
    var result: [String: WeightArray] = [:]
    result["kernel"] = try input.transposed().deinterleavingColumns(order)
    result["recurrent_kernel"] = try hidden.transposed().deinterleavingColumns(order)
    if let bias = try catalog.readIfPresent(path + ["upward", "b"], expecting: [4 * units]) {
      result["bias"] = try bias.deinterleavingColumns(order)
    }
    for (letter, name, isOn) in [
      ("i", "input", cell.inputPeephole), ("f", "forget", cell.forgetPeephole),
      ("o", "output", cell.outputPeephole),
    ] where isOn {
      let name = "peephole_\(name)"
      let matrix = try catalog.read(path + ["peep_\(letter)", "W"], expecting: [units, units])
      result[name] =
        cell.peepholeKind == .dense
        ? try matrix.transposed() : try diagonal(of: matrix, path + ["peep_\(letter)"])
    }
    return result
  }

  /// Chainer's peepholes are full matrices; a diagonal cell can take them if nothing else is in them.
  private static func diagonal(
    of matrix: WeightArray, _ path: [String]
  ) throws(EngineError) -> WeightArray {
    let units = matrix.shape[0]
    let result = try WeightArray(shape: [units])
    for row in 0..<units {
      for column in 0..<units where row != column && matrix[row, column] != 0 {
        throw EngineError(
          .unsupported,
          "'\(path.joined(separator: "/"))' is a full matrix; the network needs "
            + "peepholes=\"dense\" to take it")
      }
      result.values[row] = matrix[row, row]
    }
    return result
  }

  private static func readStacked(
    _ catalog: ArrayCatalog, _ path: [String], _ groups: [Int], _ matrices: Int,
    _ target: LayerTarget, _ result: inout [String: WeightArray]
  ) throws(EngineError) {
    guard target.directions.count == groups.count else {
      throw EngineError(
        .shape,
        "\(target.displayName) has \(target.directions.count) direction(s), "
          + "the file's link has \(groups.count)")
    }
    for (direction, group) in zip(target.directions, groups) {
      try direction.description.requirePlain("Chainer", target.displayName)
      let cell = direction.description.cell
      let gates = try TorchFormat.gateCount(of: cell, target)
      guard 2 * gates == matrices, cell.outputWidth == cell.units else {
        throw EngineError(
          .shape, "\(target.displayName) has \(gates) gates, the file's link \(matrices / 2)")
      }
      // Blocks as here: GRU is r, z, n in the file and z, r, n here; LSTM agrees.
      let order = gates == 3 ? [1, 0, 2] : Array(0..<gates)
      let base = path + [String(group)]
      func join(_ letter: String, _ first: Int, _ shape: [Int]?) throws(EngineError) -> WeightArray
      {
        var arrays: [WeightArray] = []
        for gate in order {
          let array = try catalog.read(base + ["\(letter)\(first + gate)"], expecting: shape)
          arrays.append(shape?.count == 1 ? array : try array.transposed())
        }
        return try WeightArray.joiningColumns(arrays)
      }
      let units = cell.units
      result[direction.key + "kernel"] = try join("w", 0, nil)
      result[direction.key + "recurrent_kernel"] = try join("w", gates, [units, units])
      let inputBias = try join("b", 0, [units])
      let hiddenBias = try join("b", gates, [units])
      if gates == 3 {
        result[direction.key + "bias"] = try WeightArray.joiningRows([
          try inputBias.reshaped([1, 3 * units]), try hiddenBias.reshaped([1, 3 * units]),
        ])
      } else {
        result[direction.key + "bias"] = try inputBias.adding(hiddenBias)
      }
    }
  }

  // MARK: - Other links

  private static func readPlain(
    _ catalog: ArrayCatalog, _ path: [String], _ kind: LayerKind
  ) throws(EngineError) -> [String: WeightArray] {
    var result: [String: WeightArray] = [:]
    switch kind {
    case .dense:
      result["kernel"] = try catalog.read(path + ["W"]).transposed()
      result["bias"] = try catalog.readIfPresent(path + ["b"])
    case .embedding(let vocabulary, let dimension, _):
      result["embeddings"] = try catalog.read(path + ["W"], expecting: [vocabulary, dimension])
    case .conv1D(let description):
      result["kernel"] = try catalog.read(path + ["W"]).reversingAxes()
      result["bias"] = try catalog.readIfPresent(path + ["b"], expecting: [description.filters])
    case .batchNormalization:
      result["gamma"] = try catalog.readIfPresent(path + ["gamma"])
      result["beta"] = try catalog.readIfPresent(path + ["beta"])
      result["moving_mean"] = try catalog.read(path + ["avg_mean"])
      result["moving_variance"] = try catalog.read(path + ["avg_var"])
    case .layerNormalization:
      result["gamma"] = try catalog.readIfPresent(path + ["gamma"])
      result["beta"] = try catalog.readIfPresent(path + ["beta"])
    case .prelu:
      result["alpha"] = try catalog.read(path + ["W"])
    default:
      break
    }
    return result
  }
}
