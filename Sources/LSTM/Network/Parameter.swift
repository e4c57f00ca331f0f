/// A parameter as a layer declares it, before the network gives it a place.
public struct ParameterDeclaration: Sendable {
  /// The part of the key after the layer's name: `kernel`, `forward/recurrent_kernel`.
  public let name: String
  public let shape: [Int]
  public let initializer: Initializer
  /// False for statistics that the optimiser does not touch (BatchNormalization's moving means).
  public let isTrainable: Bool

  public init(
    _ name: String, _ shape: [Int], _ initializer: Initializer, isTrainable: Bool = true
  ) {
    self.name = name
    self.shape = shape
    self.initializer = initializer
    self.isTrainable = isTrainable
  }
}

/// A named part of the network's contiguous parameter buffer, row-major.
public struct Parameter: Sendable {
  /// `layer/kernel`; unique.
  public let name: String
  public let shape: [Int]
  /// Position in the buffer, in scalars; a multiple of 16, so that each begins a cache line.
  public let offset: Int
  public let count: Int
  public let initializer: Initializer
  public let isTrainable: Bool
  /// Index of the layer's node.
  public let node: Int
}

/// How a parameter begins; the defaults are Keras's.
public enum Initializer: Equatable, Sendable {
  case zeros
  case ones
  case constant(Double)
  /// U(-limit, limit).
  case uniform(limit: Double)
  /// U(±sqrt(6 / (fanIn + fanOut))) (Glorot & Bengio 2010).
  case glorotUniform(fanIn: Int, fanOut: Int)
  /// A matrix with orthonormal rows or columns (Saxe et al. 2014).
  case orthogonal
  /// Zero except for the forget gate's block, which is one (Jozefowicz et al. 2015).
  case unitForgetBias(units: Int, forgetBlock: Int)
}
