/// The functions that the kernels know. The engine maps its `Activation` to one of these.
public enum ActivationCode: UInt8, Sendable {
  case linear
  case tanh
  case sigmoid
  /// clip(a x + b, 0, 1)
  case hardSigmoid
  /// b for x >= b; x for c <= x < b; a (x - c) below c.
  case relu
  /// x for x > 0; a (exp(x) - 1) otherwise, both times b.
  case elu
  /// x Φ(x), Φ by the error function.
  case gelu
  /// x Φ(x), Φ by tanh.
  case geluTanh
  case silu
  case softplus
  case softsign
  case exponential
  /// Over the columns of each row; only in `activate`, never as a gate.
  case softmax
}

/// An activation with its constants, whose meaning depends on the code.
public struct KernelActivation: Sendable, Equatable {
  public var code: ActivationCode
  public var a: Float
  public var b: Float
  public var c: Float

  public init(_ code: ActivationCode, a: Float = 0, b: Float = 0, c: Float = 0) {
    self.code = code
    self.a = a
    self.b = b
    self.c = c
  }

  /// The derivative cannot be had from the function's value: keep the pre-activation for it.
  public var derivativeNeedsInput: Bool {
    switch code {
    case .gelu, .geluTanh, .silu, .relu, .elu, .softsign: true
    default: false
    }
  }
}

/// Arguments of `activate` and `activateBackward`: a matrix of `rows` x `columns`.
public struct ActivationArguments {
  public var function: KernelActivation
  public var rows: Int
  public var columns: Int
  /// Pre-activations. `activate` may work in place (`input == output`); in `activateBackward`
  /// it is needed only if `function.derivativeNeedsInput`.
  public var input: UnsafePointer<Float>?
  public var inputStride: Int
  /// Written by `activate`, read by `activateBackward`.
  public var output: UnsafeMutablePointer<Float>
  public var outputStride: Int
  /// `activateBackward` only: dL/d(output), replaced by dL/d(input).
  public var gradient: UnsafeMutablePointer<Float>?
  public var gradientStride: Int

  public init(
    function: KernelActivation, rows: Int, columns: Int,
    input: UnsafePointer<Float>?, inputStride: Int,
    output: UnsafeMutablePointer<Float>, outputStride: Int,
    gradient: UnsafeMutablePointer<Float>? = nil, gradientStride: Int = 0
  ) {
    self.function = function
    self.rows = rows
    self.columns = columns
    self.input = input
    self.inputStride = inputStride
    self.output = output
    self.outputStride = outputStride
    self.gradient = gradient
    self.gradientStride = gradientStride
  }
}
