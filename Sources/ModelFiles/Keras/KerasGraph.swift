import LSTM

/// Lays a Keras model out as one graph of layers: nested models are flattened, with their names before those
/// of their layers (`encoder.lstm`).
struct KerasGraph {
  /// A weight unit with the node that it belongs to.
  struct PlacedUnit {
    var unit: KerasWeightUnit
    /// Parameter key without the array's name: `lstm/`, `bi/forward/`.
    var key: String
    var layer: KerasLayer
  }

  private(set) var nodes: [NetworkDescription.Node] = []
  private(set) var inputs: [Int] = []
  /// By identity of the layer: the names of its nodes.
  private(set) var nodeNames: [ObjectIdentifier: [String]] = [:]
  private var ranks: [Int] = []
  private var usedNames: Set<String> = []
  /// Width of the first layer's input as its weights have it, for models that do not say.
  private let inputWidth: Int?

  /// - Parameter inputWidth: rows of the first kernel in the file, if the caller knows them.
  static func flatten(
    _ model: KerasModel, inputWidth: Int? = nil
  ) throws(EngineError) -> (NetworkDescription, KerasGraph) {
    var graph = KerasGraph(inputWidth: inputWidth)
    let outputs = try graph.add(model, inputs: nil, prefix: "")
    let description = NetworkDescription(
      name: model.name, nodes: graph.nodes, inputs: graph.inputs, outputs: outputs)
    return (description, graph)
  }

  private init(inputWidth: Int?) { self.inputWidth = inputWidth }

  // MARK: - Models

  /// - Parameter inputs: nodes that feed a nested model; nil for the outermost one.
  /// - Returns: the nodes of the model's outputs.
  private mutating func add(
    _ model: KerasModel, inputs outer: [Int]?, prefix: String
  ) throws(EngineError) -> [Int] {
    var outputs: [Int?] = Array(repeating: nil, count: model.layers.count)
    if model.isSequential {
      var current = outer
      if let outer, outer.count != 1 {
        throw EngineError(.format, "the Sequential '\(model.name)' gets \(outer.count) inputs")
      }
      for (position, layer) in model.layers.enumerated() {
        if current == nil, !layer.isInput {
          current = [try addMissingInput(of: model)]
        }
        let node = try add(
          layer, inputs: current ?? [], prefix: prefix, isIds: model.feedsEmbedding(position))
        outputs[position] = node
        current = [node]
      }
    } else {
      try placeInputs(of: model, outer, prefix, &outputs)
      try placeLayers(of: model, prefix, &outputs)
    }
    var result: [Int] = []
    for position in model.outputLayers {
      guard let node = outputs[position] else {
        throw EngineError(.format, "an output of the model '\(model.name)' cannot be reached")
      }
      result.append(node)
    }
    return result
  }

  private mutating func placeInputs(
    of model: KerasModel, _ outer: [Int]?, _ prefix: String, _ outputs: inout [Int?]
  ) throws(EngineError) {
    for (index, position) in model.inputLayers.enumerated() {
      if let outer {
        guard outer.count == model.inputLayers.count else {
          throw EngineError(
            .format,
            "the model '\(model.name)' has \(model.inputLayers.count) inputs, "
              + "but gets \(outer.count)")
        }
        outputs[position] = outer[index]
      } else {
        guard model.layers[position].isInput else {
          throw EngineError(
            .unsupported, "an input of '\(model.name)' is \(model.layers[position].displayName)")
        }
        outputs[position] = try add(
          model.layers[position], inputs: [], prefix: prefix,
          isIds: model.feedsEmbedding(position))
      }
    }
  }

  /// Places layers as soon as all that feed them are there, in the model's order, as Keras does.
  private mutating func placeLayers(
    of model: KerasModel, _ prefix: String, _ outputs: inout [Int?]
  ) throws(EngineError) {
    for position in model.layers.indices { try checkMask(of: position, in: model) }
    var waiting = model.layers.indices.filter {
      outputs[$0] == nil && !model.layers[$0].isMaskOperation
    }
    while !waiting.isEmpty {
      var stillWaiting: [Int] = []
      for position in waiting {
        let sources = model.inputs[position].map { outputs[$0] }
        guard !sources.isEmpty, !sources.contains(nil) else {
          stillWaiting.append(position)
          continue
        }
        outputs[position] = try add(
          model.layers[position], inputs: sources.compactMap { $0 }, prefix: prefix, isIds: false)
      }
      guard stillWaiting.count < waiting.count else {
        throw EngineError(
          .format,
          "\(model.layers[stillWaiting[0]].displayName) of '\(model.name)' is not connected to an input"
        )
      }
      waiting = stillWaiting
    }
  }

  /// The engine passes masks on from the layer that makes them. A mask that the file spells out must be that of
  /// an Embedding or a Masking which the layer's own input came through.
  private func checkMask(of position: Int, in model: KerasModel) throws(EngineError) {
    guard position < model.masks.count, var operation = model.masks[position] else { return }
    if case .maskOperation(nil) = model.layers[operation].content,
      let inner = model.inputs[operation].first
    {
      operation = inner
    }
    guard case .maskOperation(let value?) = model.layers[operation].content,
      let source = model.inputs[operation].first
    else {
      throw EngineError(
        .unsupported, "\(model.layers[operation].displayName): this mask is not supported")
    }
    var pending = model.inputs[position]
    var seen: Set<Int> = []
    while let candidate = pending.popLast() {
      guard seen.insert(candidate).inserted else { continue }
      let layer = model.layers[candidate]
      if model.inputs[candidate] == [source], layer.makesMask(differingFrom: value) { return }
      pending += model.inputs[candidate]
    }
    throw EngineError(
      .unsupported,
      "\(model.layers[position].displayName) gets a mask that does not come with its input; "
        + "that is not supported")
  }

  // MARK: - Layers

  private mutating func add(
    _ layer: KerasLayer, inputs sources: [Int], prefix: String, isIds: Bool
  ) throws(EngineError) -> Int {
    switch layer.content {
    case .input(let extents, let batch):
      // A nested model's own input: what feeds the model takes its place.
      if let source = sources.first { return source }
      let shape = try signalShape(extents, isIds: isIds, layer.displayName)
      return place(
        .input(InputDescription(shape: shape, batch: batch)), layer, prefix + layer.name, from: [],
        rank: isIds ? 2 : extents.count + 1)
    case .maskOperation:
      throw EngineError(.unsupported, "\(layer.displayName) is used as a layer")
    case .model(let model):
      let outputs = try add(model, inputs: sources, prefix: "\(prefix)\(model.name).")
      guard outputs.count == 1 else {
        throw EngineError(.unsupported, "the nested model '\(model.name)' has several outputs")
      }
      return outputs[0]
    case .nodes(let kinds):
      var current = sources
      for (suffix, kind) in kinds {
        guard let source = current.first else {
          throw EngineError(.format, "\(layer.displayName) has no input")
        }
        try checkAxes(of: layer, rank: ranks[source])
        let rank = try outputRank(of: kind, layer, ranks[source])
        current = [place(kind, layer, prefix + layer.name + suffix, from: current, rank: rank)]
      }
      return current[0]
    }
  }

  private mutating func place(
    _ kind: LayerKind, _ layer: KerasLayer, _ name: String, from sources: [Int], rank: Int
  ) -> Int {
    var unique = name
    var count = 1
    while !usedNames.insert(unique).inserted {
      count += 1
      unique = "\(name)#\(count)"
    }
    var description = LayerDescription(name: unique, kind: kind)
    description.isTrainable = layer.isTrainable
    nodes.append(NetworkDescription.Node(layer: description, inputs: sources))
    ranks.append(rank)
    nodeNames[ObjectIdentifier(layer), default: []].append(unique)
    if case .input = kind { inputs.append(nodes.count - 1) }
    return nodes.count - 1
  }

  /// A Sequential without an InputLayer: the shape is with its first layer, or with the model, or is
  /// read off the first layer's weights.
  private mutating func addMissingInput(of model: KerasModel) throws(EngineError) -> Int {
    let first = model.firstPlainLayer
    let isIds = model.feedsEmbedding(-1)
    let full = model.declaredInputShape
    if let full, full.count > 1 {
      let extents = try KerasParser.extents(full.dropFirst(), nil)
      let shape = try signalShape(extents, isIds: isIds, "the model '\(model.name)'")
      return placeInput(shape, batch: full[0].intValue)
    }
    if isIds { return placeInput(.ids(time: nil), batch: nil) }
    guard let inputWidth, let first, case .nodes(let kinds) = first.content else {
      throw EngineError(
        .format, "the model '\(model.name)' does not say the shape of its input")
    }
    switch kinds[0].kind {
    case .dense: return placeInput(.vector(features: inputWidth), batch: nil)
    default: return placeInput(.sequence(time: nil, features: inputWidth), batch: nil)
    }
  }

  private mutating func placeInput(_ shape: SignalShape, batch: Int?) -> Int {
    let layer = KerasLayer(
      name: "input", className: "InputLayer", isTrainable: true,
      content: .input(extents: [], batch: batch))
    return place(
      .input(InputDescription(shape: shape, batch: batch)), layer, "input", from: [],
      rank: shape.hasTime && !shape.isIds ? 3 : 2)
  }

  private func signalShape(
    _ extents: [Int?], isIds: Bool, _ owner: String
  ) throws(EngineError) -> SignalShape {
    if isIds {
      guard extents.count == 1 else {
        throw EngineError(
          .unsupported, "\(owner): an Embedding gets inputs of \(extents.count) extents")
      }
      return .ids(time: extents[0])
    }
    switch extents.count {
    case 1:
      guard let features = extents[0] else {
        throw EngineError(.unsupported, "\(owner): the number of input features is not fixed")
      }
      return .vector(features: features)
    case 2:
      guard let features = extents[1] else {
        throw EngineError(.unsupported, "\(owner): the number of input features is not fixed")
      }
      return .sequence(time: extents[0], features: features)
    default:
      throw EngineError(
        .unsupported,
        "\(owner): inputs of \(extents.count) extents are not supported; 1 or 2 are (time, features)"
      )
    }
  }

  // MARK: - Ranks, with the batch

  private func checkAxes(of layer: KerasLayer, rank: Int) throws(EngineError) {
    for axis in layer.featureAxes where axis != -1 && axis != rank - 1 {
      throw EngineError(
        .unsupported,
        "\(layer.displayName): axis \(axis) is not that of the features, which is the only one supported"
      )
    }
    guard layer.featureAxes.count <= 1 else {
      throw EngineError(
        .unsupported, "\(layer.displayName): several axes at once are not supported")
    }
  }

  private func outputRank(
    of kind: LayerKind, _ layer: KerasLayer, _ rank: Int
  ) throws(EngineError) -> Int {
    func needs(_ wanted: Int) throws(EngineError) {
      guard rank == wanted else {
        throw EngineError(
          .unsupported, "\(layer.displayName) gets inputs of rank \(rank), expected \(wanted)")
      }
    }
    switch kind {
    case .recurrent(let description):
      try needs(3)
      return description.returnSequences ? 3 : 2
    case .bidirectional(let description):
      try needs(3)
      return description.forward.returnSequences ? 3 : 2
    case .embedding, .repeatVector:
      try needs(2)
      return 3
    case .conv1D, .pooling1D, .zeroPadding1D, .upSampling1D, .permuteTimeAndFeatures, .masking,
      .timeDistributed:
      try needs(3)
      return 3
    case .globalPooling1D(_, let keepsTime):
      try needs(3)
      return keepsTime ? 3 : 2
    case .flatten: return 2
    case .reshape(let extents): return extents.count + 1
    default: return rank
    }
  }
}

extension SignalShape {
  var isIds: Bool {
    if case .ids = self { true } else { false }
  }
}

extension KerasLayer {
  var isInput: Bool {
    if case .input = content { true } else { false }
  }

  /// The layer, or the first one of a nested model, masks what equals `value`.
  func makesMask(differingFrom value: Double) -> Bool {
    switch content {
    case .nodes(let kinds):
      switch kinds.first?.kind {
      case .embedding(_, _, let masksZero): masksZero && value == 0
      case .masking(let own): own == value
      default: false
      }
    case .model(let model): model.firstPlainLayer?.makesMask(differingFrom: value) ?? false
    default: false
    }
  }

  var isEmbedding: Bool {
    if case .nodes(let kinds) = content, case .embedding = kinds.first?.kind { true } else { false }
  }
}

extension KerasModel {
  /// The first layer that is not an input, looking into nested models.
  var firstPlainLayer: KerasLayer? {
    guard let layer = layers.first(where: { !$0.isInput }) else { return nil }
    if case .model(let model) = layer.content { return model.firstPlainLayer }
    return layer
  }

  /// Extents of the input, with the batch, wherever the configuration says them.
  var declaredInputShape: [JSONValue]? {
    if isSequential, let first = layers.first {
      if case .model(let model) = first.content { return model.declaredInputShape ?? buildShape }
      return first.batchShape ?? buildShape
    }
    guard inputLayers.count == 1 else { return nil }
    return layers[inputLayers[0]].batchShape
  }

  /// Whether what the layer at `position` emits goes into an Embedding. `-1`: the model's input.
  func feedsEmbedding(_ position: Int) -> Bool {
    if isSequential {
      guard position + 1 < layers.count, position < 0 || layers[position].isInput else {
        return false
      }
      return layers[position + 1].takesIds
    }
    return layers.indices.contains { inputs[$0].contains(position) && layers[$0].takesIds }
  }
}

extension KerasLayer {
  /// The layer is an Embedding, or a nested model that begins with one.
  var takesIds: Bool {
    guard case .model(let model) = content else { return isEmbedding }
    if model.isSequential {
      return model.layers.first(where: { !$0.isInput })?.takesIds ?? false
    }
    return model.inputLayers.contains { model.feedsEmbedding($0) }
  }
}
