/// What a checkpoint holds beside the network: named arrays and named values, for whoever writes files.
public struct TrainerState {
  public struct Array {
    /// `optimizer/first_moment/lstm/kernel`, `best/lstm/kernel`, `history/loss`.
    public let name: String
    public let shape: [Int]
    public let dataType: DataType
    public let bytes: Buffer<UInt8>

    public init(name: String, shape: [Int], dataType: DataType, bytes: Buffer<UInt8>) {
      self.name = name
      self.shape = shape
      self.dataType = dataType
      self.bytes = bytes
    }
  }

  public var arrays: [Array] = []
  /// Values of which every bit matters.
  public var integers: [String: Int64] = [:]
  public var numbers: [String: Double] = [:]
  /// The options, as text: a state goes on only with those that it was made with.
  public var options = ""

  public init() {}

  mutating func add<S: Scalar>(
    _ name: String, shape: [Int], _ values: UnsafePointer<S>, _ count: Int
  ) throws(EngineError) {
    let size = try Memory.product(count, MemoryLayout<S>.stride)
    let bytes = try Buffer<UInt8>(count: size)
    UnsafeMutableRawPointer(bytes.pointer).copyMemory(from: values, byteCount: size)
    arrays.append(Array(name: name, shape: shape, dataType: S.dataType, bytes: bytes))
  }

  mutating func add(_ name: String, _ values: [Double]) throws(EngineError) {
    let buffer = try Buffer<Double>(count: values.count)
    for (index, value) in values.enumerated() { buffer.pointer[index] = value }
    try add(name, shape: [values.count], UnsafePointer(buffer.pointer), values.count)
  }

  func array<S: Scalar>(
    _ name: String, shape: [Int]?, _ type: S.Type
  ) throws(EngineError) -> UnsafeBufferPointer<S> {
    guard let array = arrays.first(where: { $0.name == name }) else {
      throw EngineError(.format, "the checkpoint lacks '\(name)'")
    }
    let count = array.shape.reduce(1, *)
    guard array.dataType == S.dataType, shape == nil || shape == array.shape,
      array.bytes.count == count * MemoryLayout<S>.stride
    else {
      throw EngineError(
        .shape,
        "checkpoint: '\(name)' has shape \(array.shape) of \(array.dataType.name), expected "
          + "\(shape ?? array.shape) of \(S.dataType.name)")
    }
    return UnsafeRawPointer(array.bytes.pointer).withMemoryRebound(to: S.self, capacity: count) {
      UnsafeBufferPointer(start: $0, count: count)
    }
  }

  func integer(_ name: String) throws(EngineError) -> Int {
    guard let value = integers[name] else {
      throw EngineError(.format, "the checkpoint lacks '\(name)'")
    }
    // Far from where counting on would overflow.
    guard value >= -1, value < 1 << 52 else {
      throw EngineError(.format, "checkpoint: '\(name)' is \(value)")
    }
    return Int(value)
  }

  func number(_ name: String) throws(EngineError) -> Double {
    guard let value = numbers[name] else {
      throw EngineError(.format, "the checkpoint lacks '\(name)'")
    }
    return value
  }
}

extension Trainer {
  /// A copy of everything that training depends on, but the parameters and the options.
  public func state() throws(EngineError) -> TrainerState {
    var state = TrainerState()
    state.options = fingerprint
    for (name, slot) in zip(options.optimizer.slotNames, optimizer.slots) {
      try add(slot, "optimizer/" + name, to: &state)
    }
    if let bestWeights { try add(bestWeights, "best", to: &state) }
    for (name, values) in zip(history.names, history.values) {
      try state.add("history/" + name, values)
    }
    try state.add("epoch/loss_sums", progress.tally.lossSums)
    try state.add("epoch/counts", progress.tally.counts.map(Double.init))
    try state.add("epoch/metric_sums", progress.tally.metricSums)
    state.integers = [
      "step": Int64(progress.step), "epoch": Int64(progress.epoch), "row": Int64(progress.row),
      "optimizer_steps": Int64(optimizer.stepCount), "best_epoch": Int64(progress.bestEpoch),
      "is_stopped": progress.isStopped ? 1 : 0, "plateau_wait": Int64(progress.plateau.wait),
      "plateau_cooldown": Int64(progress.plateau.cooldown),
      "stopping_wait": Int64(progress.stopping.wait), "has_best": bestWeights == nil ? 0 : 1,
    ]
    state.numbers = [
      "learning_rate": baseLearningRate, "loss_sum": progress.lossSum,
      "plateau_factor": progress.plateauFactor, "plateau_best": progress.plateau.best,
      "stopping_best": progress.stopping.best,
    ]
    return state
  }

  private func add(
    _ values: Buffer<S>, _ prefix: String, to state: inout TrainerState
  ) throws(EngineError) {
    for parameter in network.parameters {
      try state.add(
        "\(prefix)/\(parameter.name)", shape: parameter.shape,
        UnsafePointer(values.pointer + parameter.offset), parameter.count)
    }
  }

  /// What of the options the numbers depend on.
  private var fingerprint: String {
    var relevant = options
    relevant.threads = 1
    return "\(relevant)"
  }

  /// Goes on where `state` was taken. The network's parameters are not in it. After a failure
  /// nothing has changed.
  public func restore(_ state: TrainerState) throws(EngineError) {
    guard state.options == fingerprint else {
      throw EngineError(
        .state,
        "the checkpoint was made with other options: \(state.options); these are \(fingerprint)")
    }
    let restored = try OptimizerState<S>(options.optimizer, count: network.values.count)
    for (name, slot) in zip(options.optimizer.slotNames, restored.slots) {
      try read(slot, "optimizer/" + name, from: state)
    }
    var best: Buffer<S>?
    if try state.integer("has_best") != 0 {
      let values = try Buffer<S>(count: network.values.count)
      try read(values, "best", from: state)
      best = values
    }
    var history = TrainingHistory()
    for array in state.arrays where array.name.hasPrefix("history/") {
      let values = try state.array(array.name, shape: nil, Double.self)
      history.append(
        String(array.name.dropFirst("history/".count)), contentsOf: Swift.Array(values))
    }
    let progress = try progress(from: state)
    let rate = try state.number("learning_rate")
    let steps = try state.integer("optimizer_steps")
    for (slot, values) in zip(optimizer.slots, restored.slots) {
      slot.pointer.update(from: values.pointer, count: slot.count)
    }
    optimizer.stepCount = steps
    bestWeights = best
    self.history = history
    self.progress = progress
    baseLearningRate = rate
  }

  private func read(
    _ values: Buffer<S>, _ prefix: String, from state: TrainerState
  ) throws(EngineError) {
    for parameter in network.parameters {
      let array = try state.array("\(prefix)/\(parameter.name)", shape: parameter.shape, S.self)
      guard let base = array.baseAddress else { continue }
      (values.pointer + parameter.offset).update(from: base, count: parameter.count)
    }
  }

  private func progress(from state: TrainerState) throws(EngineError) -> TrainingProgress {
    var tally = newTally()
    func fill(_ name: String, _ values: inout [Double]) throws(EngineError) {
      let array = try state.array("epoch/" + name, shape: [values.count], Double.self)
      values = Swift.Array(array)
    }
    try fill("loss_sums", &tally.lossSums)
    try fill("metric_sums", &tally.metricSums)
    var counts = tally.counts.map(Double.init)
    try fill("counts", &counts)
    guard counts.allSatisfy({ $0 >= 0 && $0 < 0x1p52 }) else {
      throw EngineError(.format, "checkpoint: a count of positions is not a count: \(counts)")
    }
    tally.counts = counts.map { Int($0) }
    var progress = TrainingProgress(tally: tally)
    progress.step = try state.integer("step")
    progress.epoch = try state.integer("epoch")
    progress.row = try state.integer("row")
    guard progress.step >= 0, progress.epoch >= 0, progress.row >= 0 else {
      throw EngineError(.format, "checkpoint: step, epoch or row is negative")
    }
    progress.bestEpoch = try state.integer("best_epoch")
    progress.isStopped = try state.integer("is_stopped") != 0
    progress.plateau.wait = try state.integer("plateau_wait")
    progress.plateau.cooldown = try state.integer("plateau_cooldown")
    progress.stopping.wait = try state.integer("stopping_wait")
    progress.lossSum = try state.number("loss_sum")
    progress.plateauFactor = try state.number("plateau_factor")
    progress.plateau.best = try state.number("plateau_best")
    progress.stopping.best = try state.number("stopping_best")
    return progress
  }
}
