import LSTM

extension LayerKind {
  /// What Keras calls the layer.
  var className: StaticString {
    switch self {
    case .input: "InputLayer"
    case .dense: "Dense"
    case .embedding: "Embedding"
    case .recurrent(let layer): layer.cell.className
    case .bidirectional: "Bidirectional"
    case .timeDistributed: "TimeDistributed"
    case .masking: "Masking"
    case .activation: "Activation"
    case .prelu: "PReLU"
    case .dropout(let dropout): dropout.className
    case .batchNormalization: "BatchNormalization"
    case .layerNormalization: "LayerNormalization"
    case .conv1D: "Conv1D"
    case .pooling1D(let pooling):
      pooling.kind == .max ? "MaxPooling1D" : "AveragePooling1D"
    case .globalPooling1D(let kind, _):
      kind == .max ? "GlobalMaxPooling1D" : "GlobalAveragePooling1D"
    case .flatten: "Flatten"
    case .reshape: "Reshape"
    case .permuteTimeAndFeatures: "Permute"
    case .repeatVector: "RepeatVector"
    case .zeroPadding1D: "ZeroPadding1D"
    case .upSampling1D: "UpSampling1D"
    case .merge(let kind, _): kind.className
    case .finalState: "FinalState"
    }
  }
}

extension CellDescription {
  var className: StaticString {
    switch self {
    case .simple: "SimpleRNN"
    case .lstm: "LSTM"
    case .gru: "GRU"
    }
  }
}

extension DropoutDescription {
  fileprivate var className: StaticString {
    switch self {
    case .elements: "Dropout"
    case .channels: "SpatialDropout1D"
    case .gaussian: "GaussianDropout"
    case .noise: "GaussianNoise"
    case .alpha: "AlphaDropout"
    case .identity: "Identity"
    }
  }
}

extension MergeKind {
  fileprivate var className: StaticString {
    switch self {
    case .concatenate: "Concatenate"
    case .add: "Add"
    case .subtract: "Subtract"
    case .multiply: "Multiply"
    case .average: "Average"
    case .maximum: "Maximum"
    case .minimum: "Minimum"
    }
  }
}
