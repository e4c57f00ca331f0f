import LSTM

/// One recurrent layer of what a Keras `RNN` becomes.
struct KerasRecurrentEntry {
  var description: RecurrentDescription
  /// Where `.weights.h5` keeps the cell, below the layer.
  var storePath: String

  func suffix(of index: Int, _ isSingle: Bool) -> String { isSingle ? "" : "_\(index)" }
}

extension KerasParser {
  /// `LSTM`, `GRU`, `SimpleRNN`, their CuDNN forms, or `RNN` around one cell or several.
  func recurrentStack(
    _ config: KerasConfig
  ) throws(EngineError) -> (stack: [KerasRecurrentEntry], returnsState: Bool) {
    let returnSequences = try config.flag("return_sequences", default: false)
    let returnsState = try config.flag("return_state", default: false)
    let goBackwards = try config.flag("go_backwards", default: false)
    let isStateful = try config.flag("stateful", default: false)
    let zeroesMasked = try config.flag("zero_output_for_mask", default: false)
    try config.refuseFlag("time_major", "inputs are batch-major")
    _ = config.value("unroll")

    var stack: [KerasRecurrentEntry] = []
    if config.className == "RNN" {
      guard let json = config.value("cell") else { throw config.malformed("'cell' is missing") }
      _ = config.value("num_constants")
      stack = try cells(json, config)
      guard !stack.isEmpty else { throw config.malformed("it has no cells") }
    } else {
      stack = [KerasRecurrentEntry(description: try cell(config), storePath: "cell")]
    }
    for index in stack.indices {
      let isLast = index == stack.count - 1
      stack[index].description.returnSequences = isLast ? returnSequences : true
      // The first cell turns the sequence round; the others get it in processing order.
      stack[index].description.goBackwards = index == 0 && goBackwards
      stack[index].description.readsMaskBackwards = index > 0 && goBackwards
      stack[index].description.isStateful = isStateful
      stack[index].description.maskedOutput = isLast && zeroesMasked ? .zero : .hold
    }
    return (stack, returnsState)
  }

  /// The cell of an `RNN`: an object, a list of objects, or `StackedRNNCells`.
  private func cells(
    _ json: JSONValue, _ outer: KerasConfig
  ) throws(EngineError) -> [KerasRecurrentEntry] {
    if let list = json.arrayValue { return try stackedCells(list, outer) }
    guard let object = json.objectValue, let className = object["class_name"]?.stringValue,
      let options = object["config"]?.objectValue
    else { throw outer.malformed("'cell' is \(json.kindName), not a cell") }
    if className == "StackedRNNCells" {
      guard let list = options["cells"]?.arrayValue else {
        throw outer.malformed("StackedRNNCells has no cells")
      }
      if options["reverse_state_order"] == .bool(true) {
        throw outer.refuse("'reverse_state_order' is set")
      }
      return try stackedCells(list, outer)
    }
    return [try singleCell(className, options, storePath: "cell", outer)]
  }

  private func stackedCells(
    _ list: [JSONValue], _ outer: KerasConfig
  ) throws(EngineError) -> [KerasRecurrentEntry] {
    guard list.count <= 64 else { throw outer.refuse("it has \(list.count) cells") }
    var entries: [KerasRecurrentEntry] = []
    var names = KerasStoreNames(style: .layers)
    for json in list {
      guard let object = json.objectValue, let className = object["class_name"]?.stringValue,
        let options = object["config"]?.objectValue
      else { throw outer.malformed("a cell is \(json.kindName)") }
      let path = "cell/cells/\(names.name(forClass: className))"
      entries.append(try singleCell(className, options, storePath: path, outer))
    }
    return entries
  }

  private func singleCell(
    _ className: String, _ options: JSONObject, storePath: String, _ outer: KerasConfig
  ) throws(EngineError) -> KerasRecurrentEntry {
    guard ["LSTMCell", "GRUCell", "SimpleRNNCell"].contains(className) else {
      throw outer.refuse("the cell '\(className)' is not supported")
    }
    let config = KerasConfig(
      className: className, object: options, version: version, fallbackName: outer.layerName)
    let description = try cell(config)
    try config.finish()
    return KerasRecurrentEntry(description: description, storePath: storePath)
  }

  /// The options of the cell itself.
  private func cell(_ config: KerasConfig) throws(EngineError) -> RecurrentDescription {
    let units = try config.integer("units", "output_dim")
    let useBias = try config.flag("use_bias", default: true)
    let gates = version.defaultsToHardSigmoid ? "hard_sigmoid" : "sigmoid"
    let cell: CellDescription
    switch config.className {
    case "SimpleRNN", "SimpleRNNCell":
      var description = SimpleRNNDescription(units: units)
      description.activation = try config.activation("activation", default: "tanh")
      description.useBias = useBias
      cell = .simple(description)
    case "GRU", "GRUCell", "CuDNNGRU":
      var description = GRUDescription(units: units)
      let isCuDNN = config.className == "CuDNNGRU"
      description.activation = try config.activation("activation", default: "tanh")
      description.recurrentActivation = try config.activation(
        "recurrent_activation", "inner_activation", default: isCuDNN ? "sigmoid" : gates)
      description.useBias = useBias
      description.resetAfter = try config.flag("reset_after", default: isCuDNN)
      cell = .gru(description)
    default:
      var description = LSTMDescription(units: units)
      let isCuDNN = config.className == "CuDNNLSTM"
      // Keras uses one activation for the cell input and for the cell state.
      description.activation = try config.activation("activation", default: "tanh")
      description.outputActivation = description.activation
      description.recurrentActivation = try config.activation(
        "recurrent_activation", "inner_activation", default: isCuDNN ? "sigmoid" : gates)
      description.useBias = useBias
      cell = .lstm(description)
    }
    var description = RecurrentDescription(cell: cell)
    description.dropout = try config.rate("dropout", "dropout_W")
    description.recurrentDropout = try config.rate("recurrent_dropout", "dropout_U")
    return description
  }

  /// Both directions, and where their weights are.
  func bidirectional(
    _ config: KerasConfig
  ) throws(EngineError) -> (BidirectionalDescription, [KerasWeightUnit], returnsState: Bool) {
    guard let json = config.value("layer") else { throw config.malformed("'layer' is missing") }
    var (forward, returnsState) = try direction(json, config)
    var backward = forward
    if let json = config.value("backward_layer") {
      let returnsBackwardState: Bool
      (backward, returnsBackwardState) = try direction(json, config)
      guard returnsState == returnsBackwardState else {
        throw config.refuse("its two layers return different things")
      }
    } else {
      backward.goBackwards = !forward.goBackwards
    }
    guard !forward.goBackwards, backward.goBackwards else {
      throw config.refuse("its layers must run forward and backward, in this order")
    }
    guard forward.returnSequences == backward.returnSequences,
      forward.isStateful == backward.isStateful
    else { throw config.refuse("its two layers return different things") }
    if forward.returnSequences && version.bidirectionalZeroesMasked {
      forward.maskedOutput = .zero
      backward.maskedOutput = .zero
    }
    let merge: BidirectionalDescription.Merge
    // null is a value here: two outputs.
    switch config.raw("merge_mode") ?? .string("concat") {
    case .string("concat"): merge = .concat
    case .string("sum"): merge = .sum
    case .string("mul"): merge = .multiply
    case .string("ave"): merge = .average
    case let other: throw config.refuse("merge_mode \(other.kindName) is not supported")
    }
    guard merge == .concat || forward.outputWidth == backward.outputWidth
    else { throw config.malformed("its two layers have different widths") }
    let units = [
      KerasWeightUnit(
        kind: .cell(forward.cell), part: "forward/", storePath: "forward_layer/cell"),
      KerasWeightUnit(
        kind: .cell(backward.cell), part: "backward/", storePath: "backward_layer/cell"),
    ]
    let description = BidirectionalDescription(
      forward: forward, backward: backward, merge: merge)
    return (description, units, returnsState)
  }

  private func direction(
    _ json: JSONValue, _ outer: KerasConfig
  ) throws(EngineError) -> (RecurrentDescription, returnsState: Bool) {
    let inner = try layer(json, depth: 1)
    guard case .nodes(let nodes) = inner.content, nodes.count == 1,
      case .recurrent(let description) = nodes[0].kind
    else { throw outer.refuse("it wraps \(inner.displayName), which is not one recurrent layer") }
    return (description, inner.returnsState)
  }
}
