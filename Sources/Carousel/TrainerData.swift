import CCarousel
import LSTM

extension carousel_training_data: VersionedStruct {}

/// The caller's examples as the engine's views.
extension TrainerObject {
  func data(
    _ pointer: UnsafePointer<carousel_training_data>?, _ name: StaticString
  ) throws(EngineError) -> TrainingData {
    let data = try Versioned.require(pointer, name)
    let call = RunCall(network, isTimeMajor: false)
    let inputs = try call.inputs(data.inputs, data.input_count)
    let times = try network.network.outputTimes(inputs.map(\.time))
    try Argument.count(
      data.target_count, "\(name)->target_count", expected: times.count, of: "outputs")
    let arrays = try Argument.required(data.targets, "targets")
    var targets: [TensorView] = []
    for (index, shape) in network.outputShapes.enumerated() {
      let loss = trainer.options.losses[index]
      targets.append(
        try arrays[index].target(
          width: loss.hasClassTargets ? 1 : shape.features, hasTime: shape.hasTime,
          time: times[index], "\(name)->targets[\(index)]"))
    }
    var result = TrainingData(inputs: inputs, targets: targets)
    let time = zip(inputs, network.inputShapes).first { $1.hasTime }?.0.time
    guard time != nil || (data.lengths == nil && data.mask == nil) else {
      throw EngineError(.shape, "\(name) has lengths or a mask, but no input has a time axis")
    }
    result.lengths = data.lengths
    result.mask = data.mask
    result.maskBatchStride = time ?? 0
    result.maskTimeStride = 1
    if let weights = data.sample_weights {
      result.sampleWeights = try weights.pointee.target(
        width: 1, hasTime: true, time: time ?? 1, "\(name)->sample_weights")
    }
    return result
  }
}

extension carousel_array {
  /// Views a target as (batch, time, width): axes that may be left out get extent 1.
  fileprivate func target(
    width: Int, hasTime: Bool, time: Int, _ name: @autoclosure () -> String
  ) throws(EngineError) -> TensorView {
    var array = self
    guard rank >= 1, rank <= 3 else {
      throw EngineError(.shape, "\(name()) has rank \(rank), expected 1 to 3")
    }
    if strides.0 == 0, strides.1 == 0, strides.2 == 0 {
      // C order. Wrapping: `view` refuses shapes of which the product does not fit.
      switch rank {
      case 1: array.strides = (1, 0, 0, 0)
      case 2: array.strides = (shape.1, 1, 0, 0)
      default: array.strides = (shape.1 &* shape.2, shape.2, 1, 0)
      }
    }
    switch rank {
    case 1:
      array.shape = (shape.0, 1, 1, 0)
      array.strides = (array.strides.0, 0, 0, 0)
    case 2 where width == 1 && hasTime && shape.1 == Int64(time):
      array.shape = (shape.0, shape.1, 1, 0)
      array.strides = (array.strides.0, array.strides.1, 0, 0)
    case 2:
      array.shape = (shape.0, 1, shape.1, 0)
      array.strides = (array.strides.0, 0, array.strides.1, 0)
    default: break
    }
    array.rank = 3
    return try array.view(of: .sequence(time: nil, features: width), name())
  }
}
