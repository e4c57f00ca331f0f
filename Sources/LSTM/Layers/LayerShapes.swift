/// Checks that layers make of their shapes and sizes when they are built.
extension SignalShape {
  /// The width of a signal of numbers; ids are refused, which only an embedding can read.
  func featureCount() throws(EngineError) -> Int {
    if case .ids = self {
      throw EngineError(
        .shape, "reads features, but its input is ids: an Embedding must come first")
    }
    return features
  }

  /// The width of a signal with a time axis.
  func sequenceFeatures() throws(EngineError) -> Int {
    guard case .sequence(_, let features) = self else {
      throw EngineError(.shape, "expected an input (batch, time, features), got \(self)")
    }
    return features
  }

  /// The same axes with another width.
  func withFeatures(_ features: Int) -> SignalShape {
    hasTime ? .sequence(time: time, features: features) : .vector(features: features)
  }
}

extension SignalShape: CustomStringConvertible {
  /// As Keras prints it: `(batch, time, 8)`, with names for what is free.
  public var description: String {
    let steps = time.map(String.init) ?? "time"
    return switch self {
    case .vector(let features): "(batch, \(features))"
    case .sequence(_, let features): "(batch, \(steps), \(features))"
    case .ids: "(batch, \(steps))"
    }
  }
}

enum LayerCheck {
  /// A size that must be at least 1.
  static func positive(_ value: Int, _ what: String) throws(EngineError) {
    guard value >= 1 else {
      throw EngineError(.invalidArgument, "\(what) must be at least 1, got \(value)")
    }
  }

  /// A probability in [0, 1).
  static func rate(_ value: Double, _ what: String) throws(EngineError) {
    guard value >= 0, value < 1 else {
      throw EngineError(.invalidArgument, "\(what) must be in [0, 1), got \(value)")
    }
  }

  /// A number that is not negative, infinite, or not a number.
  static func notNegative(_ value: Double, _ what: String) throws(EngineError) {
    guard value >= 0, value.isFinite else {
      throw EngineError(.invalidArgument, "\(what) must be finite and not negative, got \(value)")
    }
  }
}

extension Layer {
  /// The only input of a layer that was built for one.
  static func only(_ inputs: [Signal<S>]) throws(EngineError) -> Signal<S> {
    guard inputs.count == 1, let input = inputs.first else {
      throw EngineError(.shape, "takes one input, got \(inputs.count)")
    }
    return input
  }
}

extension ExecutionPlan {
  /// A new signal with the rows and the mask of another.
  func signal(like input: Signal<S>, width: Int) throws(EngineError) -> Signal<S> {
    try signal(
      batch: input.batch, time: input.time, hasTime: input.hasTime, width: width,
      mask: input.mask)
  }
}
