/// An element-wise non-linearity (softmax: along the feature axis), with its constants.
///
/// Names follow Keras. Two functions are called `hard_sigmoid` in the wild; both are here.
public enum Activation: Equatable, Sendable {
  case linear
  case tanh
  /// Logistic function 1 / (1 + exp(-x)).
  case sigmoid
  /// clip(x/6 + 0.5, 0, 1): Keras 3, PyTorch, ONNX's default alpha is 0.2 and is the one below.
  case hardSigmoid
  /// clip(0.2 x + 0.5, 0, 1): Keras 1, Keras 2, tf.keras.
  case hardSigmoidKeras2
  /// max(x, 0), or Keras's general `ReLU` layer:
  /// `maximum` for x >= maximum, x for threshold <= x < maximum, slope * (x - threshold) below.
  case relu(slope: Double = 0, maximum: Double? = nil, threshold: Double = 0)
  /// alpha (exp(x) - 1) for x < 0.
  case elu(alpha: Double = 1)
  case selu
  /// x Φ(x), or its tanh approximation.
  case gelu(approximate: Bool = false)
  /// x sigmoid(x), also called swish.
  case silu
  case softplus
  case softsign
  case exponential
  case softmax

  public static var relu: Activation { .relu() }
  public static func leakyRelu(slope: Double) -> Activation { .relu(slope: slope) }

  /// True if the function mixes the features of a row (softmax), so that it needs whole rows.
  public var isRowWise: Bool { self == .softmax }
}
