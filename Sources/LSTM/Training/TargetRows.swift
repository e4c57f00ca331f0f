/// The target of one output, bound to the memory of an execution: one row for each row of the
/// output's signal.
final class TargetRows<S: Scalar> {
  let index: Int
  let loss: Loss
  let signal: Signal<S>
  private let width: Int
  private let values: UnsafeMutablePointer<S>
  /// Sample weight times class weight.
  private let weights: UnsafeMutablePointer<S>
  /// 1 where the loss counts.
  private let counts: UnsafeMutablePointer<UInt8>
  /// There is one target for all steps, to be met at the last valid one.
  private var wantsLastStep = false
  /// The last step is not in this part of the sequence.
  private var isBeforeLastStep = false

  init(_ index: Int, loss: Loss, signal: Signal<S>, arena: Arena) throws(EngineError) {
    self.index = index
    self.loss = loss
    self.signal = signal
    width = loss.targetWidth(signal.width)
    values = try arena.allocate(count: Memory.product(signal.rows, width))
    weights = try arena.allocate(count: signal.rows)
    counts = try arena.allocate(count: signal.rows)
  }

  /// Copies the batch's targets and weights in.
  func load(_ batch: TrainingBatch) throws(EngineError) {
    let target = batch.data.targets[index]
    let isLastPart = batch.isLastPart
    wantsLastStep = target.time == 1 && signal.hasTime && !(signal.time == 1 && batch.steps == nil)
    isBeforeLastStep = !isLastPart && (wantsLastStep || !signal.hasTime)
    if wantsLastStep || !signal.hasTime {
      let view = target.picking(batch.rows)
      for t in 0..<signal.time {
        view.read(into: values + t * signal.batch * width, stride: width)
      }
    } else {
      batch.view(target).read(into: values, stride: width)
    }
    loadWeights(batch)
  }

  private func loadWeights(_ batch: TrainingBatch) {
    guard let sampleWeights = batch.data.sampleWeights else {
      weights.update(repeating: 1, count: signal.rows)
      return
    }
    if sampleWeights.time == 1 || !signal.hasTime {
      let view = sampleWeights.picking(batch.rows)
      for t in 0..<signal.time { view.first.read(into: weights + t * signal.batch, stride: 1) }
    } else {
      batch.view(sampleWeights).read(into: weights, stride: 1)
    }
  }

  /// Checks class numbers and multiplies the weights by those of the classes, where the loss counts:
  /// at masked positions there may be anything.
  private func applyClasses(_ classWeights: [Double]) throws(EngineError) {
    guard loss.hasClassTargets || !classWeights.isEmpty else { return }
    for row in 0..<signal.rows where counts[row] != 0 {
      let number = classNumber(row)
      if loss.hasClassTargets {
        guard number >= 0, number < S(signal.width), number == number.rounded() else {
          throw EngineError(
            .invalidArgument,
            "target \(index): row \(row % signal.batch), step \(row / signal.batch): \(number) is "
              + "no class from 0 to \(signal.width - 1)")
        }
      }
      guard !classWeights.isEmpty else { continue }
      guard let position = Int(exactly: number), classWeights.indices.contains(position) else {
        throw EngineError(
          .invalidArgument,
          "target \(index): class \(number) has no weight, there are \(classWeights.count)")
      }
      weights[row] *= S(classWeights[position])
    }
  }

  /// The class of a target: itself, the largest of several, or the nearer of 0 and 1.
  private func classNumber(_ row: Int) -> S {
    let target = values + row * width
    if loss.hasClassTargets { return target[0] }
    if width == 1 { return target[0].rounded() }
    var best = 0
    for j in 0..<width where target[j] > target[best] { best = j }
    return S(best)
  }

  /// Marks the positions whose loss counts, after a forward pass: those that are not masked. Once
  /// after each `load`.
  ///
  /// - Returns: their number.
  func findPositions(classWeights: [Double]) throws(EngineError) -> Int {
    counts.update(repeating: 0, count: signal.rows)
    guard !isBeforeLastStep else { return 0 }
    var total = 0
    for row in 0..<signal.batch {
      for t in (0..<signal.time).reversed() {
        let position = t * signal.batch + row
        guard signal.mask.map({ $0[position] != 0 }) ?? true else { continue }
        counts[position] = 1
        total += 1
        if wantsLastStep { break }
      }
    }
    try applyClasses(classWeights)
    return total
  }

  /// Adds up the losses of the positions, in ascending order, into `tally`, and their gradients times
  /// `scale` into the signal's.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  func evaluate(into tally: inout Tally, metrics: [Metric], gradientScale scale: Double?) {
    // Goes on with the sum, so that sequences in segments have the same one.
    var sum = tally.lossSums[index]
    for position in 0..<signal.rows where counts[position] != 0 {
      let weight = Double(weights[position])
      let y = UnsafePointer(signal.values + position * signal.stride)
      let target = UnsafePointer(values + position * width)
      let gradient = scale == nil ? nil : signal.gradient.map { $0 + position * signal.stride }
      let value = loss.position(
        y, target, width: signal.width, gradient: gradient, scale: weight * (scale ?? 0))
      sum += weight * value
      for (place, metric) in metrics.enumerated() {
        tally.metricSums[place] += metric.position(y, target, width: signal.width, loss: loss)
      }
    }
    tally.lossSums[index] = sum
  }
}

extension TrainingBatch {
  /// The steps reach to the end of the data.
  var isLastPart: Bool {
    guard let steps else { return true }
    return steps.upperBound == data.inputs.map(\.time).max() ?? 0
  }
}

extension TensorView {
  /// The first step only.
  fileprivate var first: TensorView { time <= 1 ? self : steps(0..<1) }
}

/// Running sums over the positions of a batch, or of an epoch.
struct Tally: Equatable, Sendable {
  /// Weighted losses, by output.
  var lossSums: [Double]
  /// Positions, by output.
  var counts: [Int]
  /// By metric, over all outputs.
  var metricSums: [Double]

  init(outputs: Int, metrics: Int) {
    lossSums = Array(repeating: 0, count: outputs)
    counts = Array(repeating: 0, count: outputs)
    metricSums = Array(repeating: 0, count: metrics)
  }

  /// The sum over the outputs of weight times mean loss.
  func loss(weights: [Double]) -> Double {
    var sum = 0.0
    for (index, weight) in weights.enumerated() where counts[index] > 0 {
      sum += weight * lossSums[index] / Double(counts[index])
    }
    return sum
  }

  var positions: Int { counts.reduce(0, +) }
}
