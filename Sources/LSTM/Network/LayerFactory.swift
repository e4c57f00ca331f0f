/// Makes the layer that computes what a description says.
enum LayerFactory<S: Scalar> {
  static func make(
    _ description: LayerDescription, inputShapes: [SignalShape]
  ) throws(EngineError) -> Layer<S> {
    if case .merge(let kind, let masks) = description.kind {
      return try MergeLayer(
        kind, masks: masks, name: description.name, inputShapes: inputShapes)
    }
    switch description.kind {
    case .recurrent(let recurrent):
      return try RecurrentLayer(
        name: description.name, inputShapes: inputShapes, description: recurrent)
    case .bidirectional(let bidirectional):
      return try BidirectionalLayer(
        name: description.name, inputShapes: inputShapes, description: bidirectional)
    default: break
    }
    guard inputShapes.count == 1, let shape = inputShapes.first else {
      throw EngineError(.shape, "takes one input, got \(inputShapes.count)")
    }
    return try make(
      description.kind, name: description.name, inputShape: shape,
      isTrainable: description.isTrainable)
  }

  /// A layer with one input.
  private static func make(
    _ kind: LayerKind, name: String, inputShape shape: SignalShape, isTrainable: Bool
  ) throws(EngineError) -> Layer<S> {
    switch kind {
    case .input:
      throw EngineError(.invalidArgument, "an input layer cannot have an input")
    case .dense(let units, let activation, let useBias):
      return try DenseLayer(
        name: name, inputShape: shape, units: units, activation: activation, useBias: useBias)
    case .embedding(let vocabulary, let dimension, let masksZero):
      return try EmbeddingLayer(
        name: name, inputShape: shape, vocabulary: vocabulary, dimension: dimension,
        masksZero: masksZero)
    case .timeDistributed(let inner):
      return try timeDistributed(inner, name: name, inputShape: shape, isTrainable: isTrainable)
    case .masking(let value):
      return try MaskingLayer(name: name, inputShape: shape, value: value)
    case .activation(let activation):
      return try ActivationLayer(name: name, inputShape: shape, activation: activation)
    case .prelu(let sharesTime):
      return try PReLULayer(name: name, inputShape: shape, sharesTime: sharesTime)
    case .dropout(let kind):
      return DropoutLayer<S>.isIdentity(kind)
        ? try IdentityLayer(name: name, inputShape: shape)
        : try DropoutLayer(name: name, inputShape: shape, kind: kind)
    case .batchNormalization(let epsilon, let momentum, let scales, let centers):
      return try BatchNormalizationLayer(
        name: name, inputShape: shape, epsilon: epsilon, momentum: momentum, scales: scales,
        centers: centers, isTrainable: isTrainable)
    case .layerNormalization(let epsilon, let scales, let centers, let rms):
      return try LayerNormalizationLayer(
        name: name, inputShape: shape, epsilon: epsilon, scales: scales, centers: centers,
        rms: rms)
    case .conv1D(let convolution):
      return try Convolution1DLayer(name: name, inputShape: shape, convolution: convolution)
    case .pooling1D(let pooling):
      return try Pooling1DLayer(name: name, inputShape: shape, pooling: pooling)
    case .globalPooling1D(let kind, let keepsTime):
      return try GlobalPooling1DLayer(
        name: name, inputShape: shape, kind: kind, keepsTime: keepsTime)
    case .flatten:
      return try ReshapeLayer(name: name, inputShape: shape, target: [-1])
    case .reshape(let target):
      return try ReshapeLayer(name: name, inputShape: shape, target: target)
    case .permuteTimeAndFeatures:
      return try PermuteLayer(name: name, inputShape: shape)
    case .repeatVector(let count):
      return try StepCopyLayer(name: name, inputShape: shape, pattern: .repeated(count: count))
    case .zeroPadding1D(let left, let right):
      return try StepCopyLayer(
        name: name, inputShape: shape, pattern: .padded(left: left, right: right))
    case .upSampling1D(let times):
      return try StepCopyLayer(name: name, inputShape: shape, pattern: .upSampled(times: times))
    case .merge, .recurrent, .bidirectional, .finalState:
      throw EngineError(.invalidArgument, "\(kind) cannot be the inner layer of another")
    }
  }

  /// Layers that treat each step alone are the same with and without the wrapper.
  private static func timeDistributed(
    _ inner: LayerKind, name: String, inputShape shape: SignalShape, isTrainable: Bool
  ) throws(EngineError) -> Layer<S> {
    let features = try shape.sequenceFeatures()
    switch inner {
    case .dense, .activation, .batchNormalization, .layerNormalization,
      .dropout(.elements), .dropout(.gaussian), .dropout(.noise), .dropout(.alpha),
      .dropout(.identity):
      return try make(inner, name: name, inputShape: shape, isTrainable: isTrainable)
    case .prelu:
      return try PReLULayer(name: name, inputShape: shape, sharesTime: true)
    case .flatten, .reshape([features]), .reshape([-1]):
      return try IdentityLayer(name: name, inputShape: shape)
    default:
      throw EngineError(.unsupported, "TimeDistributed over \(inner) is not supported")
    }
  }
}
