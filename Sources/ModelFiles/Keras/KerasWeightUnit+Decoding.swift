import LSTM

extension KerasWeightUnit {
  /// Arrays that Keras 1 stored apart for each gate; nil if it never did for this unit.
  var separateGateCount: Int? {
    guard case .cell(let cell) = kind else { return nil }
    switch cell {
    case .lstm: return 12
    case .gru: return 9
    case .simple: return nil
    }
  }

  /// Turns Keras's arrays into the engine's, by the last part of their parameter keys.
  ///
  /// - Parameters:
  ///   - arrays: in Keras's order, as many as ``roles`` (or ``separateGateCount``).
  ///   - sources: what each array is called in the file, for messages.
  func decode(
    _ arrays: [WeightArray], from sources: [String], backend: String = ""
  ) throws(EngineError) -> [String: WeightArray] {
    let owner = sources.first ?? "a layer"
    switch kind {
    case .arrays(let roles):
      var result: [String: WeightArray] = [:]
      for (index, role) in roles.enumerated() {
        let array = try fit(arrays[index], to: role, source: sources[index], backend: backend)
        result[part + role.name] = array
      }
      return result
    case .cell(let cell):
      var arrays = arrays
      if arrays.count == separateGateCount { arrays = try joinGates(arrays, of: cell) }
      arrays = try undoCuDNN(arrays, of: cell, owner: owner)
      var result: [String: WeightArray] = [:]
      for (index, role) in roles.enumerated() {
        try check(
          arrays[index], against: role, source: index < sources.count ? sources[index] : owner)
        result[part + role.name] = arrays[index]
      }
      return result
    }
  }

  private func check(
    _ array: WeightArray, against role: Role, source: String
  ) throws(EngineError) {
    let matches =
      array.shape.count == role.shape.count
      && zip(array.shape, role.shape).allSatisfy { $1 == nil || $0 == $1 }
    guard matches else {
      let expected = role.shape.map { $0.map(String.init) ?? "any" }.joined(separator: ", ")
      throw EngineError(
        .shape,
        "'\(source)' (\(role.name)) has shape \(describe(array.shape)), expected (\(expected))")
    }
  }

  private func fit(
    _ array: WeightArray, to role: Role, source: String, backend: String
  ) throws(EngineError) -> WeightArray {
    var array = array
    // (features), (1, features) if shared over time, or (time, features): as the engine has it.
    if role.name == "alpha" { return array }
    if role.name == "kernel", role.shape.count == 3 {
      // Keras 1: (width, 1, inputs, filters).
      if array.shape.count == 4, array.shape[1] == 1 {
        array = try array.reshaped([array.shape[0], array.shape[2], array.shape[3]])
      }
      // Theano turns kernels round before it applies them.
      if backend == "theano" {
        var parts: [WeightArray] = []
        for index in (0..<(array.shape.first ?? 0)).reversed() {
          parts.append(try array.rows(index..<index + 1))
        }
        array = try WeightArray.joiningRows(parts)
      }
    }
    try check(array, against: role, source: source)
    return array
  }

  /// Keras 1: `W, U, b` of each gate; LSTM in the order i, c, f, o, GRU in the order z, r, h.
  private func joinGates(
    _ arrays: [WeightArray], of cell: CellDescription
  ) throws(EngineError) -> [WeightArray] {
    let order = if case .lstm = cell { [0, 2, 1, 3] } else { [0, 1, 2] }
    var joined: [WeightArray] = []
    for kind in 0..<3 {
      joined.append(try WeightArray.joiningColumns(order.map { arrays[3 * $0 + kind] }))
    }
    return joined
  }

  /// CuDNN layers have two biases, and every gate's matrices in cuDNN's own layout. The size of the bias tells;
  /// the class does not (people load such weights into plain layers).
  private func undoCuDNN(
    _ arrays: [WeightArray], of cell: CellDescription, owner: String
  ) throws(EngineError) -> [WeightArray] {
    guard arrays.count == 3, arrays[2].shape.count == 1 else { return arrays }
    let units = cell.units
    let gates: Int
    switch cell {
    case .lstm: gates = 4
    case .gru(let gru) where gru.resetAfter: gates = 3
    default: return arrays
    }
    guard arrays[2].count == 2 * gates * units else { return arrays }
    let kernel = try undoCuDNNKernel(
      arrays[0], gates: gates, units: units, isRecurrent: false, owner)
    let recurrent = try undoCuDNNKernel(
      arrays[1], gates: gates, units: units, isRecurrent: true, owner)
    let halves = try arrays[2].reshaped([2, gates * units])
    let bias = if gates == 4 { try halves.element(0).adding(halves.element(1)) } else { halves }
    return [kernel, recurrent, bias]
  }

  /// Each (rows, H) block is cuDNN's (H, rows) matrix, read row-major; recurrent blocks are transposed.
  private func undoCuDNNKernel(
    _ array: WeightArray, gates: Int, units: Int, isRecurrent: Bool, _ owner: String
  ) throws(EngineError) -> WeightArray {
    guard array.shape.count == 2, array.shape[1] == gates * units else {
      throw EngineError(
        .shape, "'\(owner)' has the bias of a CuDNN layer, but a kernel of \(describe(array.shape))"
      )
    }
    let rows = array.shape[0]
    let result = try WeightArray(shape: array.shape)
    let columns = gates * units
    guard !isRecurrent || rows == units else {
      throw EngineError(
        .shape, "the recurrent kernel of '\(owner)' has shape \(describe(array.shape))")
    }
    for gate in 0..<gates {
      for row in 0..<rows {
        for column in 0..<units {
          let flat = column * rows + row  // position in the (H, rows) matrix
          let source = (flat / units) * columns + gate * units + flat % units
          result.values[row * columns + gate * units + column] = array.values[source]
        }
      }
    }
    return result
  }
}
