/// Flatten and Reshape: the elements of each batch row, in the order (time, feature), under
/// another shape.
final class ReshapeLayer<S: Scalar>: Layer<S> {
  private let inputElements: Int?

  /// - Parameter target: one extent (features) or two (time, features), at most one of them -1.
  init(name: String, inputShape: SignalShape, target: [Int]) throws(EngineError) {
    let features = try inputShape.featureCount()
    // Elements of a batch row, unknown if the number of steps is free.
    var elements: Int? = features
    if case .sequence(let time, _) = inputShape {
      elements = nil
      if let time { elements = try Memory.product(time, features) }
    }
    guard 1...2 ~= target.count, target.allSatisfy({ $0 >= -1 }), !target.contains(0),
      target.filter({ $0 == -1 }).count <= 1
    else {
      throw EngineError(
        .unsupported,
        "a target shape has one or two extents, at most one of them -1 and none 0, got \(target)")
    }
    inputElements = elements
    super.init(
      name: name, inputShapes: [inputShape],
      outputShape: try Self.resolve(target, elements: elements, features: features))
  }

  private static func resolve(
    _ target: [Int], elements: Int?, features: Int
  ) throws(EngineError) -> SignalShape {
    var known = 1
    for extent in target where extent != -1 { known = try Memory.product(known, extent) }
    guard let elements else {
      // The number of steps is free: it can only go into the output's number of steps.
      guard target.count == 2, target[0] == -1 else {
        throw EngineError(
          .shape,
          "needs a fixed number of steps to make \(target) of (time, \(features))")
      }
      return .sequence(time: nil, features: target[1])
    }
    let free = target.contains(-1)
    guard free ? elements % known == 0 : elements == known else {
      throw EngineError(.shape, "cannot make \(target) of \(elements) elements")
    }
    let extents = target.map { $0 == -1 ? elements / known : $0 }
    guard let width = extents.last, width >= 1 else {
      throw EngineError(.shape, "\(target) of \(elements) elements has no features")
    }
    return extents.count == 1
      ? .vector(features: width) : .sequence(time: extents[0], features: width)
  }

  override func outputTime(_ inputTimes: [Int]) throws(EngineError) -> Int {
    let time = inputTimes.first ?? 1
    let width = inputShapes[0].features
    let elements = try Memory.product(time, width)
    if let inputElements, elements != inputElements {
      throw EngineError(
        .shape,
        "was built for \(inputElements / width) steps of \(width) features, got \(time) steps")
    }
    guard elements % outputShape.features == 0 else {
      throw EngineError(
        .shape,
        "\(time) steps of \(width) features do not make whole steps of \(outputShape.features)")
    }
    return outputShape.hasTime ? elements / outputShape.features : 1
  }

  override var obstacleToStreaming: String? {
    inputShapes[0].hasTime || outputShape.hasTime
      ? "it rearranges the steps of the whole sequence" : nil
  }

  override func makeRun(
    inputs: [Signal<S>], plan: ExecutionPlan<S>
  ) throws(EngineError) -> LayerRun<S> {
    let input = try Self.only(inputs)
    let time = try outputTime([input.time])
    return ReshapeRun(
      input: input,
      output: try plan.signal(
        batch: input.batch, time: time, hasTime: outputShape.hasTime,
        width: outputShape.features))
  }
}

private final class ReshapeRun<S: Scalar>: LayerRun<S> {
  private let input: Signal<S>

  init(input: Signal<S>, output: Signal<S>) {
    self.input = input
    super.init(output: output)
  }

  /// Calls `body` with the position of each element in the input's and in the output's memory.
  @inline(__always)
  private func forEachElement(_ body: (_ from: Int, _ to: Int) -> Void) {
    for b in 0..<input.batch {
      var step = 0
      var feature = 0
      for t in 0..<input.time {
        let from = (t * input.batch + b) * input.stride
        for j in 0..<input.width {
          body(from + j, (step * output.batch + b) * output.stride + feature)
          feature += 1
          if feature == output.width {
            feature = 0
            step += 1
          }
        }
      }
    }
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func forward() {
    forEachElement { from, to in output.values[to] = input.values[from] }
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func backward() {
    guard let delta = output.gradient, let inputGradient = input.gradient else { return }
    forEachElement { from, to in inputGradient[from] += delta[to] }
  }
}

/// Swaps time and features: (batch, time, features) to (batch, features, time).
final class PermuteLayer<S: Scalar>: Layer<S> {
  private let steps: Int

  init(name: String, inputShape: SignalShape) throws(EngineError) {
    let features = try inputShape.sequenceFeatures()
    guard let time = inputShape.time, time >= 1 else {
      throw EngineError(.shape, "needs a fixed number of steps, got \(inputShape)")
    }
    steps = time
    super.init(
      name: name, inputShapes: [inputShape],
      outputShape: .sequence(time: features, features: time))
  }

  override func outputTime(_ inputTimes: [Int]) throws(EngineError) -> Int {
    guard inputTimes.first == steps else {
      throw EngineError(.shape, "was built for \(steps) steps, got \(inputTimes.first ?? 0)")
    }
    return inputShapes[0].features
  }

  override var obstacleToStreaming: String? { "it makes features of the steps" }

  override func makeRun(
    inputs: [Signal<S>], plan: ExecutionPlan<S>
  ) throws(EngineError) -> LayerRun<S> {
    let input = try Self.only(inputs)
    let time = try outputTime([input.time])
    return PermuteRun(
      input: input,
      output: try plan.signal(batch: input.batch, time: time, hasTime: true, width: steps))
  }
}

private final class PermuteRun<S: Scalar>: LayerRun<S> {
  private let input: Signal<S>

  init(input: Signal<S>, output: Signal<S>) {
    self.input = input
    super.init(output: output)
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func forward() {
    for t in 0..<input.time {
      for b in 0..<input.batch {
        let from = input.values + (t * input.batch + b) * input.stride
        for j in 0..<input.width {
          output.values[(j * output.batch + b) * output.stride + t] = from[j]
        }
      }
    }
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func backward() {
    guard let delta = output.gradient, let inputGradient = input.gradient else { return }
    for t in 0..<input.time {
      for b in 0..<input.batch {
        let to = inputGradient + (t * input.batch + b) * input.stride
        for j in 0..<input.width {
          to[j] += delta[(j * output.batch + b) * output.stride + t]
        }
      }
    }
  }
}
