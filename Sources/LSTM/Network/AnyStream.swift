/// A stream of either number type, for callers that learn the type at run time.
public enum AnyStream: Sendable {
  case float32(Stream<Float>)
  case float64(Stream<Double>)

  public init(_ network: AnyNetwork, batch: Int) throws(EngineError) {
    switch network {
    case .float32(let network): self = .float32(try Stream(network, batch: batch))
    case .float64(let network): self = .float64(try Stream(network, batch: batch))
    }
  }

  public var network: AnyNetwork {
    switch self {
    case .float32(let stream): .float32(stream.network)
    case .float64(let stream): .float64(stream.network)
    }
  }

  /// Upper limit for the number of threads of a step; see ``Stream/threads``.
  public func setThreads(_ threads: Int) {
    switch self {
    case .float32(let stream): stream.threads = threads
    case .float64(let stream): stream.threads = threads
    }
  }

  public var program: StreamProgram {
    switch self {
    case .float32(let stream): stream.program
    case .float64(let stream): stream.program
    }
  }

  public var batch: Int {
    switch self {
    case .float32(let stream): stream.execution.batch
    case .float64(let stream): stream.execution.batch
    }
  }

  /// Step 1 of a step: the input (batch, 1, features).
  public func setInput(_ index: Int, _ view: TensorView) throws(EngineError) {
    switch self {
    case .float32(let stream): try stream.setInput(index, view)
    case .float64(let stream): try stream.setInput(index, view)
    }
  }

  /// Step 2: from inputs and state to outputs and new state.
  public func advance() {
    switch self {
    case .float32(let stream): stream.advance()
    case .float64(let stream): stream.advance()
    }
  }

  /// Step 3: the output (batch, 1, features).
  public func readOutput(_ index: Int, into view: TensorView) throws(EngineError) {
    switch self {
    case .float32(let stream): try stream.readOutput(index, into: view)
    case .float64(let stream): try stream.readOutput(index, into: view)
    }
  }

  /// One whole step of a network with one input and one output on contiguous rows.
  public func step(
    _ input: UnsafePointer<Float>, _ output: UnsafeMutablePointer<Float>
  ) throws(EngineError) {
    switch self {
    case .float32(let stream): try stream.steps(input, 1, output)
    case .float64(let stream): try stream.steps(input, 1, output)
    }
  }

  /// `count` steps: from (batch, count, features) to (batch, count, features), contiguous.
  public func steps(
    _ input: UnsafePointer<Float>, _ count: Int, _ output: UnsafeMutablePointer<Float>
  ) throws(EngineError) {
    switch self {
    case .float32(let stream): try stream.steps(input, count, output)
    case .float64(let stream): try stream.steps(input, count, output)
    }
  }

  public func reset() {
    switch self {
    case .float32(let stream): stream.reset()
    case .float64(let stream): stream.reset()
    }
  }

  public func updateWeights() throws(EngineError) {
    switch self {
    case .float32(let stream): try stream.updateWeights()
    case .float64(let stream): try stream.updateWeights()
    }
  }

  /// A second stream with the same weights and in the same state.
  public func copy() throws(EngineError) -> AnyStream {
    switch self {
    case .float32(let stream): .float32(try stream.copy())
    case .float64(let stream): .float64(try stream.copy())
    }
  }

  /// Bytes that `snapshot` writes.
  public var stateByteCount: Int {
    switch self {
    case .float32(let stream): stream.stateCount * MemoryLayout<Float>.stride
    case .float64(let stream): stream.stateCount * MemoryLayout<Double>.stride
    }
  }

  public func snapshot(into bytes: UnsafeMutableRawPointer) {
    switch self {
    case .float32(let stream): stream.snapshot(into: bytes.assumingMemoryBound(to: Float.self))
    case .float64(let stream): stream.snapshot(into: bytes.assumingMemoryBound(to: Double.self))
    }
  }

  public func restore(from bytes: UnsafeRawPointer) {
    switch self {
    case .float32(let stream): stream.restore(from: bytes.assumingMemoryBound(to: Float.self))
    case .float64(let stream): stream.restore(from: bytes.assumingMemoryBound(to: Double.self))
    }
  }
}

extension Stream {
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  func steps(
    _ input: UnsafePointer<Float>, _ count: Int, _ output: UnsafeMutablePointer<Float>
  ) throws(EngineError) {
    guard network.inputShapes.count == 1, network.outputShapes.count == 1 else {
      throw EngineError(
        .shape, "the network has several inputs or outputs: give arrays, one for each")
    }
    let batch = execution.batch
    let inputWidth = network.inputShapes[0].features
    let outputWidth = network.outputShapes[0].features
    if program.isUsable {
      for t in 0..<count {
        program.step(
          input + t * inputWidth, stride: count * inputWidth, output + t * outputWidth,
          outputStride: count * outputWidth)
      }
      return
    }
    let source = UnsafeMutableRawPointer(mutating: input)
    for t in 0..<count {
      try setInput(
        0,
        TensorView(
          base: source + t * inputWidth * MemoryLayout<Float>.stride, element: .float32,
          batch: batch, time: 1, width: inputWidth, batchStride: count * inputWidth,
          timeStride: inputWidth, widthStride: 1))
      advance()
      try readOutput(
        0,
        into: TensorView(
          base: output + t * outputWidth, element: .float32, batch: batch, time: 1,
          width: outputWidth, batchStride: count * outputWidth, timeStride: outputWidth,
          widthStride: 1))
    }
  }
}
