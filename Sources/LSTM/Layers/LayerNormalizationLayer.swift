/// Layer normalisation over the features of each step (Ba et al. 2016), or, without the mean, root
/// mean square normalisation (Zhang & Sennrich 2019):
///
///     y = γ (x - mean) / sqrt(variance + ε) + β        y = γ x / sqrt(mean of x² + ε) + β
///
/// The latter drops the mask, as Keras's `RMSNormalization` does.
final class LayerNormalizationLayer<S: Scalar>: Layer<S> {
  let epsilon: Double
  let scales: Bool
  let centers: Bool
  let rms: Bool

  init(
    name: String, inputShape: SignalShape, epsilon: Double, scales: Bool, centers: Bool, rms: Bool
  ) throws(EngineError) {
    try LayerCheck.notNegative(epsilon, "epsilon")
    let width = try inputShape.featureCount()
    self.epsilon = epsilon
    self.scales = scales
    self.centers = centers
    self.rms = rms
    var declarations: [ParameterDeclaration] = []
    if scales { declarations.append(ParameterDeclaration("gamma", [width], .ones)) }
    if centers { declarations.append(ParameterDeclaration("beta", [width], .zeros)) }
    super.init(
      name: name, inputShapes: [inputShape], outputShape: inputShape, declarations: declarations)
  }

  override func makeRun(
    inputs: [Signal<S>], plan: ExecutionPlan<S>
  ) throws(EngineError) -> LayerRun<S> {
    try LayerNormalizationRun(self, input: Self.only(inputs), plan: plan)
  }
}

private final class LayerNormalizationRun<S: Scalar>: LayerRun<S> {
  private let input: Signal<S>
  private let epsilon: S
  private let rms: Bool
  private let gamma: UnsafePointer<S>?
  private let beta: UnsafePointer<S>?
  private let gammaGradient: UnsafeMutablePointer<S>?
  private let betaGradient: UnsafeMutablePointer<S>?
  /// Per row, kept for the backward pass: the mean and 1 / sqrt(variance + ε).
  private let means: UnsafeMutablePointer<S>
  private let inverseDeviations: UnsafeMutablePointer<S>

  init(
    _ layer: LayerNormalizationLayer<S>, input: Signal<S>, plan: ExecutionPlan<S>
  ) throws(EngineError) {
    self.input = input
    epsilon = S(layer.epsilon)
    rms = layer.rms
    gamma = layer.scales ? plan.parameter(layer, 0) : nil
    beta = layer.centers ? plan.parameter(layer, layer.scales ? 1 : 0) : nil
    gammaGradient = layer.scales ? plan.gradient(layer, 0) : nil
    betaGradient = layer.centers ? plan.gradient(layer, layer.scales ? 1 : 0) : nil
    means = try plan.arena.allocate(count: input.rows)
    inverseDeviations = try plan.arena.allocate(count: input.rows)
    super.init(
      output: try plan.signal(
        batch: input.batch, time: input.time, hasTime: input.hasTime, width: input.width,
        mask: rms ? nil : input.mask))
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func forward() {
    let width = input.width
    for row in 0..<input.rows {
      let x = input.values + row * input.stride
      let y = output.values + row * output.stride
      let mean = rms ? 0 : RowSums.sum(x, count: width) / S(width)
      let variance = RowSums.sumOfSquares(x, minus: mean, count: width) / S(width)
      let inverse = 1 / (variance + epsilon).squareRoot()
      means[row] = mean
      inverseDeviations[row] = inverse
      for j in 0..<width { y[j] = (x[j] - mean) * inverse }
      if let gamma { for j in 0..<width { y[j] *= gamma[j] } }
      if let beta { for j in 0..<width { y[j] += beta[j] } }
    }
  }

  /// With x̂ = (x - mean) / σ and g = γ δ:  δx = (g - mean of g - x̂ · mean of (g x̂)) / σ;
  /// root mean square: without the mean of g.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func backward() {
    guard let delta = output.gradient else { return }
    addParameterGradients(delta)
    guard let inputGradient = input.gradient else { return }
    let width = input.width
    for row in 0..<input.rows {
      let x = input.values + row * input.stride
      let g = delta + row * output.stride
      let dx = inputGradient + row * input.stride
      let mean = means[row]
      let inverse = inverseDeviations[row]
      if let gamma { for j in 0..<width { g[j] *= gamma[j] } }
      let meanGradient = rms ? 0 : RowSums.sum(g, count: width) / S(width)
      let projection =
        RowSums.sumOfProducts(g, x, minus: mean, count: width) * inverse * inverse / S(width)
      for j in 0..<width {
        dx[j] += (g[j] - meanGradient - (x[j] - mean) * projection) * inverse
      }
    }
  }

  @inline(__always)
  private func addParameterGradients(_ delta: UnsafeMutablePointer<S>) {
    if let betaGradient {
      WeightGradient.addColumnSums(
        steps: 0..<input.time, batch: input.batch, columns: input.width, delta: delta,
        deltaStride: output.stride, into: betaGradient)
    }
    guard let gammaGradient else { return }
    WeightGradient<S>.forEachBlock(of: 0..<input.time) { block in
      for row in block.lowerBound * input.batch..<block.upperBound * input.batch {
        let x = input.values + row * input.stride
        let g = delta + row * output.stride
        let mean = means[row]
        let inverse = inverseDeviations[row]
        for j in 0..<input.width { gammaGradient[j] += g[j] * ((x[j] - mean) * inverse) }
      }
    }
  }
}

/// Sums over the features of a row by four interleaved partial sums: in an order that depends on
/// the count alone, and quicker and more accurate than one after the other.
enum RowSums<S: Scalar> {
  @inline(__always)
  static func sum(_ x: UnsafePointer<S>, count: Int) -> S {
    interleaved(count) { x[$0] }
  }

  @inline(__always)
  static func sumOfSquares(_ x: UnsafePointer<S>, minus mean: S, count: Int) -> S {
    interleaved(count) { index in
      let difference = x[index] - mean
      return difference * difference
    }
  }

  @inline(__always)
  static func sumOfProducts(
    _ g: UnsafePointer<S>, _ x: UnsafePointer<S>, minus mean: S, count: Int
  ) -> S {
    interleaved(count) { g[$0] * (x[$0] - mean) }
  }

  @inline(__always)
  private static func interleaved(_ count: Int, _ term: (Int) -> S) -> S {
    var a: S = 0
    var b: S = 0
    var c: S = 0
    var d: S = 0
    var i = 0
    while i + 4 <= count {
      a += term(i)
      b += term(i + 1)
      c += term(i + 2)
      d += term(i + 3)
      i += 4
    }
    while i < count {
      a += term(i)
      i += 1
    }
    return (a + b) + (c + d)
  }
}
