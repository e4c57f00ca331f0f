#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The activations as mathematics writes them, in double precision.
///
/// `Double` networks run on this; the vectorised single-precision kernels are tested against it.
public enum ActivationMath {
  /// SELU's constants (Klambauer et al. 2017).
  static let seluAlpha = 1.673263242354377284817042991671
  static let seluScale = 1.050700987355480493419334985294
  private static let geluScale = (2 / Double.pi).squareRoot()

  public static func value(_ activation: Activation, _ x: Double) -> Double {
    switch activation {
    case .linear: return x
    case .tanh: return hyperbolicTangent(x)
    case .sigmoid: return sigmoid(x)
    case .hardSigmoid: return clipToUnit(x / 6 + 0.5)
    case .hardSigmoidKeras2: return clipToUnit(0.2 * x + 0.5)
    case .relu(let slope, let maximum, let threshold):
      if let maximum, x >= maximum { return maximum }
      if x < threshold { return slope == 0 ? 0 : slope * (x - threshold) }
      return x
    case .elu(let alpha): return x > 0 ? x : alpha * expm1(x)
    case .selu: return seluScale * (x > 0 ? x : seluAlpha * expm1(x))
    case .gelu(let approximate):
      return approximate
        ? 0.5 * belowFinite(x) * (1 + hyperbolicTangent(geluScale * (x + 0.044715 * x * x * x)))
        : 0.5 * belowFinite(x) * erfc(-x / 2.0.squareRoot())
    case .silu: return belowFinite(x) * sigmoid(x)
    case .softplus: return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x))
    case .softsign:
      let x = clip(x, .greatestFiniteMagnitude)
      return x / (1 + abs(x))
    case .exponential: return exp(x)
    case .softmax: return 1
    }
  }

  /// The derivative at x, where y = value(x).
  public static func derivative(_ activation: Activation, _ x: Double, _ y: Double) -> Double {
    switch activation {
    case .linear: return 1
    case .tanh: return 1 - y * y
    case .sigmoid: return y * (1 - y)
    case .hardSigmoid: return x > -3 && x < 3 ? 1.0 / 6 : 0
    case .hardSigmoidKeras2: return x > -2.5 && x < 2.5 ? 0.2 : 0
    case .relu(let slope, let maximum, let threshold):
      if let maximum, x >= maximum { return 0 }
      return x > threshold ? 1 : slope
    case .elu(let alpha): return x > 0 ? 1 : y + alpha
    case .selu: return x > 0 ? seluScale : y + seluScale * seluAlpha
    case .gelu(let approximate):
      let x = clip(x, bent)
      if approximate {
        let t = hyperbolicTangent(geluScale * (x + 0.044715 * x * x * x))
        return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * geluScale * (1 + 3 * 0.044715 * x * x)
      }
      let density = exp(-0.5 * x * x) / (2 * Double.pi).squareRoot()
      return 0.5 * erfc(-x / 2.0.squareRoot()) + x * density
    case .silu:
      let x = clip(x, bent)
      let s = sigmoid(x)
      return s + x * s * (1 - s)
    case .softplus: return sigmoid(x)
    case .softsign:
      let d = 1 + abs(x)
      return 1 / (d * d)
    case .exponential: return y
    case .softmax: return 0
    }
  }

  private static func sigmoid(_ x: Double) -> Double {
    if x >= 0 { return 1 / (1 + exp(-x)) }
    let e = exp(x)
    return e / (1 + e)
  }

  /// Beyond ± this number the slopes of GELU and SiLU are 0 and 1, and the squares in them still finite.
  private static let bent = 1000.0

  private static func clip(_ x: Double, _ limit: Double) -> Double {
    x.isNaN ? x : min(max(x, -limit), limit)
  }

  /// The most negative number instead of minus infinity, whose product with 0 is NaN.
  private static func belowFinite(_ x: Double) -> Double {
    x == -.infinity ? -.greatestFiniteMagnitude : x
  }

  private static func clipToUnit(_ x: Double) -> Double { x.isNaN ? x : min(max(x, 0), 1) }
}

/// The C library's tanh under a name that the enum case `tanh` does not hide.
private func hyperbolicTangent(_ x: Double) -> Double { tanh(x) }
