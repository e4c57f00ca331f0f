/// How a gradient becomes a step: PyTorch's formulas under Keras's names.
public struct Optimizer: Equatable, Sendable {
  public enum Kind: Equatable, Sendable {
    /// v = momentum v + g;  w -= rate v, or rate (g + momentum v) with Nesterov's look ahead.
    case sgd(momentum: Double, nesterov: Bool)
    /// s = rho s + (1 - rho) g²;  w -= rate g / (sqrt(s) + epsilon). `centered` takes the square of
    /// the mean of g from s, `momentum` sums the steps up.
    case rmsprop(rho: Double, epsilon: Double, momentum: Double, centered: Bool)
    /// m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g²;  both divided by 1 - betaᵗ;
    /// w -= rate m / (sqrt(v) + epsilon) (Kingma & Ba 2015).
    case adam(beta1: Double, beta2: Double, epsilon: Double)
  }

  public var kind: Kind
  public var learningRate: Double
  public var weightDecay = 0.0
  /// The weights shrink by rate · weightDecay (AdamW, Loshchilov & Hutter 2019); if not,
  /// weightDecay · w is added to the gradient.
  public var decouplesDecay = false

  public init(_ kind: Kind, learningRate: Double) {
    self.kind = kind
    self.learningRate = learningRate
  }

  public static func sgd(
    learningRate: Double = 0.01, momentum: Double = 0, nesterov: Bool = false
  ) -> Optimizer {
    Optimizer(.sgd(momentum: momentum, nesterov: nesterov), learningRate: learningRate)
  }

  public static func rmsprop(
    learningRate: Double = 0.001, rho: Double = 0.99, epsilon: Double = 1e-8, momentum: Double = 0,
    centered: Bool = false
  ) -> Optimizer {
    Optimizer(
      .rmsprop(rho: rho, epsilon: epsilon, momentum: momentum, centered: centered),
      learningRate: learningRate)
  }

  public static func adam(
    learningRate: Double = 0.001, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8
  ) -> Optimizer {
    Optimizer(.adam(beta1: beta1, beta2: beta2, epsilon: epsilon), learningRate: learningRate)
  }

  public static func adamW(
    learningRate: Double = 0.001, weightDecay: Double = 0.004
  ) -> Optimizer {
    var optimizer = adam(learningRate: learningRate)
    optimizer.weightDecay = weightDecay
    optimizer.decouplesDecay = true
    return optimizer
  }

  /// Names of the values that are remembered for each weight.
  public var slotNames: [String] {
    switch kind {
    case .sgd(let momentum, _): momentum == 0 ? [] : ["momentum"]
    case .rmsprop(_, _, let momentum, let centered):
      ["mean_square"] + (momentum == 0 ? [] : ["momentum"]) + (centered ? ["mean_gradient"] : [])
    case .adam: ["first_moment", "second_moment"]
    }
  }

  func check() throws(EngineError) {
    func require(_ holds: Bool, _ what: String, _ value: Double) throws(EngineError) {
      guard holds else {
        throw EngineError(.invalidArgument, "optimizer: \(what), got \(value)")
      }
    }
    func share(_ name: String, _ value: Double) throws(EngineError) {
      try require(value >= 0 && value < 1, "\(name) must be at least 0 and less than 1", value)
    }
    try require(
      learningRate >= 0 && learningRate.isFinite, "learning_rate must not be negative",
      learningRate)
    try require(
      weightDecay >= 0 && weightDecay.isFinite, "weight_decay must not be negative", weightDecay)
    switch kind {
    case .sgd(let momentum, _): try share("momentum", momentum)
    case .rmsprop(let rho, let epsilon, let momentum, _):
      try share("rho", rho)
      try share("momentum", momentum)
      try require(epsilon >= 0 && epsilon.isFinite, "epsilon must not be negative", epsilon)
    case .adam(let beta1, let beta2, let epsilon):
      try share("beta_1", beta1)
      try share("beta_2", beta2)
      try require(epsilon >= 0 && epsilon.isFinite, "epsilon must not be negative", epsilon)
    }
  }
}
