import KernelInterface

/// A stream's step as a list of calls with their arguments ready: no reference counting, no look-up, no
/// copies of what a layer can read where it is.
///
/// For chains in single precision from one input of features to one output; others go layer by layer
/// through `Execution`. The state is where `Execution` keeps it, so both ways can be mixed. A plain
/// pointer that its ``Stream`` owns: valid as long as that lives.
public struct StreamProgram {
  private struct Operation {
    /// A fused LSTM if there is no run: cell and state are updated in place.
    var arguments: LSTMStepArguments
    /// Tables live as long as the process.
    var kernels: Unmanaged<KernelTable>
    var run: Unmanaged<LayerRun<Float>>?
    /// Final states go back to where the next step reads them; of a step that writes h(t) there, they are copied from it.
    var states: (StateCopy, StateCopy) = (StateCopy(), StateCopy())

    @inline(__always) mutating func perform() {
      let kernels = kernels
      withUnsafePointer(to: &arguments) { arguments in
        kernels._withUnsafeGuaranteedRef { $0.lstmStep(arguments) }
      }
    }

    /// A thread's share of the groups of units: each core keeps its part of the weights.
    func performShare(_ part: Int, of parts: Int) {
      var own = arguments
      let share = ParallelKernels.share(arguments.endGroup, unit: 1, part, parts)
      own.firstGroup = share.lowerBound
      own.endGroup = share.upperBound
      kernels._withUnsafeGuaranteedRef { $0.lstmStep(&own) }
    }

    /// The multiplications of a step that two threads do sooner than one, meeting included.
    var isWorthThreads: Bool {
      let width = arguments.inputWidth + arguments.hiddenWidth
      return width * arguments.blocks.count * arguments.blocks.stride * arguments.rows >= 1 << 17
    }
  }

  private struct StateCopy {
    var from: UnsafeMutablePointer<Float>?
    var to: UnsafeMutablePointer<Float>?
    var count = 0

    @inline(__always) func perform() {
      guard let from, let to else { return }
      to.update(from: from, count: count)
    }
  }

  private struct Block {
    var operations: UnsafeMutablePointer<Operation>
    var count = 0
    /// Keeps the memory alive that the operations point to.
    var execution: Execution<Float>?
    var batch = 1
    var threads = 1
    var inputWidth = 0
    /// The input signal, if the first layer cannot read the caller's array.
    var input: UnsafeMutablePointer<Float>?
    var inputStride = 0
    var output: UnsafeMutablePointer<Float>?
    var outputStride = 0
    var outputWidth = 0
  }

  private let block: UnsafeMutablePointer<Block>
  private let capacity: Int

  /// Room for as many operations as the network has layers.
  init(layers: Int) {
    capacity = layers
    block = .allocate(capacity: 1)
    block.initialize(to: Block(operations: .allocate(capacity: max(layers, 1))))
  }

  func free() {
    block.pointee.operations.deallocate()
    block.deinitialize(count: 1)
    block.deallocate()
  }

  /// False: this network has to be stepped through its execution.
  public var isUsable: Bool { block.pointee.count > 0 }

  /// Threads that a step may use. More than one gives up a promise: the pool may have to wake a
  /// sleeping thread, which is a system call.
  var threads: Int {
    get { block.pointee.threads }
    nonmutating set { block.pointee.threads = max(newValue, 1) }
  }

  /// Takes over an execution of one step; leaves the program empty if it is of another kind.
  func assemble(_ execution: Execution<Float>) {
    block.pointee.count = 0
    block.pointee.execution = nil
    let network = execution.network
    guard network.description.isChain, execution.input(0).ids == nil,
      network.outputShapes.count == 1, execution.runs.count - 1 <= capacity
    else { return }
    var list: [Operation] = []
    for run in execution.runs.dropFirst() {
      guard let run, let operation = StreamProgram.operation(run, execution.batch) else { return }
      list.append(operation)
    }
    for (index, operation) in list.enumerated() {
      (block.pointee.operations + index).initialize(to: operation)
    }
    let output = execution.output(0)
    let input = execution.input(0)
    block.pointee.execution = execution
    block.pointee.batch = execution.batch
    block.pointee.inputWidth = input.width
    block.pointee.input = list[0].run == nil ? nil : input.values
    block.pointee.inputStride = input.stride
    block.pointee.output = output.values
    block.pointee.outputStride = output.stride
    block.pointee.outputWidth = output.width
    block.pointee.count = list.count
  }

  private static func operation(_ run: LayerRun<Float>, _ batch: Int) -> Operation? {
    guard run.states.count <= 2 else { return nil }
    if let (arguments, kernels) = run.fusedStep() {
      var operation = Operation(
        arguments: arguments, kernels: Unmanaged.passUnretained(kernels))
      let hidden = run.states[0]
      if arguments.mayOverwriteHidden && !operation.isWorthThreads {
        // The next step does not wait for a copy. (A thread must not write what another still reads.)
        operation.arguments.output = hidden.initial
        operation.states.0 = StateCopy(
          from: hidden.initial, to: hidden.final, count: hidden.stride)
        return operation
      }
      operation.states.0 = StateCopy(
        from: hidden.final, to: hidden.initial, count: batch * hidden.stride)
      return operation
    }
    // The arguments are not used.
    var operation = Operation(
      arguments: .empty(run.output.values),
      kernels: Unmanaged.passUnretained(KernelDispatch.kernels), run: Unmanaged.passUnretained(run))
    if let first = run.states.first {
      operation.states.0 = StateCopy(
        from: first.final, to: first.initial, count: batch * first.stride)
    }
    if run.states.count > 1 {
      let second = run.states[1]
      operation.states.1 = StateCopy(
        from: second.final, to: second.initial, count: batch * second.stride)
    }
    return operation
  }

  /// One step of a program that is usable: from (batch, features) to (batch, features), rows at the
  /// given strides.
  public func step(
    _ input: UnsafePointer<Float>, stride: Int, _ output: UnsafeMutablePointer<Float>,
    outputStride: Int
  ) {
    let operations = block.pointee.operations
    if let copy = block.pointee.input {
      for row in 0..<block.pointee.batch {
        (copy + row * block.pointee.inputStride).update(
          from: input + row * stride, count: block.pointee.inputWidth)
      }
    } else {
      operations.pointee.arguments.input = input
      operations.pointee.arguments.inputStride = stride
    }
    for index in 0..<block.pointee.count {
      let operation = operations + index
      if let run = operation.pointee.run {
        run._withUnsafeGuaranteedRef { $0.forward() }
      } else {
        operation.pointee.arguments.descends.toggle()
        if block.pointee.threads > 1, operation.pointee.isWorthThreads {
          ThreadPool.shared.run(
            parts: block.pointee.threads, independent: true, operation
          ) {
            $0.assumingMemoryBound(to: Operation.self).pointee.performShare($1, of: $2)
          }
        } else {
          operation.pointee.perform()
        }
      }
      operation.pointee.states.0.perform()
      operation.pointee.states.1.perform()
    }
    guard let from = block.pointee.output else { return }
    for row in 0..<block.pointee.batch {
      (output + row * outputStride).update(
        from: from + row * block.pointee.outputStride, count: block.pointee.outputWidth)
    }
  }

  /// The same for contiguous rows.
  @inline(__always)
  public func step(_ input: UnsafePointer<Float>, _ output: UnsafeMutablePointer<Float>) {
    step(
      input, stride: block.pointee.inputWidth, output, outputStride: block.pointee.outputWidth)
  }
}

extension LSTMStepArguments {
  /// Arguments of no step at all.
  fileprivate static func empty(_ memory: UnsafeMutablePointer<Float>) -> LSTMStepArguments {
    LSTMStepArguments(
      rows: 0, blocks: .standard(stride: 0), firstGroup: 0, endGroup: 0, initial: memory,
      initialStride: 0, hiddenWidth: 0, hidden: memory, hiddenStride: 0,
      recurrentWeights: memory, previousCell: memory, previousCellStride: 0, cell: memory,
      cellStride: 0, output: memory, outputStride: 0)
  }
}
