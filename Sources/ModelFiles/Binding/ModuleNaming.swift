import LSTM

/// How the layers of a network are called in files whose names are their only structure.
struct ModuleNaming {
  /// Layers that form one module of the other framework.
  struct Module {
    var name: String
    /// More than one for a family `rnn_l0`, `rnn_l1`, …
    var layers: [LayerTarget]
  }

  /// Groups the layers into modules.
  ///
  /// - Parameter prefix: nil: the layers' names; "": no name, for the weights of one recurrent module; else what
  ///   all names begin with.
  static func modules(
    of description: NetworkDescription, prefix: String?, separator: String
  ) throws(EngineError) -> [Module] {
    let targets = LayerTarget.targets(of: description)
    guard !targets.isEmpty else {
      throw EngineError(.unsupported, "the network has no weights that the layout could hold")
    }
    var modules: [Module] = []
    for target in targets {
      let family = target.isRecurrent ? family(of: target.name) : nil
      if let family, let last = modules.last, last.name == family.stem,
        family.index == last.layers.count
      {
        modules[modules.count - 1].layers.append(target)
        continue
      }
      let begins = family?.index == 0
      modules.append(
        Module(name: begins ? family?.stem ?? target.name : target.name, layers: [target]))
    }
    guard let prefix else { return modules }
    if prefix.isEmpty {
      guard modules.count == 1 else {
        throw EngineError(
          .invalidArgument,
          "a file without prefixes holds one module; the network has "
            + modules.map { "'\($0.name)'" }.joined(separator: ", "))
      }
      modules[0].name = ""
      return modules
    }
    let stem = prefix.hasSuffix(separator) ? prefix : prefix + separator
    return modules.map { Module(name: stem + $0.name, layers: $0.layers) }
  }

  /// `rnn_l1`: the second layer of `rnn`.
  private static func family(of name: String) -> (stem: String, index: Int)? {
    let digits = name.reversed().prefix { $0.isNumber }
    let rest = name.dropLast(digits.count)
    guard !digits.isEmpty, rest.hasSuffix("_l"), let index = Int(String(digits.reversed())),
      rest.count > 2
    else { return nil }
    return (String(rest.dropLast(2)), index)
  }
}

extension ModelContents {
  /// A parameter that a writer needs.
  func array(_ key: String) throws(EngineError) -> WeightArray {
    guard let array = weights[key] else {
      throw EngineError(.notFound, "the network has no parameter '\(key)'")
    }
    return array
  }

  /// A parameter that the network may lack, where the other framework always has it.
  func arrayOrZeros(_ key: String, shape: [Int]) throws(EngineError) -> WeightArray {
    if let array = weights[key] { return array }
    return try WeightArray(shape: shape)
  }

  var storedNumber: HDF5Storage.Number { precision.number }
}

extension LayerTarget {
  /// Refuses what no framework of plain arrays does: `what` names the layout.
  func requireExchangeable(_ what: String) throws(EngineError) {
    for direction in directions {
      let description = direction.description
      try description.requirePlain(what, displayName)
      guard direction.key.hasSuffix("/backward/") || !description.goBackwards else {
        throw EngineError(
          .unsupported, "\(displayName) runs backwards, which \(what) cannot express")
      }
      if case .lstm(let cell) = description.cell, cell.zoneout != 0 {
        throw EngineError(.unsupported, "\(displayName) has zoneout, which \(what) cannot express")
      }
    }
    if case .bidirectional(let description) = kind {
      guard description.merge == .concat else {
        throw EngineError(
          .unsupported,
          "\(displayName) merges its directions by '\(description.merge.name)'; "
            + "\(what) concatenates them")
      }
    }
  }

  /// Refuses activations other than the usual ones.
  func requireUsualActivations(_ what: String, allowsRelu: Bool = false) throws(EngineError) {
    for direction in directions {
      let found: [Activation]
      let usual: [Activation]
      switch direction.description.cell {
      case .simple(let cell):
        found = [cell.activation]
        usual = [allowsRelu && cell.activation == .relu ? .relu : .tanh]
      case .gru(let cell):
        found = [cell.recurrentActivation, cell.activation]
        usual = [.sigmoid, .tanh]
      case .lstm(let cell):
        found = [cell.recurrentActivation, cell.activation, cell.outputActivation]
        usual = [.sigmoid, .tanh, .tanh]
      }
      for (own, expected) in zip(found, usual) where own != expected {
        throw EngineError(
          .unsupported,
          "\(displayName) computes with \(own.json.text()) where \(what) has "
            + "\(expected.json.text()) and nothing else; 'carousel' keeps it")
      }
    }
  }

  func requireNoClips(
    _ what: String, cell: Bool = false, gates: Bool = false
  ) throws(EngineError) {
    for direction in directions {
      guard case .lstm(let lstm) = direction.description.cell else { continue }
      guard cell || (lstm.cellClip == nil && lstm.projectionClip == nil),
        gates || lstm.gateClip == nil
      else {
        throw EngineError(
          .unsupported, "\(displayName) clips its values in a way that \(what) cannot express")
      }
    }
  }
}
