/// How the learning rate changes: a factor on the optimiser's rate.
public struct LearningRateSchedule: Equatable, Sendable {
  public enum Kind: Equatable, Sendable {
    case constant
    /// factor^floor(n / interval).
    case step(interval: Int, factor: Double)
    /// factor^(n / interval).
    case exponential(interval: Int, factor: Double)
    /// From 1 down to `minimum` along half a cosine in `interval`, then `minimum`.
    case cosine(interval: Int, minimum: Double)
    /// Times `factor` after `patience` epochs in which what is monitored did not fall by more than
    /// `minimumDelta`; not below `minimum`, and not again in the `cooldown` epochs that follow.
    case reduceOnPlateau(
      factor: Double, patience: Int, minimumDelta: Double, cooldown: Int, minimum: Double)
  }
  public enum Unit: Equatable, Sendable { case step, epoch }

  public var kind: Kind
  /// What n and `interval` count.
  public var unit = Unit.step
  /// Steps in which the rate rises from 1 / warmup of it, in equal parts.
  public var warmup = 0

  public init(_ kind: Kind = .constant, unit: Unit = .step, warmup: Int = 0) {
    self.kind = kind
    self.unit = unit
    self.warmup = warmup
  }

  /// The factor in step number `step` of epoch number `epoch`, both counted from 0.
  func factor(step: Int, epoch: Int) -> Double {
    let n = Double(unit == .step ? step : epoch)
    let rise = step < warmup ? Double(step + 1) / Double(warmup) : 1
    switch kind {
    case .constant, .reduceOnPlateau: return rise
    case .step(let interval, let factor):
      return rise * power(factor, (n / Double(interval)).rounded(.down))
    case .exponential(let interval, let factor):
      return rise * power(factor, n / Double(interval))
    case .cosine(let interval, let minimum):
      let share = min(n / Double(interval), 1)
      return rise * (minimum + (1 - minimum) * 0.5 * (1 + cosine(Double.pi * share)))
    }
  }

  func check() throws(EngineError) {
    func require(_ holds: Bool, _ what: String) throws(EngineError) {
      guard holds else { throw EngineError(.invalidArgument, "schedule: \(what)") }
    }
    try require(warmup >= 0, "warm-up must not be negative, got \(warmup)")
    switch kind {
    case .constant: break
    case .step(let interval, let factor), .exponential(let interval, let factor):
      try require(interval >= 1, "the interval must be at least 1, got \(interval)")
      try require(factor > 0 && factor.isFinite, "the factor must be positive, got \(factor)")
    case .cosine(let interval, let minimum):
      try require(interval >= 1, "the interval must be at least 1, got \(interval)")
      try require(minimum >= 0 && minimum <= 1, "the minimum is from 0 to 1, got \(minimum)")
    case .reduceOnPlateau(let factor, let patience, let delta, let cooldown, let minimum):
      try require(factor > 0 && factor < 1, "the factor must be between 0 and 1, got \(factor)")
      try require(patience >= 0 && cooldown >= 0, "patience and cooldown must not be negative")
      try require(delta >= 0 && minimum >= 0, "the least change and rate must not be negative")
    }
  }
}

/// Follows a value that ought to fall, epoch by epoch.
struct Plateau: Equatable, Sendable {
  var best = Double.infinity
  /// Epochs since the best.
  var wait = 0
  var cooldown = 0

  /// Whether the value is better than the best by more than `delta`; counts the epoch.
  mutating func improves(_ value: Double, by delta: Double) -> Bool {
    if value < best - delta {
      best = value
      wait = 0
      return true
    }
    wait += 1
    return false
  }

  /// Whether it is time to reduce the learning rate.
  mutating func reduces(
    _ value: Double, patience: Int, delta: Double, cooldown length: Int
  ) -> Bool {
    if cooldown > 0 {
      cooldown -= 1
      wait = 0
    }
    guard !improves(value, by: delta), cooldown == 0, wait >= max(patience, 1) else {
      return false
    }
    cooldown = length
    wait = 0
    return true
  }
}
