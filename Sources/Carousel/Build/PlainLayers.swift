import CCarousel
import LSTM

@_cdecl("carousel_builder_add_input") @implementation
public func carousel_builder_add_input(
  _ builder: OpaquePointer?, _ name: UnsafePointer<CChar>?,
  _ options: UnsafePointer<carousel_input_options>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let builder = try Builder.of(builder)
    let options = try Versioned.require(options, "options")
    let time: Int? =
      options.time == -1 ? nil : try Argument.size(options.time, "options->time", from: 0)
    let shape: SignalShape
    if options.is_ids != 0 {
      guard options.features == 0 else {
        throw EngineError(
          .invalidArgument, "options->features is \(options.features), expected 0 for ids")
      }
      guard time != 0 else {
        throw EngineError(.invalidArgument, "options->time is 0, expected steps, or -1, for ids")
      }
      shape = .ids(time: time)
    } else {
      let features = try Argument.size(options.features, "options->features")
      shape = time == 0 ? .vector(features: features) : .sequence(time: time, features: features)
    }
    let batch: Int? =
      options.batch == 0 ? nil : try Argument.size(options.batch, "options->batch")
    try builder.add(name, .input(InputDescription(shape: shape, batch: batch)))
  }
}

@_cdecl("carousel_builder_add_dense") @implementation
public func carousel_builder_add_dense(
  _ builder: OpaquePointer?, _ name: UnsafePointer<CChar>?,
  _ options: UnsafePointer<carousel_dense_options>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let builder = try Builder.of(builder)
    let options = try Versioned.require(options, "options")
    try builder.add(
      name,
      .dense(
        units: Argument.size(options.units, "options->units"),
        activation: options.activation.engine("options->activation", default: .linear),
        useBias: options.no_bias == 0))
  }
}

@_cdecl("carousel_builder_add_embedding") @implementation
public func carousel_builder_add_embedding(
  _ builder: OpaquePointer?, _ name: UnsafePointer<CChar>?,
  _ options: UnsafePointer<carousel_embedding_options>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let builder = try Builder.of(builder)
    let options = try Versioned.require(options, "options")
    try builder.add(
      name,
      .embedding(
        vocabulary: Argument.size(options.vocabulary, "options->vocabulary"),
        dimension: Argument.size(options.dimension, "options->dimension"),
        masksZero: options.mask_zero != 0))
  }
}

@_cdecl("carousel_builder_add_activation") @implementation
public func carousel_builder_add_activation(
  _ builder: OpaquePointer?, _ name: UnsafePointer<CChar>?,
  _ activation: UnsafePointer<carousel_activation>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let builder = try Builder.of(builder)
    let activation = try Argument.required(activation, "activation").pointee
    try builder.add(name, .activation(activation.engine("activation", default: .linear)))
  }
}

@_cdecl("carousel_builder_add_prelu") @implementation
public func carousel_builder_add_prelu(
  _ builder: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ shareTime: Int32
) -> carousel_status {
  entry { () throws(EngineError) in
    try Builder.of(builder).add(name, .prelu(sharesTime: shareTime != 0))
  }
}

@_cdecl("carousel_builder_add_masking") @implementation
public func carousel_builder_add_masking(
  _ builder: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ value: Double
) -> carousel_status {
  entry { () throws(EngineError) in
    let builder = try Builder.of(builder)
    guard !value.isNaN else {
      throw EngineError(.invalidArgument, "value is NaN, which equals no feature")
    }
    try builder.add(name, .masking(value: value))
  }
}

@_cdecl("carousel_builder_add_dropout") @implementation
public func carousel_builder_add_dropout(
  _ builder: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ kind: carousel_dropout_kind,
  _ rate: Double
) -> carousel_status {
  entry { () throws(EngineError) in
    let builder = try Builder.of(builder)
    func probability() throws(EngineError) -> Double {
      try Argument.number(rate, "rate", in: 0...1)
    }
    let dropout: DropoutDescription
    switch kind {
    case CAROUSEL_DROPOUT: dropout = .elements(rate: try probability())
    case CAROUSEL_DROPOUT_SPATIAL: dropout = .channels(rate: try probability())
    case CAROUSEL_DROPOUT_GAUSSIAN: dropout = .gaussian(rate: try probability())
    case CAROUSEL_DROPOUT_NOISE:
      dropout = .noise(
        deviation: try Argument.number(rate, "rate", in: 0...Double.greatestFiniteMagnitude))
    case CAROUSEL_DROPOUT_ALPHA: dropout = .alpha(rate: try probability())
    default: throw Argument.unknown(kind.rawValue, "kind")
    }
    try builder.add(name, .dropout(dropout))
  }
}

@_cdecl("carousel_builder_add_batch_normalization") @implementation
public func carousel_builder_add_batch_normalization(
  _ builder: OpaquePointer?, _ name: UnsafePointer<CChar>?,
  _ options: UnsafePointer<carousel_normalization_options>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let builder = try Builder.of(builder)
    let options = try Versioned.read(options, "options")
    guard options.rms == 0 else {
      throw EngineError(.invalidArgument, "options->rms is for layer normalisation only")
    }
    let momentum = try Argument.number(options.momentum, "options->momentum", in: 0...1)
    try builder.add(
      name,
      .batchNormalization(
        epsilon: positive(options.epsilon, "options->epsilon") ?? 1e-3,
        momentum: momentum == 0 ? 0.99 : momentum, scales: options.no_scale == 0,
        centers: options.no_center == 0))
  }
}

@_cdecl("carousel_builder_add_layer_normalization") @implementation
public func carousel_builder_add_layer_normalization(
  _ builder: OpaquePointer?, _ name: UnsafePointer<CChar>?,
  _ options: UnsafePointer<carousel_normalization_options>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let builder = try Builder.of(builder)
    let options = try Versioned.read(options, "options")
    guard options.momentum == 0 else {
      throw EngineError(.invalidArgument, "options->momentum is for batch normalisation only")
    }
    try builder.add(
      name,
      .layerNormalization(
        epsilon: positive(options.epsilon, "options->epsilon") ?? 1e-3,
        scales: options.no_scale == 0, centers: options.no_center == 0, rms: options.rms != 0))
  }
}
