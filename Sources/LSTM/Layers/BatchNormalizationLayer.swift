/// Batch normalisation of each feature (Ioffe & Szegedy 2015), with Keras's formulas:
///
///     y = γ (x - mean) / sqrt(variance + ε) + β
///
/// Inference, and a layer that is not trainable, use the moving statistics. Training uses those of
/// the batch over all rows and steps; masked steps do not count in them (Keras 3), but are normalised.
final class BatchNormalizationLayer<S: Scalar>: Layer<S> {
  let epsilon: Double
  let momentum: Double
  let scales: Bool
  let centers: Bool
  let isTrainable: Bool

  init(
    name: String, inputShape: SignalShape, epsilon: Double, momentum: Double, scales: Bool,
    centers: Bool, isTrainable: Bool
  ) throws(EngineError) {
    try LayerCheck.notNegative(epsilon, "epsilon")
    guard momentum >= 0, momentum <= 1 else {
      throw EngineError(.invalidArgument, "momentum must be in [0, 1], got \(momentum)")
    }
    let width = try inputShape.featureCount()
    self.epsilon = epsilon
    self.momentum = momentum
    self.scales = scales
    self.centers = centers
    self.isTrainable = isTrainable
    var declarations: [ParameterDeclaration] = []
    if scales { declarations.append(ParameterDeclaration("gamma", [width], .ones)) }
    if centers { declarations.append(ParameterDeclaration("beta", [width], .zeros)) }
    declarations.append(
      ParameterDeclaration("moving_mean", [width], .zeros, isTrainable: false))
    declarations.append(
      ParameterDeclaration("moving_variance", [width], .ones, isTrainable: false))
    super.init(
      name: name, inputShapes: [inputShape], outputShape: inputShape, declarations: declarations)
  }

  var gammaIndex: Int? { scales ? 0 : nil }
  var betaIndex: Int? { centers ? (scales ? 1 : 0) : nil }
  var movingMeanIndex: Int { (scales ? 1 : 0) + (centers ? 1 : 0) }
  var movingVarianceIndex: Int { movingMeanIndex + 1 }

  override func makeRun(
    inputs: [Signal<S>], plan: ExecutionPlan<S>
  ) throws(EngineError) -> LayerRun<S> {
    try BatchNormalizationRun(self, input: Self.only(inputs), plan: plan)
  }
}

private final class BatchNormalizationRun<S: Scalar>: LayerRun<S> {
  private let layer: BatchNormalizationLayer<S>
  private let input: Signal<S>
  private let context: RunContext
  private let gamma: UnsafePointer<S>?
  private let beta: UnsafePointer<S>?
  private let gammaGradient: UnsafeMutablePointer<S>?
  private let betaGradient: UnsafeMutablePointer<S>?
  private let movingMean: UnsafePointer<S>
  private let movingVariance: UnsafePointer<S>
  /// Per feature: what the last forward pass normalised by. Sums over many rows need the precision.
  private let mean: UnsafeMutablePointer<Double>
  private let variance: UnsafeMutablePointer<Double>
  private let inverse: UnsafeMutablePointer<Double>
  /// Scratch of the backward pass: sums over the rows of δ and of δ (x - mean).
  private let deltaSums: UnsafeMutablePointer<Double>
  private let productSums: UnsafeMutablePointer<Double>
  /// The statistics are the batch's own.
  private var usesBatch = false
  /// Rows that count, as Keras counts them: with a mask it adds its general epsilon, so that no row
  /// is no division by zero.
  private var rowWeight = 0.0
  private var weightExcess = 0.0

  init(
    _ layer: BatchNormalizationLayer<S>, input: Signal<S>, plan: ExecutionPlan<S>
  ) throws(EngineError) {
    self.layer = layer
    self.input = input
    context = plan.context
    gamma = layer.gammaIndex.map { plan.parameter(layer, $0) }
    beta = layer.betaIndex.map { plan.parameter(layer, $0) }
    gammaGradient = layer.gammaIndex.flatMap { plan.gradient(layer, $0) }
    betaGradient = layer.betaIndex.flatMap { plan.gradient(layer, $0) }
    movingMean = plan.parameter(layer, layer.movingMeanIndex)
    movingVariance = plan.parameter(layer, layer.movingVarianceIndex)
    mean = try plan.arena.allocate(count: input.width)
    variance = try plan.arena.allocate(count: input.width)
    inverse = try plan.arena.allocate(count: input.width)
    deltaSums = try plan.arena.allocate(count: input.width)
    productSums = try plan.arena.allocate(count: input.width)
    super.init(output: try plan.signal(like: input, width: input.width))
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func forward() {
    let width = input.width
    usesBatch = context.isTraining && layer.isTrainable && input.rows > 0
    if usesBatch {
      computeBatchStatistics()
    } else {
      for j in 0..<width {
        mean[j] = Double(movingMean[j])
        variance[j] = Double(movingVariance[j])
      }
    }
    for j in 0..<width { inverse[j] = 1 / (variance[j] + layer.epsilon).squareRoot() }
    for row in 0..<input.rows {
      let x = input.values + row * input.stride
      let y = output.values + row * output.stride
      for j in 0..<width { y[j] = S((Double(x[j]) - mean[j]) * inverse[j]) }
      if let gamma { for j in 0..<width { y[j] *= gamma[j] } }
      if let beta { for j in 0..<width { y[j] += beta[j] } }
    }
  }

  @inline(__always)
  private func counts(_ row: Int) -> Bool { input.mask?[row] != 0 }

  @inline(__always)
  private func computeBatchStatistics() {
    let width = input.width
    var count = 0
    for row in 0..<input.rows where counts(row) { count += 1 }
    weightExcess = input.mask == nil ? 0 : 1e-7
    rowWeight = Double(count) + weightExcess
    mean.update(repeating: 0, count: width)
    variance.update(repeating: 0, count: width)
    for row in 0..<input.rows where counts(row) {
      let x = input.values + row * input.stride
      for j in 0..<width { mean[j] += Double(x[j]) }
    }
    for j in 0..<width { mean[j] /= rowWeight }
    for row in 0..<input.rows where counts(row) {
      let x = input.values + row * input.stride
      for j in 0..<width {
        let difference = Double(x[j]) - mean[j]
        variance[j] += difference * difference
      }
    }
    for j in 0..<width { variance[j] /= rowWeight }
  }

  /// With x̂ = (x - mean) / σ and N rows:  δγ = Σ δ x̂, δβ = Σ δ, and for the moving statistics
  /// δx = γ δ / σ; for the batch's, which depend on every counting row, also
  /// - γ / (σ N) (Σ δ + x̂ Σ δ x̂) at the rows that count. (If N is not quite the number of rows, the
  /// sum of x - mean is not quite zero, and x̂ in the last term is taken from another centre.)
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func backward() {
    guard let delta = output.gradient else { return }
    sumDeltas(delta)
    let width = input.width
    if let gammaGradient {
      for j in 0..<width { gammaGradient[j] += S(productSums[j] * inverse[j]) }
    }
    if let betaGradient { for j in 0..<width { betaGradient[j] += S(deltaSums[j]) } }
    guard let inputGradient = input.gradient else { return }
    let shift = usesBatch ? 1 + weightExcess / rowWeight : 1
    for row in 0..<input.rows {
      let x = input.values + row * input.stride
      let g = delta + row * output.stride
      let dx = inputGradient + row * input.stride
      let depends = usesBatch && counts(row)
      for j in 0..<width {
        var value = Double(g[j])
        if depends {
          let offset = (Double(x[j]) - shift * mean[j]) * (inverse[j] * inverse[j])
          value -= (deltaSums[j] + offset * productSums[j]) / rowWeight
        }
        dx[j] += S(value * inverse[j]) * (gamma?[j] ?? 1)
      }
    }
  }

  @inline(__always)
  private func sumDeltas(_ delta: UnsafeMutablePointer<S>) {
    let width = input.width
    deltaSums.update(repeating: 0, count: width)
    productSums.update(repeating: 0, count: width)
    for row in 0..<input.rows {
      let x = input.values + row * input.stride
      let g = delta + row * output.stride
      for j in 0..<width {
        deltaSums[j] += Double(g[j])
        productSums[j] += Double(g[j]) * (Double(x[j]) - mean[j])
      }
    }
  }

  /// moving = momentum · moving + (1 - momentum) · batch.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func updateStatistics(_ parameters: UnsafeMutablePointer<S>) -> Bool {
    guard usesBatch else { return false }
    let means = parameters + layer.offsets[layer.movingMeanIndex]
    let variances = parameters + layer.offsets[layer.movingVarianceIndex]
    let keep = layer.momentum
    for j in 0..<input.width {
      means[j] = S(keep * Double(means[j]) + (1 - keep) * mean[j])
      variances[j] = S(keep * Double(variances[j]) + (1 - keep) * variance[j])
    }
    return true
  }
}
