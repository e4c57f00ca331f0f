import KernelInterface

/// y = φ(x W + b), at every step of a sequence.
final class DenseLayer<S: Scalar>: Layer<S> {
  let activation: Activation
  let useBias: Bool
  var inputWidth: Int { inputShapes[0].features }
  var units: Int { outputShape.features }

  init(
    name: String, inputShape: SignalShape, units: Int, activation: Activation, useBias: Bool
  ) throws(EngineError) {
    try LayerCheck.positive(units, "units")
    let width = try inputShape.featureCount()
    self.activation = activation
    self.useBias = useBias
    var declarations = [
      ParameterDeclaration("kernel", [width, units], .glorotUniform(fanIn: width, fanOut: units))
    ]
    if useBias { declarations.append(ParameterDeclaration("bias", [units], .zeros)) }
    super.init(
      name: name, inputShapes: [inputShape], outputShape: inputShape.withFeatures(units),
      declarations: declarations)
  }

  override func makeWeights(forTraining: Bool) throws(EngineError) -> LayerWeights<S>? {
    try MatrixWeights(
      [.init(offset: offsets[0], stride: units)], rows: inputWidth, columns: units,
      forTraining: forTraining)
  }

  override func reducedParameters(_ format: WeightFormat) -> [Int] { [0] }

  override func makeReducedWeights(
    _ format: WeightFormat, _ arrays: [ReducedArray]
  ) throws(EngineError) -> LayerWeights<S>? {
    try MatrixWeights(
      [.init(offset: offsets[0], stride: units)], rows: inputWidth, columns: units,
      forTraining: false, format: format)
  }

  override func makeRun(
    inputs: [Signal<S>], plan: ExecutionPlan<S>
  ) throws(EngineError) -> LayerRun<S> {
    try DenseRun(self, input: Self.only(inputs), plan: plan)
  }
}

private final class DenseRun<S: Scalar>: LayerRun<S> {
  private let layer: DenseLayer<S>
  private let input: Signal<S>
  private let context: RunContext
  private let kernel: PackedMatrix<S>
  private let transposedKernel: PackedMatrix<S>?
  private let bias: UnsafePointer<S>?
  private let kernelGradient: UnsafeMutablePointer<S>?
  private let biasGradient: UnsafeMutablePointer<S>?
  private let activation: ActivationPass<S>

  init(_ layer: DenseLayer<S>, input: Signal<S>, plan: ExecutionPlan<S>) throws(EngineError) {
    self.layer = layer
    self.input = input
    context = plan.context
    let weights = try plan.weights.packed(MatrixWeights<S>.self, of: layer)
    kernel = weights.forward[0]
    transposedKernel = weights.backward.first
    bias = layer.useBias ? plan.parameter(layer, 1) : nil
    kernelGradient = plan.gradient(layer, 0)
    biasGradient = layer.useBias ? plan.gradient(layer, 1) : nil
    let output = try plan.signal(like: input, width: layer.units)
    activation = try ActivationPass(layer.activation, on: output, plan: plan)
    super.init(output: output)
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func forward() {
    S.product(
      rows: input.rows, a: input.values, aStride: input.stride, b: kernel, c: output.values,
      cStride: output.stride, initial: bias.map { .bias($0) } ?? .zero, threads: context.threads)
    activation.forward()
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func backward() {
    guard let delta = output.gradient, let kernelGradient, let transposedKernel else { return }
    activation.backward()
    WeightGradient.addProduct(
      steps: 0..<input.time, batch: input.batch, depth: layer.inputWidth, columns: layer.units,
      x: input.values, xStride: input.stride, delta: delta, deltaStride: output.stride,
      into: kernelGradient, stride: layer.units, threads: context.threads)
    if let biasGradient {
      WeightGradient.addColumnSums(
        steps: 0..<input.time, batch: input.batch, columns: layer.units, delta: delta,
        deltaStride: output.stride, into: biasGradient)
    }
    guard let inputGradient = input.gradient else { return }
    S.product(
      rows: input.rows, a: delta, aStride: output.stride, b: transposedKernel, c: inputGradient,
      cStride: input.stride, initial: .accumulate, threads: context.threads)
  }
}
