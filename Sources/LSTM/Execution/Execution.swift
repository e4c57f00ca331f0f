/// A network bound to memory for one batch size and sequence length: all buffers are laid out when
/// it is made, so that a pass neither allocates nor fails. Not for use by two threads at once.
public final class Execution<S: Scalar> {
  /// Outlives the execution: `owner` keeps it, or it keeps the execution.
  public unowned let network: Network<S>
  /// The network again, except while the execution lies idle in the network's own cache: the two
  /// would keep each other alive for ever.
  private var owner: Network<S>?
  public let weights: WeightSnapshot<S>
  public let batch: Int
  /// Steps of each input (1 for inputs without a time axis).
  public let times: [Int]
  public let mode: ExecutionMode
  public let context = RunContext()
  public let arena: Arena
  /// Base of the gradients, laid out as the network's parameters; nil in inference modes.
  public let parameterGradients: UnsafeMutablePointer<S>?

  /// By node.
  let signals: [Signal<S>]
  let runs: [LayerRun<S>?]
  /// All runs, one after another or several at a time.
  let passes: [ExecutionPass<S>]
  /// By input: who reads it, if all of them can read the caller's rows.
  let borrowers: [[LayerRun<S>]]
  /// The states of all recurrent layers, in the order of the layers.
  public let states: [StateSlot<S>]
  /// Makes the only output, which nothing else reads; nil: there is no such layer.
  let outputRun: LayerRun<S>?

  /// - Parameter gradients: where the parameters' gradients go; nil: into memory of the execution's own.
  public init(
    network: Network<S>, weights: WeightSnapshot<S>, batch: Int, times: [Int],
    mode: ExecutionMode, arena: Arena = Arena(), gradients: UnsafeMutablePointer<S>? = nil
  ) throws(EngineError) {
    guard batch >= 1 else {
      throw EngineError(.shape, "the batch must have at least one row, got \(batch)")
    }
    self.network = network
    owner = network
    self.weights = weights
    self.batch = batch
    self.times = times
    self.mode = mode
    self.arena = arena
    if let gradients {
      parameterGradients = gradients
    } else {
      parameterGradients =
        mode.keepsForBackward ? try arena.allocate(count: network.values.count) : nil
    }
    let plan = ExecutionPlan(
      mode: mode, arena: arena, context: context, weights: weights,
      parameterGradients: parameterGradients)
    var signals: [Signal<S>] = []
    var runs: [LayerRun<S>?] = []
    for (index, node) in network.description.nodes.enumerated() {
      if let state = network.layers[index] as? FinalStateLayer<S> {
        let slot = runs[node.inputs[0]]?.states[state.state]
        runs.append(nil)
        if let slot { signals.append(Signal(slot, batch: batch)) }
      } else if let layer = network.layers[index] {
        do throws(EngineError) {
          let run = try layer.makeRun(inputs: node.inputs.map { signals[$0] }, plan: plan)
          signals.append(run.output)
          runs.append(run)
        } catch { throw error.within("layer '\(layer.name)'") }
      } else {
        let position = network.description.inputs.firstIndex(of: index) ?? 0
        signals.append(
          try Execution.inputSignal(
            network.inputShapes[position], batch: batch, time: times[position], plan: plan))
        runs.append(nil)
      }
    }
    self.signals = signals
    self.runs = runs
    passes = ExecutionPass.all(runs) { network.description.nodes[$0].inputs }
    borrowers = network.description.inputs.map {
      Execution.borrowers(of: $0, network, runs, mode)
    }
    states = runs.flatMap { $0?.states ?? [] }
    let outputs = network.description.outputs
    let isFree =
      outputs.count == 1
      && !network.description.nodes.contains { $0.inputs.contains(outputs[0]) }
    outputRun = isFree ? runs[outputs[0]] : nil
  }

  /// None where the input has to be kept (for the way back, from step to step), or where others read it, too.
  private static func borrowers(
    of input: Int, _ network: Network<S>, _ runs: [LayerRun<S>?], _ mode: ExecutionMode
  ) -> [LayerRun<S>] {
    guard !mode.keepsForBackward, !mode.isStream, !network.description.outputs.contains(input)
    else { return [] }
    var borrowers: [LayerRun<S>] = []
    for (index, node) in network.description.nodes.enumerated() where node.inputs.contains(input) {
      guard let run = runs[index], run.canBorrow, !node.inputs.dropFirst().contains(input) else {
        return []
      }
      borrowers.append(run)
    }
    return borrowers
  }

  private static func inputSignal(
    _ shape: SignalShape, batch: Int, time: Int, plan: ExecutionPlan<S>
  ) throws(EngineError) -> Signal<S> {
    let rows = try Memory.product(batch, time)
    let mask: UnsafeMutablePointer<UInt8>? =
      plan.mode.takesMask && shape.hasTime ? try plan.arena.allocate(count: rows) : nil
    guard case .ids = shape else {
      return try plan.signal(
        batch: batch, time: time, hasTime: shape.hasTime, width: shape.features, mask: mask)
    }
    let ids: UnsafeMutablePointer<Int32> = try plan.arena.allocate(count: rows)
    return Signal(
      batch: batch, time: time, hasTime: true, width: 1, stride: 0,
      values: try plan.arena.allocate(count: 1), gradient: nil, mask: mask, ids: ids)
  }

  /// The network keeps the execution from now on (`true`), or the execution the network.
  func lie(idle: Bool) { owner = idle ? nil : network }

  /// Computes all signals and final states from the inputs and initial states.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public func forward() {
    for pass in passes { pass.forward() }
  }

  /// Sets all gradients to zero: call before the output gradients are set.
  /// - Parameter given: of so many outputs the gradients follow, which need no zeros.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public func zeroGradients(given: Int = 0) {
    guard let parameterGradients else { return }
    parameterGradients.update(repeating: 0, count: network.values.count)
    zeroSignalGradients(given: given)
  }

  /// All gradients but those of the parameters, to which the backward pass then adds.
  func zeroSignalGradients(given: Int = 0) {
    let outputs = network.description.outputs.prefix(given)
    for (index, signal) in signals.enumerated() where !outputs.contains(index) {
      signal.zeroGradient(threads: context.threads)
    }
    for run in runs {
      for state in run?.states ?? [] {
        state.finalGradient?.update(repeating: 0, count: batch * state.stride)
      }
    }
  }

  /// From the outputs' and final states' gradients to those of parameters, inputs and initial
  /// states. Needs a `forward` in a mode that keeps for it.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public func backward() {
    for pass in passes.reversed() { pass.backward() }
  }

  /// Takes over into the network's parameters what the last training pass observed
  /// (BatchNormalization's moving statistics). A trainer calls it once after each step.
  public func updateStatistics() {
    var changes = false
    for run in runs {
      if let run, run.updateStatistics(network.values.pointer) { changes = true }
    }
    if changes { network.parametersChanged() }
  }

  /// The next call begins with the states in which this one ended.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public func carryStates() {
    for run in runs {
      guard let run else { continue }
      run.hasGivenStates = true
      for state in run.states {
        state.initial.update(from: state.final, count: batch * state.stride)
      }
    }
  }

  /// All initial states are zero again, or what the network has learned.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public func resetStates() {
    for run in runs { run?.hasGivenStates = false }
    for state in states { state.initial.update(repeating: 0, count: batch * state.stride) }
  }

  /// Begins where another execution of the same network is.
  func takeStates(of other: Execution) {
    for (new, old) in zip(states, other.states) {
      new.initial.update(from: old.initial, count: batch * old.stride)
    }
    statesWereGiven()
  }

  /// The initial states were written to: learned ones do not count.
  func statesWereGiven() {
    for run in runs { run?.hasGivenStates = true }
  }

  /// The signal of the network's output number `index`.
  public func output(_ index: Int) -> Signal<S> { signals[network.description.outputs[index]] }
  /// The signal of the network's input number `index`.
  public func input(_ index: Int) -> Signal<S> { signals[network.description.inputs[index]] }
  /// The run to which state number `index` belongs.
  func run(ofState index: Int) -> LayerRun<S>? {
    var first = 0
    for run in runs {
      let count = run?.states.count ?? 0
      if index < first + count { return run }
      first += count
    }
    return nil
  }
  /// The run of a layer, for tracing.
  public func run(ofLayer name: String) -> LayerRun<S>? {
    network.layers.firstIndex { $0?.name == name }.flatMap { runs[$0] }
  }
}
