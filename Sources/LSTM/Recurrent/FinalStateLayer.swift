/// A state of a recurrent layer as a value of its own. It computes nothing: its signal is the memory of that
/// state, see `Execution`.
final class FinalStateLayer<S: Scalar>: Layer<S> {
  /// Index among the states of the layer that it reads.
  let state: Int

  init(name: String, source: Layer<S>?, state: Int) throws(EngineError) {
    guard let source, !source.stateWidths.isEmpty else {
      throw EngineError(.invalidArgument, "reads a state, but not of a recurrent layer")
    }
    guard source.stateWidths.indices.contains(state) else {
      throw EngineError(
        .invalidArgument,
        "reads state \(state) of '\(source.name)', which has \(source.stateWidths.count)")
    }
    self.state = state
    super.init(
      name: name, inputShapes: [source.outputShape],
      outputShape: .vector(features: source.stateWidths[state]))
  }
}
