/// The options of one forward pass; all of them may be left out.
public struct ForwardOptions {
  /// Valid steps of each row; the rest is padding.
  public var lengths: UnsafePointer<Int64>?
  /// One byte per (batch, time), 0 where masked; strides in bytes.
  public var mask: UnsafePointer<UInt8>?
  public var maskBatchStride = 0
  public var maskTimeStride = 0
  /// What recurrent layers emit at masked steps; nil: what each layer's description says.
  public var maskedOutput: MaskedOutput?
  /// One view per state over all recurrent layers, (batch, width); empty: zero, or carried.
  public var initialStates: [TensorView] = []
  /// Where to put the final states; empty: nowhere.
  public var finalStates: [TensorView] = []
  /// Upper limit for the number of threads.
  public var threads = 1
  /// Dropout and the like are active, with this key as their source of randomness.
  public var training = false
  public var randomKey: UInt64 = 0

  public init() {}
}

extension Network {
  /// Widths of all states, in the order of the layers.
  public var stateWidths: [Int] { layers.flatMap { $0?.stateWidths ?? [] } }

  /// Runs whole sequences: `inputs` and `outputs` in the order of the description.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public func forward(
    _ inputs: [TensorView], into outputs: [TensorView], options: ForwardOptions = .init()
  ) throws(EngineError) {
    let execution = try prepare(inputs, mode: mode(for: options), options: options)
    let isWritten = execution.forward(inputs, into: outputs)
    if isStateful { try carryStates(of: execution) }
    if !isWritten {
      for (index, view) in outputs.enumerated() {
        try execution.readOutput(index, into: view)
      }
    }
    for (index, view) in options.finalStates.enumerated() {
      try execution.readState(index, .final, into: view)
    }
    giveBack(execution)
  }

  /// A forward pass whose execution the caller goes on with (`backward`, tracing).
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public func run(
    _ inputs: [TensorView], mode: ExecutionMode, options: ForwardOptions
  ) throws(EngineError) -> Execution<S> {
    let execution = try prepare(inputs, mode: mode, options: options)
    execution.forward()
    if isStateful { try carryStates(of: execution) }
    return execution
  }

  /// An execution that has everything that its forward pass reads.
  private func prepare(
    _ inputs: [TensorView], mode: ExecutionMode, options: ForwardOptions
  ) throws(EngineError) -> Execution<S> {
    guard inputs.count == inputShapes.count, let first = inputs.first else {
      throw EngineError(
        .shape, "the network has \(inputShapes.count) inputs, got \(inputs.count)")
    }
    let times = inputs.map(\.time)
    _ = try outputTimes(times)
    let execution =
      mode.keepsForBackward
      ? try takeTape(batch: first.batch, times: times, mode: mode)
      : try takeExecution(batch: first.batch, times: times, mode: mode)
    for (index, view) in inputs.enumerated() { try execution.setInput(index, view) }
    try setMask(of: execution, options)
    try setInitialStates(of: execution, options)
    execution.context.maskedOutput = options.maskedOutput
    execution.context.threads = max(options.threads, 1)
    execution.context.isTraining = options.training
    execution.context.randomKey = options.randomKey
    return execution
  }

  func mode(for options: ForwardOptions) -> ExecutionMode {
    ExecutionMode(takesMask: options.lengths != nil || options.mask != nil)
  }

  private func setMask(
    of execution: Execution<S>, _ options: ForwardOptions
  ) throws(EngineError) {
    if let mask = options.mask {
      execution.setMask(
        mask, batchStride: options.maskBatchStride, timeStride: options.maskTimeStride)
    }
    if let lengths = options.lengths {
      try execution.setLengths(lengths, keepingMask: options.mask != nil)
    }
  }

  func setInitialStates(
    of execution: Execution<S>, _ options: ForwardOptions
  ) throws(EngineError) {
    execution.resetStates()
    if !options.initialStates.isEmpty {
      let count = stateWidths.count
      guard options.initialStates.count == count else {
        throw EngineError(
          .shape,
          "initial states: the network has \(count), got \(options.initialStates.count)")
      }
      for (index, view) in options.initialStates.enumerated() {
        try execution.setState(index, .initial, view)
      }
      return
    }
    guard isStateful, let carried = withCarriedStates({ $0 }) else { return }
    guard carried.batch == execution.batch else {
      throw EngineError(
        .shape,
        "the network carries the state of a batch of \(carried.batch), got a batch of "
          + "\(execution.batch): reset the states first")
    }
    for (slot, values) in zip(statefulStates(of: execution), carried.values) {
      slot.initial.update(from: values.pointer, count: values.count)
    }
    for (index, layer) in layers.enumerated() where layer?.isStateful == true {
      execution.runs[index]?.hasGivenStates = true
    }
  }

  func carryStates(of execution: Execution<S>) throws(EngineError) {
    var values: [Buffer<S>] = []
    for slot in statefulStates(of: execution) {
      let buffer = try Buffer<S>(count: execution.batch * slot.stride)
      buffer.pointer.update(from: slot.final, count: buffer.count)
      values.append(buffer)
    }
    let carried = CarriedStates(batch: execution.batch, values: values)
    withCarriedStates { $0 = carried }
  }

  private func statefulStates(of execution: Execution<S>) -> [StateSlot<S>] {
    layers.enumerated().flatMap { index, layer in
      layer?.isStateful == true ? execution.runs[index]?.states ?? [] : []
    }
  }
}
