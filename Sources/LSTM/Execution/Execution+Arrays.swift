/// Copies between the caller's arrays and an execution's signals, with every check that they need.
extension Execution {
  /// Takes the caller's input number `index`: borrowed until the next call if all who read it can, else copied.
  /// Ids are checked against the vocabulary.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public func setInput(_ index: Int, _ view: TensorView) throws(EngineError) {
    let signal = input(index)
    try check(view, against: signal, "input \(index)")
    guard let ids = signal.ids else {
      let borrowed = borrowers[index].isEmpty ? nil : view.timeMajorRows(S.self)
      for run in borrowers[index] { run.borrow(borrowed) }
      if borrowed != nil { return }
      view.read(into: signal.values, stride: signal.stride, threads: context.threads)
      return
    }
    let limit = network.vocabularies[index]
    for t in 0..<view.time {
      for b in 0..<view.batch {
        guard let id = view.id(batch: b, time: t), id >= 0, id < limit else {
          throw EngineError(
            .invalidArgument,
            "input \(index): the id at row \(b), step \(t) is not a whole number from 0 to "
              + "\(limit - 1)")
        }
        ids[t * batch + b] = id
      }
    }
  }

  /// Marks the first `lengths[b]` steps of each row as valid, for every input with a time axis;
  /// of those, the ones that a mask excludes stay masked if `keepingMask`.
  public func setLengths(
    _ lengths: UnsafePointer<Int64>, keepingMask: Bool = false
  ) throws(EngineError) {
    for index in network.description.inputs.indices {
      let signal = input(index)
      guard let mask = signal.mask else { continue }
      for b in 0..<batch {
        guard lengths[b] >= 0, lengths[b] <= Int64(signal.time) else {
          throw EngineError(
            .shape,
            "lengths: row \(b) has \(lengths[b]) steps, expected 0 to \(signal.time)")
        }
        for t in 0..<signal.time {
          let row = t * batch + b
          mask[row] = Int64(t) < lengths[b] && (!keepingMask || mask[row] != 0) ? 1 : 0
        }
      }
    }
  }

  /// Marks the steps whose byte is not zero as valid, for every input with a time axis.
  public func setMask(
    _ bytes: UnsafePointer<UInt8>, batchStride: Int, timeStride: Int
  ) {
    for index in network.description.inputs.indices {
      let signal = input(index)
      guard let mask = signal.mask else { continue }
      for t in 0..<signal.time {
        for b in 0..<batch {
          mask[t * batch + b] = bytes[b * batchStride + t * timeStride] == 0 ? 0 : 1
        }
      }
    }
  }

  /// Computes all, as `forward()`, and writes the output where the caller wants it, if the layer that makes it can. Says
  /// whether it is there: if not, `readOutput` has to follow.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  func forward(_ inputs: [TensorView], into outputs: [TensorView]) -> Bool {
    guard let outputRun, outputs.count == 1, fits(outputs[0], output(0)),
      let rows = outputs[0].timeMajorRows(S.self),
      // Inputs may be read where they are as well.
      !inputs.contains(where: outputs[0].overlaps),
      outputRun.writeOutput(to: rows)
    else {
      forward()
      return false
    }
    forward()
    outputRun.writeOutput(to: nil)
    return true
  }

  /// Copies the network's output number `index` out.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public func readOutput(_ index: Int, into view: TensorView) throws(EngineError) {
    let signal = output(index)
    try check(view, against: signal, "output \(index)")
    view.write(from: signal.values, stride: signal.stride, threads: context.threads)
  }

  /// Copies dL/doutput in, after `zeroGradients`; adds it if an earlier output is the same signal.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public func setOutputGradient(_ index: Int, _ view: TensorView) throws(EngineError) {
    let signal = output(index)
    try check(view, against: signal, "gradient of output \(index)")
    guard let gradient = signal.gradient else { return }
    let outputs = network.description.outputs
    guard outputs[..<index].contains(outputs[index]) else {
      view.read(into: gradient, stride: signal.stride, threads: context.threads)
      return
    }
    let count = try Memory.product(signal.rows, signal.stride)
    let incoming = try Buffer<S>(count: count)
    view.read(into: incoming.pointer, stride: signal.stride, threads: context.threads)
    for i in 0..<count { gradient[i] += incoming.pointer[i] }
  }

  /// Copies dL/dinput out; zeros for ids.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public func readInputGradient(_ index: Int, into view: TensorView) throws(EngineError) {
    let signal = input(index)
    try check(view, against: signal, "gradient of input \(index)")
    guard let gradient = signal.gradient else {
      let zeros = try Buffer<S>(count: max(signal.rows, 1))
      view.write(from: zeros.pointer, stride: 1)
      return
    }
    view.write(from: gradient, stride: signal.stride, threads: context.threads)
  }

  /// One of the four arrays of a state: initial and final values and their gradients.
  public enum StatePart: Sendable { case initial, final, initialGradient, finalGradient }

  /// Copies an array (batch, width) into state number `index` (over all recurrent layers).
  public func setState(
    _ index: Int, _ part: StatePart, _ view: TensorView
  ) throws(EngineError) {
    let (slot, memory) = try state(index, part)
    try check(view, slot, index)
    view.read(into: memory, stride: slot.stride)
    if part == .initial { run(ofState: index)?.hasGivenStates = true }
  }

  /// Copies state number `index` out.
  public func readState(
    _ index: Int, _ part: StatePart, into view: TensorView
  ) throws(EngineError) {
    let (slot, memory) = try state(index, part)
    try check(view, slot, index)
    view.write(from: memory, stride: slot.stride)
  }

  private func state(
    _ index: Int, _ part: StatePart
  ) throws(EngineError) -> (StateSlot<S>, UnsafeMutablePointer<S>) {
    let states = states
    guard states.indices.contains(index) else {
      throw EngineError(
        .invalidArgument, "state \(index) does not exist: the network has \(states.count)")
    }
    let slot = states[index]
    let memory: UnsafeMutablePointer<S>? =
      switch part {
      case .initial: slot.initial
      case .final: slot.final
      case .initialGradient: slot.initialGradient
      case .finalGradient: slot.finalGradient
      }
    guard let memory else {
      throw EngineError(.state, "gradients exist only after a pass that keeps for them")
    }
    return (slot, memory)
  }

  private func check(_ view: TensorView, _ slot: StateSlot<S>, _ index: Int) throws(EngineError) {
    guard view.batch == batch, view.time == 1, view.width == slot.width else {
      throw EngineError(
        .shape,
        "state \(index): expected shape (\(batch), \(slot.width)), got "
          + "(\(view.batch), \(view.width))")
    }
  }

  private func fits(_ view: TensorView, _ signal: Signal<S>) -> Bool {
    view.batch == signal.batch && view.time == signal.time && view.width == signal.width
  }

  private func check(
    _ view: TensorView, against signal: Signal<S>, _ what: @autoclosure () -> String
  ) throws(EngineError) {
    guard fits(view, signal) else {
      let expected = "(\(signal.batch), \(signal.time), \(signal.width))"
      throw EngineError(
        .shape,
        "\(what()): expected (batch, time, features) = \(expected), got "
          + "(\(view.batch), \(view.time), \(view.width))")
    }
    guard view.base != nil || view.batch * view.time * view.width == 0 else {
      throw EngineError(.invalidArgument, "\(what()) is NULL")
    }
  }
}
