import LSTM

/// Chainer's `L.StatefulGRU` and `L.StatelessGRU`: six links of one matrix and one bias each.
///
///     r = σ(W_r x + U_r h)   z = σ(W_z x + U_z h)   h' = tanh(W x + U (r h))   h = z h' + (1 - z) h
///
/// Their z is 1 minus ours, which turns the sign of everything that goes into it.
extension ChainerFormat {
  static let gatedParts: Set<String> = ["W_r", "U_r", "W_z", "U_z", "W", "U"]

  /// The array belongs to a GRU link.
  static func isGatedPart(_ name: [String], of catalog: ArrayCatalog) -> Bool {
    guard name.count >= 2, gatedParts.contains(name[name.count - 2]) else { return false }
    return catalog.contains(name.dropLast(2) + ["U_r", "W"])
  }

  static func readGated(
    _ catalog: ArrayCatalog, _ path: [String], _ cell: CellDescription, _ target: LayerTarget
  ) throws(EngineError) -> [String: WeightArray] {
    guard case .gru(let cell) = cell, !cell.resetAfter else {
      throw EngineError(
        .unsupported,
        "\(target.displayName) is not a GRU with reset_after=False, as the file's link is")
    }
    let units = cell.units
    func matrix(_ part: String, _ shape: [Int]?) throws(EngineError) -> WeightArray {
      let array = try catalog.read(path + [part, "W"], expecting: shape)
      guard array.shape.first == units else {
        throw EngineError(
          .shape,
          "'\((path + [part, "W"]).joined(separator: "/"))' has shape \(describe(array.shape)), "
            + "expected \(units) rows")
      }
      return try array.transposed().scaled(by: part.hasSuffix("_z") ? -1 : 1)
    }
    func bias(_ part: String) throws(EngineError) -> WeightArray {
      let array = try catalog.readIfPresent(path + [part, "b"], expecting: [units])
      if let array { return try array.scaled(by: part.hasSuffix("_z") ? -1 : 1) }
      return try WeightArray(shape: [units])
    }
    var (kernels, recurrent, biases): ([WeightArray], [WeightArray], [WeightArray]) = ([], [], [])
    for suffix in ["_z", "_r", ""] {
      kernels.append(try matrix("W\(suffix)", nil))
      recurrent.append(try matrix("U\(suffix)", [units, units]))
      let hiddenBias = try bias("U\(suffix)")
      guard hiddenBias.values.allSatisfy({ $0 == 0 }) else {
        throw EngineError(
          .unsupported,
          "'\((path + ["U\(suffix)", "b"]).joined(separator: "/"))' is not zero: StatefulGRU leaves "
            + "it out at its first step and StatelessGRU does not, and the file does not say which "
            + "it is")
      }
      biases.append(try bias("W\(suffix)"))
    }
    var result = [
      "kernel": try WeightArray.joiningColumns(kernels),
      "recurrent_kernel": try WeightArray.joiningColumns(recurrent),
    ]
    if cell.useBias { result["bias"] = try WeightArray.joiningColumns(biases) }
    return result
  }

  static func writeGated(
    _ contents: ModelContents, _ layer: LayerTarget, _ cell: GRUDescription,
    _ put: (String, WeightArray?) throws(EngineError) -> Void
  ) throws(EngineError) {
    let zeros = try WeightArray(shape: [cell.units])
    for (index, suffix) in ["_z", "_r", ""].enumerated() {
      func block(_ array: WeightArray) throws(EngineError) -> WeightArray {
        try array.permutingColumnBlocks([index], of: 3).scaled(by: index == 0 ? -1 : 1)
      }
      try put("W\(suffix)/W", try block(contents.array(layer.name + "/kernel")).transposed())
      try put(
        "U\(suffix)/W", try block(contents.array(layer.name + "/recurrent_kernel")).transposed())
      let bias = contents.weights[layer.name + "/bias"]
      try put(
        "W\(suffix)/b", try bias.map { (bias) throws(EngineError) in try block(bias) } ?? zeros)
      try put("U\(suffix)/b", zeros)
    }
  }
}
