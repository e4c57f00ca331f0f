import CCarousel
import LSTM

extension carousel_activation {
  /// The engine's activation; `usual` for the default.
  func engine(_ name: StaticString, default usual: Activation) throws(EngineError) -> Activation {
    switch kind {
    case CAROUSEL_ACTIVATION_DEFAULT: return usual
    case CAROUSEL_ACTIVATION_LINEAR: return .linear
    case CAROUSEL_ACTIVATION_TANH: return .tanh
    case CAROUSEL_ACTIVATION_SIGMOID: return .sigmoid
    case CAROUSEL_ACTIVATION_HARD_SIGMOID: return .hardSigmoid
    case CAROUSEL_ACTIVATION_HARD_SIGMOID_KERAS2: return .hardSigmoidKeras2
    case CAROUSEL_ACTIVATION_RELU:
      guard slope.isFinite, threshold.isFinite, has_maximum == 0 || !maximum.isNaN else {
        throw EngineError(
          .invalidArgument, "\(name) has a slope, maximum or threshold that is no number")
      }
      return .relu(
        slope: slope, maximum: has_maximum != 0 ? maximum : nil, threshold: threshold)
    case CAROUSEL_ACTIVATION_ELU:
      guard alpha.isFinite else {
        throw EngineError(.invalidArgument, "\(name).alpha is \(alpha), expected a number")
      }
      return .elu(alpha: alpha == 0 ? 1 : alpha)
    case CAROUSEL_ACTIVATION_SELU: return .selu
    case CAROUSEL_ACTIVATION_GELU: return .gelu()
    case CAROUSEL_ACTIVATION_GELU_TANH: return .gelu(approximate: true)
    case CAROUSEL_ACTIVATION_SILU: return .silu
    case CAROUSEL_ACTIVATION_SOFTPLUS: return .softplus
    case CAROUSEL_ACTIVATION_SOFTSIGN: return .softsign
    case CAROUSEL_ACTIVATION_EXPONENTIAL: return .exponential
    case CAROUSEL_ACTIVATION_SOFTMAX: return .softmax
    default: throw Argument.unknown(kind.rawValue, name)
    }
  }

  /// As `engine`, for the activation inside a cell.
  func cell(_ name: StaticString, default usual: Activation) throws(EngineError) -> Activation {
    try engine(name, default: usual)
  }
}
