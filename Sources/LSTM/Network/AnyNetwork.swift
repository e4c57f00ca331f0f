/// A network of either number type, for callers that learn the type at run time (the C ABI, files).
///
/// Other modules should run networks through this type: the engine's generic code is specialised
/// here, inside its own module.
public enum AnyNetwork: Sendable {
  case float32(Network<Float>)
  case float64(Network<Double>)

  public init(
    _ description: NetworkDescription, dataType: DataType, parameterLimit: Int = .max
  ) throws(EngineError) {
    switch dataType {
    case .float32:
      self = .float32(try Network<Float>(description, parameterLimit: parameterLimit))
    case .float64:
      self = .float64(try Network<Double>(description, parameterLimit: parameterLimit))
    }
  }

  public var dataType: DataType {
    switch self {
    case .float32: .float32
    case .float64: .float64
    }
  }

  public var description: NetworkDescription {
    switch self {
    case .float32(let network): network.description
    case .float64(let network): network.description
    }
  }

  public var parameters: [Parameter] {
    switch self {
    case .float32(let network): network.parameters
    case .float64(let network): network.parameters
    }
  }

  /// The first byte of a parameter's values.
  public func address(of parameter: Parameter) -> UnsafeMutableRawPointer {
    switch self {
    case .float32(let network):
      UnsafeMutableRawPointer(network.values.pointer + parameter.offset)
    case .float64(let network):
      UnsafeMutableRawPointer(network.values.pointer + parameter.offset)
    }
  }

  public func initialize(seed: UInt64) throws(EngineError) {
    switch self {
    case .float32(let network): try network.initialize(seed: seed)
    case .float64(let network): try network.initialize(seed: seed)
    }
  }

  public func parametersChanged() {
    switch self {
    case .float32(let network): network.parametersChanged()
    case .float64(let network): network.parametersChanged()
    }
  }

  public func forward(
    _ inputs: [TensorView], into outputs: [TensorView], options: ForwardOptions = .init()
  ) throws(EngineError) {
    switch self {
    case .float32(let network): try network.forward(inputs, into: outputs, options: options)
    case .float64(let network): try network.forward(inputs, into: outputs, options: options)
    }
  }
}
