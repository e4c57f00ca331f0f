/// One layer as the user sees it: a name and what it computes. Pure data, no weights.
public struct LayerDescription: Equatable, Sendable {
  /// Unique within the network; prefix of the parameter keys (`name/kernel`).
  public var name: String
  public var kind: LayerKind
  /// False: the optimiser leaves the layer's parameters alone.
  public var isTrainable = true

  public init(name: String, kind: LayerKind) {
    self.name = name
    self.kind = kind
  }
}

/// What a layer computes. Shapes are written (batch, time, features) or (batch, features).
public indirect enum LayerKind: Equatable, Sendable {
  case input(InputDescription)
  case dense(units: Int, activation: Activation, useBias: Bool)
  /// Ids (batch, time) to vectors (batch, time, dimension).
  case embedding(vocabulary: Int, dimension: Int, masksZero: Bool)
  case recurrent(RecurrentDescription)
  case bidirectional(BidirectionalDescription)
  /// The inner layer applied to every step. The inner layer has no name of its own.
  case timeDistributed(LayerKind)
  /// Masks (and zeroes) the steps of which every feature equals the value.
  case masking(value: Double)
  case activation(Activation)
  /// One learned slope per feature (or per step and feature): Keras `PReLU`.
  case prelu(sharesTime: Bool)
  case dropout(DropoutDescription)
  case batchNormalization(epsilon: Double, momentum: Double, scales: Bool, centers: Bool)
  /// Over the feature axis.
  case layerNormalization(epsilon: Double, scales: Bool, centers: Bool, rms: Bool)
  case conv1D(Conv1DDescription)
  case pooling1D(Pooling1DDescription)
  case globalPooling1D(PoolingKind, keepsTime: Bool)
  case flatten
  /// Target shape without the batch: 1 or 2 extents, one of which may be -1.
  case reshape([Int])
  case permuteTimeAndFeatures
  case repeatVector(Int)
  case zeroPadding1D(left: Int, right: Int)
  case upSampling1D(Int)
  case merge(MergeKind, masks: MergedMask = .any)
  /// State number `index` of the recurrent layer that it reads, after the last step: 0 is h, 1 is c;
  /// of a Bidirectional h_f, c_f, h_b, c_b.
  case finalState(Int)
}

public struct InputDescription: Equatable, Sendable {
  public var shape: SignalShape
  /// A batch size that the file fixes (Keras `batch_shape`, needed for `stateful`); nil: any.
  public var batch: Int?

  public init(shape: SignalShape, batch: Int? = nil) {
    self.shape = shape
    self.batch = batch
  }
}

/// Shape of what flows along an edge, without the batch.
public enum SignalShape: Equatable, Sendable {
  /// (batch, features)
  case vector(features: Int)
  /// (batch, time, features); `nil`: any number of steps.
  case sequence(time: Int?, features: Int)
  /// (batch, time) integer ids, the input of an Embedding.
  case ids(time: Int?)

  public var features: Int {
    switch self {
    case .vector(let features): features
    case .sequence(_, let features): features
    case .ids: 1
    }
  }

  public var hasTime: Bool {
    if case .vector = self { return false }
    return true
  }

  /// The fixed number of steps, nil if it is free or there is no time axis.
  public var time: Int? {
    switch self {
    case .vector: nil
    case .sequence(let time, _): time
    case .ids(let time): time
    }
  }
}

public struct BidirectionalDescription: Equatable, Sendable {
  public enum Merge: Equatable, Sendable { case concat, sum, multiply, average }

  public var forward: RecurrentDescription
  /// Has `goBackwards` set; may have other sizes than `forward` if the merge is `concat`.
  public var backward: RecurrentDescription
  public var merge: Merge

  public init(
    forward: RecurrentDescription, backward: RecurrentDescription, merge: Merge = .concat
  ) {
    self.forward = forward
    self.backward = backward
    self.merge = merge
  }
}

/// Layers that change something in training only.
public enum DropoutDescription: Equatable, Sendable {
  case elements(rate: Double)
  /// Drops whole feature channels of a sequence.
  case channels(rate: Double)
  /// Multiplies by N(1, rate / (1 - rate)).
  case gaussian(rate: Double)
  /// Adds N(0, deviation²).
  case noise(deviation: Double)
  /// Keeps mean and variance of a SELU network.
  case alpha(rate: Double)
  /// Does nothing (Keras `ActivityRegularization`, `SpatialDropout1D` with rate 0, `Identity`).
  case identity
}

public struct Conv1DDescription: Equatable, Sendable {
  public enum Padding: Equatable, Sendable { case valid, same, causal }

  public var filters: Int
  public var kernelSize: Int
  public var stride = 1
  public var dilation = 1
  public var groups = 1
  public var padding = Padding.valid
  public var activation = Activation.linear
  public var useBias = true

  public init(filters: Int, kernelSize: Int) {
    self.filters = filters
    self.kernelSize = kernelSize
  }
}

public enum PoolingKind: Equatable, Sendable { case max, average }

public struct Pooling1DDescription: Equatable, Sendable {
  public var kind: PoolingKind
  public var poolSize: Int
  public var stride: Int
  /// `same` pads with nothing: averages count the real steps only (TensorFlow).
  public var padsToSame: Bool

  public init(kind: PoolingKind, poolSize: Int, stride: Int, padsToSame: Bool = false) {
    self.kind = kind
    self.poolSize = poolSize
    self.stride = stride
    self.padsToSame = padsToSame
  }
}

/// Layers with several inputs.
public enum MergeKind: Equatable, Sendable {
  case concatenate, add, subtract, multiply, average, maximum, minimum
}

/// What the masks of a merge's inputs do.
public enum MergedMask: Equatable, Sendable {
  /// Keras 3: a step of the output is valid if it is in any input; there is no mask if an input has
  /// none. A masked step takes no part in `multiply`, `maximum` and `minimum`.
  case any
  /// Keras 1, 2 and tf.keras: a step is valid if it is in every input that has a mask. Values
  /// do not depend on masks.
  case all
}
