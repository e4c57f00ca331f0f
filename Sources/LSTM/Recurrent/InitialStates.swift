/// Initial states that other layers give to a recurrent one (an encoder's to its decoder): the layer's inputs
/// behind the sequence. States that the caller gives take their place.
struct InitialStates<S: Scalar> {
  /// (batch, width) each; none, or one for each of `slots`.
  let signals: [Signal<S>]
  let slots: [StateSlot<S>]

  static var obstacleToStreaming: String {
    "its initial state comes from other layers, so it needs the whole sequence"
  }

  /// Checks the shapes of all that a layer reads.
  ///
  /// - Returns: the shape of the sequence.
  static func check(
    _ shapes: [SignalShape], _ directions: [RecurrentDescription]
  ) throws(EngineError) -> SignalShape {
    guard let sequence = shapes.first else { throw EngineError(.shape, "has no input") }
    guard shapes.count > 1 else { return sequence }
    let widths = directions.flatMap(\.cell.stateWidths)
    guard shapes.dropFirst().elementsEqual(widths.map { .vector(features: $0) }) else {
      let expected = widths.map { "(\($0),)" }.joined(separator: ", ")
      let found = shapes.dropFirst().map(\.description).joined(separator: ", ")
      throw EngineError(.shape, "needs initial states of the shapes \(expected), got \(found)")
    }
    guard !directions.contains(where: { $0.isStateful || $0.learnsInitialState }) else {
      throw EngineError(
        .unsupported,
        "a layer whose initial state comes from other layers can neither be stateful nor learn it")
    }
    return sequence
  }

  /// Puts the states where the first step reads them.
  func set() {
    for (signal, slot) in zip(signals, slots) {
      slot.initial.update(from: signal.values, count: signal.batch * slot.stride)
    }
  }

  /// After the layer went backwards.
  func addGradients() {
    for (signal, slot) in zip(signals, slots) {
      guard let from = slot.initialGradient, let to = signal.gradient else { continue }
      for i in 0..<signal.batch * slot.stride { to[i] += from[i] }
    }
  }
}
