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

  public var batch: Int {
    switch self {
    case .float32(let stream): stream.execution.batch
    case .float64(let stream): stream.execution.batch
    }
  }

  /// One step of a network of any number of inputs and outputs, each (batch, 1, features).
  public func step(_ inputs: [TensorView], into outputs: [TensorView]) throws(EngineError) {
    switch self {
    case .float32(let stream): try stream.step(inputs, into: outputs)
    case .float64(let stream): try stream.step(inputs, into: outputs)
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
  func step(_ inputs: [TensorView], into outputs: [TensorView]) throws(EngineError) {
    for (index, view) in inputs.enumerated() { try setInput(index, view) }
    advance()
    for (index, view) in outputs.enumerated() { try readOutput(index, into: view) }
  }
}
