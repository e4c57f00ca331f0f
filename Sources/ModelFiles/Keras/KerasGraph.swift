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
  /// By identity of the layer: the nodes of its first call, which own the parameters.
  private var owners: [ObjectIdentifier: [Int]] = [:]
  /// Nodes that give a state of a recurrent node, by that and the state's number.
  private var stateNodes: [StateReference: Int] = [:]
  private var ranks: [Int] = []
  private var usedNames: Set<String> = []
  /// How often a name was wanted, where it was more than once.
  private var nameCounts: [String: Int] = [:]
  /// Width of the first layer's input as its weights have it, for models that do not say.
  private let inputWidth: Int?
  /// Calls so far. Models that call models twice, ten levels deep, are a small text and a huge graph.
  private var callCount = 0
  static let mostCalls = 1 << 14

  private struct StateReference: Hashable {
    var node: Int
    var state: Int
  }

  /// What a call of a layer became.
  private struct Result {
    /// The nodes that the layer's output runs through.
    var nodes: [Int]
    /// The nodes of its outputs; the states of recurrent layers are found when they are asked for.
    var outputs: [Int]
  }

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

  /// Names of the nodes that own a layer's parameters.
  func nodeNames(of layer: KerasLayer) -> [String] {
    (owners[ObjectIdentifier(layer)] ?? []).map { nodes[$0].layer.name }
  }

  // MARK: - Models

  /// - Parameter inputs: nodes that feed a nested model; nil for the outermost one.
  /// - Returns: the nodes of the model's outputs.
  private mutating func add(
    _ model: KerasModel, inputs outer: [Int]?, prefix: String
  ) throws(EngineError) -> [Int] {
    var results: [[Result?]] = model.calls.map { Array(repeating: nil, count: max($0.count, 1)) }
    if model.isSequential {
      var current = outer
      if let outer, outer.count != 1 {
        throw EngineError(.format, "the Sequential '\(model.name)' gets \(outer.count) inputs")
      }
      for (position, layer) in model.layers.enumerated() {
        if current == nil, !layer.isInput {
          current = [try addMissingInput(of: model)]
        }
        let result = try add(
          layer, inputs: current ?? [], prefix: prefix, isIds: model.feedsEmbedding(position))
        results[position][0] = result
        current = [result.outputs[0]]
      }
    } else {
      try placeInputs(of: model, outer, prefix, &results)
      try placeLayers(of: model, prefix, &results)
    }
    var outputs: [Int] = []
    for tensor in model.outputs {
      guard let node = try node(of: tensor, in: model, results) else {
        throw EngineError(.format, "an output of the model '\(model.name)' cannot be reached")
      }
      outputs.append(node)
    }
    return outputs
  }

  private mutating func placeInputs(
    of model: KerasModel, _ outer: [Int]?, _ prefix: String, _ results: inout [[Result?]]
  ) throws(EngineError) {
    for (index, position) in model.inputLayers.enumerated() {
      if let outer {
        guard outer.count == model.inputLayers.count else {
          throw EngineError(
            .format,
            "the model '\(model.name)' has \(model.inputLayers.count) inputs, "
              + "but gets \(outer.count)")
        }
        results[position][0] = Result(nodes: [], outputs: [outer[index]])
      } else {
        guard model.layers[position].isInput else {
          throw EngineError(
            .unsupported, "an input of '\(model.name)' is \(model.layers[position].displayName)")
        }
        results[position][0] = try add(
          model.layers[position], inputs: [], prefix: prefix,
          isIds: model.feedsEmbedding(position))
      }
    }
  }

  /// Places calls as soon as all that feeds them is there, in the order of the model's layers, as Keras does.
  private mutating func placeLayers(
    of model: KerasModel, _ prefix: String, _ results: inout [[Result?]]
  ) throws(EngineError) {
    var waiting: [(layer: Int, call: Int)] = []
    for position in model.layers.indices
    where results[position][0] == nil && !model.layers[position].isMaskOperation {
      for call in results[position].indices {
        try checkMask(of: position, call, in: model)
        waiting.append((position, call))
      }
    }
    while !waiting.isEmpty {
      var stillWaiting: [(layer: Int, call: Int)] = []
      for (position, call) in waiting {
        let inputs = model.calls[position].isEmpty ? [] : model.calls[position][call].inputs
        var sources: [Int] = []
        for tensor in inputs {
          guard let node = try node(of: tensor, in: model, results) else { break }
          sources.append(node)
        }
        guard !sources.isEmpty, sources.count == inputs.count else {
          stillWaiting.append((position, call))
          continue
        }
        results[position][call] = try add(
          model.layers[position], inputs: sources, prefix: prefix, isIds: false)
      }
      guard stillWaiting.count < waiting.count else {
        throw EngineError(
          .format,
          "\(model.layers[stillWaiting[0].layer].displayName) of '\(model.name)' is not connected "
            + "to an input")
      }
      waiting = stillWaiting
    }
  }

  /// The node that gives a tensor; nil if its layer was not called yet.
  private mutating func node(
    of tensor: KerasTensor, in model: KerasModel, _ results: [[Result?]]
  ) throws(EngineError) -> Int? {
    guard let result = results[tensor.layer][tensor.call] else { return nil }
    if tensor.output < result.outputs.count { return result.outputs[tensor.output] }
    var state = tensor.output - 1
    for (node, widths) in zip(result.nodes, model.layers[tensor.layer].stateWidths) {
      if widths.indices.contains(state) {
        return stateNode(StateReference(node: node, state: state))
      }
      state -= widths.count
    }
    throw EngineError(
      .format, "\(model.layers[tensor.layer].displayName) has no output \(tensor.output)")
  }

  private mutating func stateNode(_ reference: StateReference) -> Int {
    if let node = stateNodes[reference] { return node }
    let source = nodes[reference.node].layer
    let node = place(
      LayerDescription(
        name: "\(source.name).\(source.kind.stateNames[reference.state])",
        kind: .finalState(reference.state)),
      from: [reference.node], rank: 2)
    stateNodes[reference] = node
    return node
  }

  /// The engine passes masks on from the layer that makes them. A mask that the file spells out must be that of
  /// an Embedding or a Masking which the layer's own input came through.
  private func checkMask(
    of position: Int, _ call: Int, in model: KerasModel
  ) throws(EngineError) {
    guard call < model.calls[position].count, let mask = model.calls[position][call].mask
    else { return }
    // `Any` and `LogicalOr` down to the comparisons: each of them must be what a layer before this one does.
    var operations = [mask]
    var known: Set<KerasTensor> = []
    while let operation = operations.popLast() {
      guard known.insert(operation).inserted else { continue }
      let calls = model.calls[operation.layer]
      let inputs = calls.indices.contains(operation.call) ? calls[operation.call].inputs : []
      guard case .maskOperation(let value) = model.layers[operation.layer].content,
        let masked = inputs.first
      else {
        throw EngineError(
          .unsupported, "\(model.layers[operation.layer].displayName): this mask is not supported")
      }
      if let value {
        try checkMask(of: position, call, in: model, masked: masked, differsFrom: value)
      } else {
        operations += inputs
      }
    }
  }

  private func checkMask(
    of position: Int, _ call: Int, in model: KerasModel, masked: KerasTensor,
    differsFrom value: Double
  ) throws(EngineError) {
    var pending = model.calls[position][call].inputs
    var seen: Set<KerasTensor> = []
    while let candidate = pending.popLast() {
      guard seen.insert(candidate).inserted else { continue }
      let calls = model.calls[candidate.layer]
      guard calls.indices.contains(candidate.call) else { continue }
      let inputs = calls[candidate.call].inputs
      if inputs == [masked], model.layers[candidate.layer].makesMask(differingFrom: value) {
        return
      }
      pending += inputs
    }
    throw EngineError(
      .unsupported,
      "\(model.layers[position].displayName) gets a mask that does not come with its input; "
        + "that is not supported")
  }

  // MARK: - Layers

  private mutating func add(
    _ layer: KerasLayer, inputs sources: [Int], prefix: String, isIds: Bool
  ) throws(EngineError) -> Result {
    callCount += 1
    guard callCount <= KerasGraph.mostCalls else {
      throw EngineError(
        .limit, "the model calls its layers more than \(KerasGraph.mostCalls) times")
    }
    switch layer.content {
    case .input(let extents, let batch):
      // A nested model's own input: what feeds the model takes its place.
      if let source = sources.first { return Result(nodes: [], outputs: [source]) }
      let shape = try signalShape(extents, isIds: isIds, layer.displayName)
      let node = placeInput(
        shape, batch: batch, name: prefix + layer.name, rank: isIds ? 2 : extents.count + 1)
      return Result(nodes: [], outputs: [node])
    case .maskOperation:
      throw EngineError(.unsupported, "\(layer.displayName) is used as a layer")
    case .model(let model):
      return Result(
        nodes: [],
        outputs: try add(model, inputs: sources, prefix: "\(prefix)\(model.name)."))
    case .nodes(let kinds):
      return try add(layer, kinds, inputs: sources, prefix: prefix)
    }
  }

  /// The nodes of a layer, one behind the other. Those of a later call use the parameters of the first.
  private mutating func add(
    _ layer: KerasLayer, _ kinds: [(suffix: String, kind: LayerKind)], inputs sources: [Int],
    prefix: String
  ) throws(EngineError) -> Result {
    guard var current = sources.first else {
      throw EngineError(.format, "\(layer.displayName) has no input")
    }
    let owners = layer.units.isEmpty ? nil : owners[ObjectIdentifier(layer)]
    let widths = layer.stateWidths
    var rest = sources.dropFirst()
    var placed: [Int] = []
    for (index, (suffix, kind)) in kinds.enumerated() {
      try checkAxes(of: layer, rank: ranks[current])
      let rank = try outputRank(of: kind, layer, ranks[current])
      // A stack of cells shares out its initial states; a merge reads all at once.
      let isStack = kinds.count > 1
      let others = isStack ? rest.prefix(widths.isEmpty ? 0 : widths[index].count) : rest
      rest = rest.dropFirst(others.count)
      var description = LayerDescription(name: prefix + layer.name + suffix, kind: kind)
      description.isTrainable = layer.isTrainable
      current = place(
        description, from: [current] + others, rank: rank, sharesWith: owners?[index])
      placed.append(current)
    }
    if owners == nil { self.owners[ObjectIdentifier(layer)] = placed }
    return Result(nodes: placed, outputs: [current])
  }

  private mutating func place(
    _ layer: LayerDescription, from sources: [Int], rank: Int, sharesWith: Int? = nil
  ) -> Int {
    var layer = layer
    let name = layer.name
    while !usedNames.insert(layer.name).inserted {
      nameCounts[name, default: 1] += 1
      layer.name = "\(name)#\(nameCounts[name, default: 1])"
    }
    nodes.append(NetworkDescription.Node(layer: layer, inputs: sources, sharesWith: sharesWith))
    ranks.append(rank)
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

  private mutating func placeInput(
    _ shape: SignalShape, batch: Int?, name: String = "input", rank: Int? = nil
  ) -> Int {
    let node = place(
      LayerDescription(name: name, kind: .input(InputDescription(shape: shape, batch: batch))),
      from: [], rank: rank ?? (shape.hasTime && !shape.isIds ? 3 : 2))
    inputs.append(node)
    return node
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
      return layers[position + 1].takesIds()
    }
    return zip(layers, calls).contains { layer, calls in
      calls.contains { call in
        call.inputs.enumerated().contains { $1.layer == position && layer.takesIds(at: $0) }
      }
    }
  }
}

extension KerasLayer {
  /// The layer's input number `index` goes into an Embedding, its own or that of a nested model.
  func takesIds(at index: Int = 0) -> Bool {
    guard case .model(let model) = content else { return isEmbedding }
    if model.isSequential {
      return model.layers.first(where: { !$0.isInput })?.takesIds() ?? false
    }
    return model.inputLayers.indices.contains(index)
      && model.feedsEmbedding(model.inputLayers[index])
  }
}

extension LayerKind {
  /// Names of a recurrent layer's states in their order.
  var stateNames: [String] {
    func names(_ cell: CellDescription) -> [String] {
      cell.stateWidths.count > 1 ? ["h", "c"] : ["h"]
    }
    switch self {
    case .recurrent(let description): return names(description.cell)
    case .bidirectional(let description):
      return names(description.forward.cell).map { "forward_\($0)" }
        + names(description.backward.cell).map { "backward_\($0)" }
    default: return []
    }
  }
}
