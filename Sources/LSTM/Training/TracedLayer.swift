/// The one recurrent layer of a network that learns with eligibility traces.
struct TracedLayer<S: Scalar> {
  let node: Int
  let layer: Layer<S>
  let cell: LSTMDescription

  /// Throws `unsupported`, with the reason, if the traces of ``EligibilityTraces`` would not be all that its past has to do
  /// with a loss.
  init(_ network: Network<S>) throws(EngineError) {
    func refuse(_ reason: String) -> EngineError {
      EngineError(.unsupported, "eligibility traces: \(reason)")
    }
    var found: (node: Int, layer: Layer<S>)?
    for (node, layer) in network.layers.enumerated() {
      guard let layer, !layer.stateWidths.isEmpty else { continue }
      if let found {
        throw refuse(
          "the network has two recurrent layers, '\(found.layer.name)' and '\(layer.name)'; they are for networks "
            + "with one")
      }
      found = (node, layer)
    }
    guard let found else { throw refuse("the network has no recurrent layer") }
    let name = found.layer.name
    guard let recurrent = (found.layer as? RecurrentLayer<S>)?.recurrent,
      case .lstm(let cell) = recurrent.cell
    else { throw refuse("layer '\(name)' is not an LSTM") }
    let obstacles = [
      (!cell.truncatesGates, "has no truncate_gates: error flows back through its gates, too"),
      (!recurrent.returnSequences, "must return sequences"),
      (recurrent.learnsInitialState, "learns its initial state"),
      (recurrent.dropout > 0 || recurrent.recurrentDropout > 0, "has dropout"),
      (cell.zoneout > 0, "has zoneout"),
      (cell.layerNorm, "has layer normalisation"),
      (cell.hasPeepholes && cell.peepholeKind == .dense, "has peepholes that are matrices"),
      (cell.cellClip != nil || cell.gateClip != nil, "clips its cells or gates"),
      (
        cell.activation.derivativeNeedsInput || cell.recurrentActivation.derivativeNeedsInput,
        "has an activation whose derivative cannot be told from its value"
      ),
    ]
    if let obstacle = obstacles.first(where: \.0) {
      throw refuse("layer '\(name)' \(obstacle.1)")
    }
    node = found.node
    layer = found.layer
    self.cell = cell
  }

  /// Where a parameter is in the network's buffer.
  func offset(_ parameter: CellParameter) -> Int? {
    layer.declarations.firstIndex { $0.name == parameter.key }.map { layer.offsets[$0] }
  }

  /// Throws if a parameter of a layer before the cells is trained: it would need traces of its own.
  func checkFrozen(
    _ network: Network<S>, isTrainable: (Int) -> Bool
  ) throws(EngineError) {
    var before = Set(network.description.nodes[node].inputs)
    for index in (0..<node).reversed() where before.contains(index) {
      before.formUnion(network.description.nodes[index].inputs)
    }
    for (number, parameter) in network.parameters.enumerated() where isTrainable(number) {
      let owner = network.layers.indices.first {
        before.contains($0) && network.layers[$0]?.offsets.contains(parameter.offset) == true
      }
      guard owner != nil else { continue }
      throw EngineError(
        .unsupported,
        "eligibility traces: '\(parameter.name)' comes before layer '\(layer.name)' and has none: freeze it"
      )
    }
  }
}

/// What the traced layer's run recorded of some steps; row t * batch + b.
struct TracedSteps<S: Scalar> {
  let inputGate: TraceView<S>?
  let forgetGate: TraceView<S>?
  let cellInput: TraceView<S>
  let count: Int
  private let read: Signal<S>
  private let hidden: TraceView<S>
  private let cell: TraceView<S>
  private let states: [StateSlot<S>]

  init?(_ execution: Execution<S>, _ place: TracedLayer<S>) {
    guard let run = execution.runs[place.node],
      let cellInput = run.trace(.cellInput, direction: 0),
      let hidden = run.trace(.hidden, direction: 0), let cell = run.trace(.cell, direction: 0),
      let source = execution.network.description.nodes[place.node].inputs.first
    else { return nil }
    self.cellInput = cellInput
    self.hidden = hidden
    self.cell = cell
    inputGate = run.trace(.inputGate, direction: 0)
    forgetGate = place.cell.hasForgetBlock ? run.trace(.forgetGate, direction: 0) : nil
    read = execution.signals[source]
    count = read.time
    states = run.states
  }

  func isValid(_ step: Int, _ row: Int) -> Bool {
    read.mask.map { $0[step * read.batch + row] != 0 } ?? true
  }

  func input(_ step: Int, _ row: Int) -> UnsafePointer<S> {
    UnsafePointer(read.values + (step * read.batch + row) * read.stride)
  }

  func previousHidden(_ step: Int, _ row: Int) -> UnsafePointer<S> {
    previous(hidden, states[0], step, row)
  }

  func previousCell(_ step: Int, _ row: Int) -> UnsafePointer<S> {
    previous(cell, states[1], step, row)
  }

  private func previous(
    _ view: TraceView<S>, _ state: StateSlot<S>, _ step: Int, _ row: Int
  ) -> UnsafePointer<S> {
    step == 0
      ? UnsafePointer(state.initial + row * state.stride)
      : view.values + ((step - 1) * read.batch + row) * view.stride
  }
}

extension TraceView {
  subscript(row: Int, column: Int) -> S { values[row * stride + column] }
}
