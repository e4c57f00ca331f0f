/// What a network is to learn: arrays of the caller's, borrowed for one call. Row b of every array
/// belongs to example b.
public struct TrainingData {
  /// In the order of the network's inputs.
  public var inputs: [TensorView]
  /// One for each output: (batch, time, features) for an output at every step, (batch, 1, features)
  /// for one without a time axis or, at each row's last valid step, with one. Class numbers have one
  /// feature.
  public var targets: [TensorView]
  /// Valid steps of each row.
  public var lengths: UnsafePointer<Int64>?
  /// One byte per (batch, time), 0 where masked; strides in bytes.
  public var mask: UnsafePointer<UInt8>?
  public var maskBatchStride = 0
  public var maskTimeStride = 0
  /// Factors of the losses, (batch, 1, 1) or (batch, time, 1).
  public var sampleWeights: TensorView?

  public init(inputs: [TensorView], targets: [TensorView]) {
    self.inputs = inputs
    self.targets = targets
  }

  public var count: Int { inputs.first?.batch ?? 0 }
  var takesMask: Bool { lengths != nil || mask != nil }
}

/// Some rows of the data, and some of their steps.
struct TrainingBatch {
  let data: TrainingData
  /// Indices of the rows.
  let rows: UnsafeBufferPointer<Int>
  /// The steps that are fed, of those that the data has; nil: all.
  var steps: Range<Int>?

  var times: [Int] { data.inputs.map { steps?.count ?? $0.time } }

  /// The batch's part of an array of the data.
  func view(_ array: TensorView) -> TensorView {
    let picked = array.picking(rows)
    return steps.map { picked.steps($0) } ?? picked
  }
}

extension TrainingData {
  /// Everything that can be known before a pass: numbers of arrays and rows, lengths.
  func check<S: Scalar>(for network: Network<S>, losses: [Loss]) throws(EngineError) {
    guard inputs.count == network.inputShapes.count else {
      throw EngineError(
        .shape, "the network has \(network.inputShapes.count) inputs, got \(inputs.count)")
    }
    guard targets.count == network.outputShapes.count else {
      throw EngineError(
        .shape,
        "the network has \(network.outputShapes.count) outputs, got \(targets.count) targets")
    }
    guard count >= 1 else { throw EngineError(.shape, "there must be at least one row of data") }
    for (index, view) in inputs.enumerated() {
      guard view.batch == count else {
        throw EngineError(
          .shape, "input \(index) has \(view.batch) rows, input 0 has \(count)")
      }
      let features = network.inputShapes[index].features
      guard view.width == features else {
        throw EngineError(
          .shape, "input \(index) has \(view.width) features, the network reads \(features)")
      }
    }
    let times = try network.outputTimes(inputs.map(\.time))
    for (index, view) in targets.enumerated() {
      let width = losses[index].targetWidth(network.outputShapes[index].features)
      guard view.batch == count, view.width == width, view.time == times[index] || view.time == 1
      else {
        throw EngineError(
          .shape,
          "target \(index): expected (batch, time, features) = (\(count), \(times[index]), "
            + "\(width)), or 1 step, got (\(view.batch), \(view.time), \(view.width))")
      }
    }
    if let weights = sampleWeights {
      guard weights.batch == count, weights.width == 1,
        weights.time == 1 || times.allSatisfy({ $0 == weights.time })
      else {
        throw EngineError(
          .shape,
          "sample weights: expected one for each of \(count) rows, or for each row and step, got "
            + "(\(weights.batch), \(weights.time), \(weights.width))")
      }
    }
    guard let lengths else { return }
    let time = inputs.map(\.time).max() ?? 0
    for row in 0..<count where lengths[row] < 0 || lengths[row] > Int64(time) {
      throw EngineError(
        .shape, "lengths: row \(row) has \(lengths[row]) steps, expected 0 to \(time)")
    }
  }
}
