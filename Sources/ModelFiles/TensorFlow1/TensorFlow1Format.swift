import LSTM

/// Variables of TensorFlow 1 cells by name. Scopes vary, so recurrent layers are bound in order.
///
/// A cell's one kernel has the input's rows first, then the hidden state's; LSTM blocks are i, j (cell), f, o;
/// the forget bias is added at run time and is not in the file.
enum TensorFlow1Format {
  /// The variables of one layer: one scope, or two for a bidirectional one.
  private struct Cell {
    /// Scope without the direction, for order and messages.
    var scope: [String]
    /// Scopes of the cell's variables, forward first.
    var paths: [[String]]
  }

  /// Leaves of training state.
  private static let slots: Set<String> = [
    "Adam", "Adam_1", "Momentum", "RMSProp", "RMSProp_1", "Adagrad", "ExponentialMovingAverage",
    "global_step", "beta1_power", "beta2_power",
  ]

  static func recognises(_ catalog: ArrayCatalog) -> Bool {
    catalog.names.contains { $0.contains(where: isCellName) && leaf($0) == "kernel" }
  }

  private static func isCellName(_ part: String) -> Bool {
    var part = part[...]
    while let last = part.last, last.isNumber || last == "_" { part.removeLast() }
    return part.hasSuffix("lstm_cell") || part.hasSuffix("gru_cell")
      || part.hasSuffix("rnn_cell")
        && part != "multi_rnn_cell"
  }

  /// Last part of a variable's name, without the output number `:0`.
  private static func leaf(_ name: [String]) -> String {
    let last = name.last ?? ""
    return last.hasSuffix(":0") ? String(last.dropLast(2)) : last
  }

  /// - Parameter forgetBias: per LSTM layer; one value for all; empty: as the file says, else 1.
  static func read(
    _ catalog: ArrayCatalog, _ root: HDF5Group, into description: NetworkDescription,
    forgetBias: [Double]
  ) throws(EngineError) -> [String: WeightArray] {
    for name in catalog.names where slots.contains(leaf(name)) {
      catalog.ignore(name, because: "the optimiser's state")
    }
    let targets = LayerTarget.targets(of: description)
    let recurrent = targets.filter { $0.isRecurrent }
    let cells = try cells(of: catalog)
    guard cells.count == recurrent.count else {
      let scopes = cells.map { "'\($0.scope.joined(separator: "/"))'" }.joined(separator: ", ")
      throw EngineError(
        .shape,
        "the file has \(cells.count) cells (\(scopes)), the network has "
          + "\(recurrent.count) recurrent layers")
    }
    let biases = try forgetBiases(forgetBias, root, count: cells.count)
    var result: [String: WeightArray] = [:]
    for (index, target) in recurrent.enumerated() {
      let paths = cells[index].paths
      guard paths.count == target.directions.count else {
        throw EngineError(
          .shape,
          "\(target.displayName) has \(target.directions.count) direction(s), "
            + "'\(cells[index].scope.joined(separator: "/"))' has \(paths.count)")
      }
      for (direction, path) in zip(target.directions, paths) {
        try direction.description.requirePlain("TensorFlow 1", target.displayName)
        let arrays = try readCell(
          catalog, path, direction.description.cell, target, forgetBias: biases[index])
        for (part, array) in arrays { result[direction.key + part] = array }
      }
    }
    try readPlainLayers(catalog, targets.filter { !$0.isRecurrent }, &result)
    return result
  }

  // MARK: - Scopes

  private static func cells(of catalog: ArrayCatalog) throws(EngineError) -> [Cell] {
    var cells: [Cell] = []
    for name in catalog.names {
      // The cell's own kernel, or the first of a GRU's two.
      guard let position = name.lastIndex(where: isCellName), leaf(name) == "kernel" else {
        continue
      }
      let inner = name[(position + 1)...].dropLast()
      guard inner.isEmpty || Array(inner) == ["gates"] else { continue }
      let path = Array(name[...position])
      let scope = path.filter { $0 != "fw" && $0 != "bw" }
      if let index = cells.firstIndex(where: { $0.scope == scope }), scope != path {
        // `bw` sorts before `fw`.
        cells[index].paths.append(path)
        cells[index].paths.sort { $0.contains("fw") && !$1.contains("fw") }
      } else {
        cells.append(Cell(scope: scope, paths: [path]))
      }
      if scope != path, path.contains("multi_rnn_cell"), !path.contains("stack_bidirectional_rnn") {
        throw EngineError(
          .unsupported,
          "'\(path.joined(separator: "/"))': two stacks of cells that run in opposite "
            + "directions are not supported")
      }
    }
    return cells.sorted { naturallyPrecedes($0.scope, $1.scope) }
  }

  /// `cell_2` before `cell_10`.
  private static func naturallyPrecedes(_ first: [String], _ second: [String]) -> Bool {
    for (a, b) in zip(first, second) where a != b {
      let (stemA, numberA) = splitNumber(a)
      let (stemB, numberB) = splitNumber(b)
      return stemA == stemB ? numberA < numberB : a < b
    }
    return first.count < second.count
  }

  private static func splitNumber(_ text: String) -> (String, Int) {
    let digits = text.reversed().prefix { $0.isNumber }
    return (String(text.dropLast(digits.count)), Int(String(digits.reversed())) ?? -1)
  }

  /// Explicit values, or those of the attribute `cells` (a JSON list of the cells' arguments), or 1.
  private static func forgetBiases(
    _ given: [Double], _ root: HDF5Group, count: Int
  ) throws(EngineError) -> [Double] {
    if given.count == 1 { return Array(repeating: given[0], count: count) }
    if !given.isEmpty {
      guard given.count == count else {
        throw EngineError(
          .invalidArgument, "forget_bias has \(given.count) values, the file has \(count) cells")
      }
      return given
    }
    var biases = Array(repeating: 1.0, count: count)
    if let text = try root.attributes.text("cells"),
      let list = try JSONValue(parsing: text, limits: root.file.limits).arrayValue
    {
      for (index, value) in list.prefix(count).enumerated() {
        biases[index] = value.objectValue?["forget_bias"]?.doubleValue ?? 1
      }
    }
    return biases
  }

  // MARK: - Cells

  private static func find(
    _ catalog: ArrayCatalog, _ path: [String]
  ) -> [String] {
    let numbered = Array(path.dropLast()) + [(path.last ?? "") + ":0"]
    return catalog.contains(numbered) ? numbered : path
  }

  private static func readCell(
    _ catalog: ArrayCatalog, _ path: [String], _ cell: CellDescription, _ target: LayerTarget,
    forgetBias: Double
  ) throws(EngineError) -> [String: WeightArray] {
    func read(_ parts: [String], _ shape: [Int]? = nil) throws(EngineError) -> WeightArray {
      try catalog.read(find(catalog, path + parts), expecting: shape)
    }
    switch cell {
    case .lstm(let cell):
      guard cell.hasAllGates, cell.peepholeKind == .diagonal || !cell.hasPeepholes else {
        throw EngineError(
          .unsupported,
          "\(target.displayName) lacks a gate, or has dense peepholes; cells of "
            + "TensorFlow 1 do not")
      }
      let columns = 4 * cell.units
      let parts = try split(
        try read(["kernel"]), hiddenRows: cell.outputWidth, columns: columns, path)
      // i, j, f, o to input, forget, cell, output.
      let order = [0, 2, 1, 3]
      var result = [
        "kernel": try parts.input.permutingColumnBlocks(order, of: 4),
        "recurrent_kernel": try parts.hidden.permutingColumnBlocks(order, of: 4),
      ]
      let bias = try read(["bias"], [columns]).permutingColumnBlocks(order, of: 4)
      for index in cell.units..<2 * cell.units { bias.values[index] += forgetBias }
      result["bias"] = bias
      if cell.inputPeephole { result["peephole_input"] = try read(["w_i_diag"], [cell.units]) }
      if cell.forgetPeephole { result["peephole_forget"] = try read(["w_f_diag"], [cell.units]) }
      if cell.outputPeephole { result["peephole_output"] = try read(["w_o_diag"], [cell.units]) }
      if let projection = cell.projection {
        result["projection"] = try read(["projection", "kernel"], [cell.units, projection])
      }
      return result
    case .gru(let cell):
      guard !cell.resetAfter else {
        throw EngineError(
          .unsupported,
          "\(target.displayName) has reset_after=True; GRUCell of TensorFlow 1 "
            + "resets before the product")
      }
      let gates = try split(
        try read(["gates", "kernel"]), hiddenRows: cell.units, columns: 2 * cell.units, path)
      let candidate = try split(
        try read(["candidate", "kernel"]), hiddenRows: cell.units, columns: cell.units, path)
      // r, u to update, reset.
      let bias = try read(["gates", "bias"], [2 * cell.units]).permutingColumnBlocks([1, 0], of: 2)
      return [
        "kernel": try WeightArray.joiningColumns([
          try gates.input.permutingColumnBlocks([1, 0], of: 2), candidate.input,
        ]),
        "recurrent_kernel": try WeightArray.joiningColumns([
          try gates.hidden.permutingColumnBlocks([1, 0], of: 2), candidate.hidden,
        ]),
        "bias": try WeightArray.joiningColumns([
          bias, try read(["candidate", "bias"], [cell.units]),
        ]),
      ]
    case .simple(let cell):
      let parts = try split(
        try read(["kernel"]), hiddenRows: cell.units, columns: cell.units, path)
      return [
        "kernel": parts.input, "recurrent_kernel": parts.hidden,
        "bias": try read(["bias"], [cell.units]),
      ]
    }
  }

  private static func split(
    _ kernel: WeightArray, hiddenRows: Int, columns: Int, _ path: [String]
  ) throws(EngineError) -> (input: WeightArray, hidden: WeightArray) {
    guard kernel.shape.count == 2, kernel.shape[1] == columns, kernel.shape[0] > hiddenRows else {
      throw EngineError(
        .shape,
        "the kernel of '\(path.joined(separator: "/"))' has shape "
          + "\(describe(kernel.shape)), expected (inputs + \(hiddenRows), \(columns))")
    }
    let inputs = kernel.shape[0] - hiddenRows
    return (try kernel.rows(0..<inputs), try kernel.rows(inputs..<kernel.shape[0]))
  }

  // MARK: - Other layers

  private static func readPlainLayers(
    _ catalog: ArrayCatalog, _ targets: [LayerTarget], _ result: inout [String: WeightArray]
  ) throws(EngineError) {
    let leaves: Set<String> = [
      "kernel", "embeddings", "embedding_matrix", "gamma", "moving_mean", "alpha",
    ]
    var units: [ModuleBinding<Void>.Unit] = []
    for name in catalog.names where leaves.contains(leaf(name)) {
      let path = Array(name.dropLast())
      guard !name.contains(where: isCellName), !units.contains(where: { $0.path == path }) else {
        continue
      }
      units.append(.init(path: path, index: nil, isRecurrent: false, module: ()))
    }
    for (target, unit) in try ModuleBinding.match(targets, with: units) {
      guard case .plain(let kind) = target.kind else { continue }
      func array(_ names: [String]) throws(EngineError) -> WeightArray? {
        for name in names {
          let full = find(catalog, unit.path + [name])
          if catalog.contains(full) { return try catalog.read(full) }
        }
        return nil
      }
      func set(_ part: String, _ names: String...) throws(EngineError) {
        result["\(target.name)/\(part)"] = try array(names)
      }
      switch kind {
      case .embedding:
        try set("embeddings", "embeddings", "embedding_matrix")
      case .batchNormalization, .layerNormalization:
        for part in ["gamma", "beta", "moving_mean", "moving_variance"] { try set(part, part) }
      case .prelu:
        try set("alpha", "alpha")
      default:
        try set("kernel", "kernel")
        try set("bias", "bias")
      }
    }
  }
}
