import CCarousel
import LSTM

extension carousel_step_result: VersionedStruct {}
extension carousel_trainer_info: VersionedStruct {}

/// What a `carousel_trainer` stands for.
final class TrainerObject {
  let trainer: AnyTrainer
  let network: NetworkObject
  /// A call is running: what a callback may not start again.
  private var isBusy = false
  private let strings = CStrings()
  private var names: [String: UnsafePointer<CChar>] = [:]

  init(_ trainer: AnyTrainer, of network: NetworkObject) {
    self.trainer = trainer
    self.network = network
  }

  static func of(_ handle: OpaquePointer?) throws(EngineError) -> TrainerObject {
    try HandlePool.object(handle, .trainer, as: TrainerObject.self, "trainer")
      .takeUnretainedValue()
  }

  /// Runs what changes the trainer, unless it is changing already.
  func change<Result>(
    _ body: (AnyTrainer) throws(EngineError) -> Result
  ) throws(EngineError) -> Result {
    guard !isBusy else {
      throw EngineError(.state, "a callback may not train, evaluate or resume its own trainer")
    }
    isBusy = true
    defer { isBusy = false }
    return try body(trainer)
  }

  /// A name of the history as a C string of the handle's.
  func name(_ text: String) throws(EngineError) -> UnsafePointer<CChar> {
    if let name = names[text] { return name }
    let name = try strings.add(text)
    names[text] = name
    return name
  }
}

@_cdecl("carousel_trainer_create") @implementation
public func carousel_trainer_create(
  _ network: OpaquePointer?, _ options: UnsafePointer<carousel_trainer_options>?,
  _ trainer: UnsafeMutablePointer<OpaquePointer?>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try NetworkObject.of(network)
    let options = try Versioned.read(options, "options").training(
      outputs: object.outputShapes.count)
    let result = try Argument.required(trainer, "trainer")
    let trainer = try AnyTrainer(object.network, options)
    result.pointee = try HandlePool.insert(TrainerObject(trainer, of: object), .trainer)
  }
}

@_cdecl("carousel_trainer_free") @implementation
public func carousel_trainer_free(_ trainer: OpaquePointer?) {
  _ = entry(allocates: false) { () throws(EngineError) in
    try HandlePool.remove(trainer, .trainer, "trainer")
  }
}

@_cdecl("carousel_trainer_step") @implementation
public func carousel_trainer_step(
  _ trainer: OpaquePointer?, _ data: UnsafePointer<carousel_training_data>?,
  _ result: UnsafeMutablePointer<carousel_step_result>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try TrainerObject.of(trainer)
    let data = try object.data(data, "data")
    let step = try object.change { (trainer) throws(EngineError) in try trainer.step(data) }
    try carousel_step_result(step).store(in: result)
  }
}

@_cdecl("carousel_trainer_compute_gradients") @implementation
public func carousel_trainer_compute_gradients(
  _ trainer: OpaquePointer?, _ data: UnsafePointer<carousel_training_data>?, _ accumulate: Int32,
  _ result: UnsafeMutablePointer<carousel_step_result>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try TrainerObject.of(trainer)
    let data = try object.data(data, "data")
    let step = try object.change { (trainer) throws(EngineError) in
      try trainer.computeGradients(data, accumulates: accumulate != 0)
    }
    try carousel_step_result(step).store(in: result)
  }
}

@_cdecl("carousel_trainer_get_gradients") @implementation
public func carousel_trainer_get_gradients(
  _ trainer: OpaquePointer?, _ data: UnsafeMutablePointer<UnsafeMutableRawPointer?>?,
  _ size: UnsafeMutablePointer<Int>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try TrainerObject.of(trainer)
    let data = try Argument.required(data, "data")
    let size = try Argument.required(size, "size")
    let bytes = object.trainer.gradientBytes
    data.pointee = bytes.baseAddress
    size.pointee = bytes.count
  }
}

@_cdecl("carousel_trainer_apply_gradients") @implementation
public func carousel_trainer_apply_gradients(
  _ trainer: OpaquePointer?, _ gradientNorm: UnsafeMutablePointer<Double>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try TrainerObject.of(trainer)
    let update = try object.change { (trainer) throws(EngineError) in
      try trainer.applyGradients()
    }
    gradientNorm?.pointee = update.gradientNorm
  }
}

@_cdecl("carousel_trainer_set_gradient_callback") @implementation
public func carousel_trainer_set_gradient_callback(
  _ trainer: OpaquePointer?, _ callback: carousel_gradient_callback?,
  _ context: UnsafeMutableRawPointer?
) -> carousel_status {
  entry { () throws(EngineError) in
    try TrainerObject.of(trainer).change { (trainer) throws(EngineError) in
      trainer.setGradientHook(
        callback.map { callback in { callback($0.baseAddress, $0.count, context) == 0 } })
    }
  }
}

@_cdecl("carousel_trainer_evaluate") @implementation
public func carousel_trainer_evaluate(
  _ trainer: OpaquePointer?, _ data: UnsafePointer<carousel_training_data>?, _ batchSize: Int64,
  _ result: UnsafeMutablePointer<carousel_step_result>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try TrainerObject.of(trainer)
    let data = try object.data(data, "data")
    let batchSize = try Argument.size(batchSize, "batch_size")
    let evaluation = try object.change { (trainer) throws(EngineError) in
      try trainer.evaluate(data, batchSize: batchSize)
    }
    var info = carousel_step_result()
    info.step = Int64(object.trainer.progress.step)
    info.loss = evaluation.loss
    copy(evaluation.metrics, to: &info.metrics)
    try info.store(in: Argument.required(result, "result"))
  }
}

@_cdecl("carousel_trainer_set_learning_rate") @implementation
public func carousel_trainer_set_learning_rate(
  _ trainer: OpaquePointer?, _ rate: Double
) -> carousel_status {
  entry { () throws(EngineError) in
    try TrainerObject.of(trainer).trainer.setBaseLearningRate(rate)
  }
}

@_cdecl("carousel_trainer_set_trainable") @implementation
public func carousel_trainer_set_trainable(
  _ trainer: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ isTrainable: Int32
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try TrainerObject.of(trainer)
    let name = try Argument.text(name, "name")
    try object.change { (trainer) throws(EngineError) in
      try trainer.setTrainable(name, isTrainable != 0)
    }
  }
}

@_cdecl("carousel_trainer_get_info") @implementation
public func carousel_trainer_get_info(
  _ trainer: OpaquePointer?, _ info: UnsafeMutablePointer<carousel_trainer_info>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let trainer = try TrainerObject.of(trainer).trainer
    let progress = trainer.progress
    var result = carousel_trainer_info()
    result.step = Int64(progress.step)
    result.epoch = Int64(progress.epoch)
    result.row = Int64(progress.row)
    result.learning_rate = trainer.learningRate
    result.base_learning_rate = trainer.baseLearningRate
    result.best_epoch = Int64(progress.bestEpoch)
    result.is_stopped_early = progress.isStopped ? 1 : 0
    result.held_size = trainer.heldByteCount
    result.history_count = trainer.history.names.count
    try Versioned.write(result, to: info, "info")
  }
}

@_cdecl("carousel_trainer_get_history") @implementation
public func carousel_trainer_get_history(
  _ trainer: OpaquePointer?, _ index: Int, _ name: UnsafeMutablePointer<UnsafePointer<CChar>?>?,
  _ values: UnsafeMutablePointer<Double>?, _ capacity: Int, _ count: UnsafeMutablePointer<Int>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try TrainerObject.of(trainer)
    let history = object.trainer.history
    guard history.names.indices.contains(index) else {
      throw EngineError(
        .notFound,
        "index is \(UInt(bitPattern: index)), but the history has \(history.names.count) series")
    }
    guard values != nil || capacity == 0, capacity >= 0 else { throw Argument.isNull("values") }
    let count = try Argument.required(count, "count")
    name?.pointee = try object.name(history.names[index])
    let series = history.values[index]
    for (place, value) in series.prefix(capacity).enumerated() { values?[place] = value }
    count.pointee = series.count
  }
}

@_cdecl("carousel_trainer_get_step_size") @implementation
public func carousel_trainer_get_step_size(
  _ trainer: OpaquePointer?, _ batch: Int64, _ times: UnsafePointer<Int64>?, _ timeCount: Int,
  _ size: UnsafeMutablePointer<Int>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try TrainerObject.of(trainer)
    let batch = try Argument.size(batch, "batch")
    let times = try object.network.times(times, timeCount)
    let size = try Argument.required(size, "size")
    size.pointee = try object.trainer.stepByteCount(batch: batch, times: times)
  }
}

extension carousel_step_result {
  fileprivate init(_ step: StepResult) {
    self.init()
    self.step = Int64(step.step)
    loss = step.loss
    gradient_norm = step.gradientNorm
    copy(step.metrics, to: &metrics)
  }

  fileprivate func store(
    in pointer: UnsafeMutablePointer<carousel_step_result>?
  ) throws(EngineError) {
    guard pointer != nil else { return }
    try Versioned.write(self, to: pointer, "result")
  }
}

/// Eight doubles of a C struct.
typealias MetricTuple = (Double, Double, Double, Double, Double, Double, Double, Double)

func copy(_ values: [Double], to metrics: inout MetricTuple) {
  withUnsafeMutableBytes(of: &metrics) { bytes in
    let target = bytes.bindMemory(to: Double.self)
    for (index, value) in values.prefix(target.count).enumerated() { target[index] = value }
  }
}
