import LSTM

extension TorchFormat {
  /// Writes a state_dict: one dataset per key at the root, dots in the names.
  static func write(
    _ contents: ModelContents, to root: HDF5GroupWriter, prefix: String?, compression: Int
  ) throws(EngineError) {
    let storage = HDF5Storage(number: contents.storedNumber, compression: compression)
    let modules = try ModuleNaming.modules(
      of: contents.description, prefix: prefix, separator: ".")
    for module in modules {
      // Slashes would make groups; PyTorch's names have dots.
      let name = String(module.name.map { $0 == "/" ? "." : $0 })
      func put(_ field: String, _ array: WeightArray?) throws(EngineError) {
        guard let array else { return }
        try root.write(array, to: name.isEmpty ? field : "\(name).\(field)", as: storage)
      }
      for (index, layer) in module.layers.enumerated() {
        if case .plain(let kind) = layer.kind {
          try writePlain(contents, layer, kind, put)
          if case .batchNormalization = kind {
            try root.write(
              try WeightArray(shape: []), to: "\(name).num_batches_tracked",
              as: HDF5Storage(number: .int64))
          }
          continue
        }
        try layer.requireExchangeable("PyTorch")
        try layer.requireUsualActivations("PyTorch", allowsRelu: true)
        try layer.requireNoClips("PyTorch")
        for (place, direction) in layer.directions.enumerated() {
          let suffix = "_l\(index)" + (place == 1 ? "_reverse" : "")
          let arrays = try fields(contents, direction.key, direction.description.cell, layer)
          for (field, array) in arrays { try put(field + suffix, array) }
        }
      }
    }
  }

  /// Arrays of one direction by PyTorch's names, without the layer.
  private static func fields(
    _ contents: ModelContents, _ key: String, _ cell: CellDescription, _ layer: LayerTarget
  ) throws(EngineError) -> [(String, WeightArray)] {
    let gates = try gateCount(of: cell, layer)
    let order = gates == 3 ? [1, 0, 2] : Array(0..<gates)
    func matrix(_ part: String) throws(EngineError) -> WeightArray {
      try contents.array(key + part).permutingColumnBlocks(order, of: gates).transposed()
    }
    var result = [
      ("weight_ih", try matrix("kernel")), ("weight_hh", try matrix("recurrent_kernel")),
    ]
    if let bias = contents.weights[key + "bias"] {
      let rows = gates * cell.units
      if gates == 3 {
        let both = try bias.permutingColumnBlocks(order, of: gates)
        result += [("bias_ih", try both.element(0)), ("bias_hh", try both.element(1))]
      } else {
        result += [("bias_ih", bias), ("bias_hh", try WeightArray(shape: [rows]))]
      }
    }
    if case .lstm(let cell) = cell, cell.projection != nil {
      result.append(("weight_hr", try contents.array(key + "projection").transposed()))
    }
    return result
  }

  private static func writePlain(
    _ contents: ModelContents, _ layer: LayerTarget, _ kind: LayerKind,
    _ put: (String, WeightArray?) throws(EngineError) -> Void
  ) throws(EngineError) {
    func own(_ part: String) -> WeightArray? { contents.weights["\(layer.name)/\(part)"] }
    switch kind {
    case .dense:
      try put("weight", try contents.array("\(layer.name)/kernel").transposed())
      try put("bias", own("bias"))
    case .embedding:
      try put("weight", own("embeddings"))
    case .conv1D:
      try put("weight", try contents.array("\(layer.name)/kernel").reversingAxes())
      try put("bias", own("bias"))
    case .batchNormalization(_, _, let scales, let centers):
      guard scales == centers else {
        throw EngineError(
          .unsupported, "\(layer.displayName) has only one of scale and center; PyTorch's has both")
      }
      try put("weight", own("gamma"))
      try put("bias", own("beta"))
      try put("running_mean", own("moving_mean"))
      try put("running_var", own("moving_variance"))
    case .layerNormalization(_, let scales, let centers, _):
      guard scales || !centers else {
        throw EngineError(
          .unsupported, "\(layer.displayName) has center without scale, which PyTorch does not know"
        )
      }
      try put("weight", own("gamma"))
      try put("bias", own("beta"))
    case .prelu:
      guard let alpha = own("alpha"), alpha.shape.dropLast().allSatisfy({ $0 == 1 }) else {
        throw EngineError(
          .unsupported, "\(layer.displayName) has a slope per step, which PyTorch does not know")
      }
      try put("weight", try alpha.reshaped([alpha.count]))
    default: break
    }
  }
}
