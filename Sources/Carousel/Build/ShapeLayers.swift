import CCarousel
import LSTM

@_cdecl("carousel_builder_add_conv1d") @implementation
public func carousel_builder_add_conv1d(
  _ builder: OpaquePointer?, _ name: UnsafePointer<CChar>?,
  _ options: UnsafePointer<carousel_conv1d_options>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let builder = try Builder.of(builder)
    let options = try Versioned.require(options, "options")
    func orOne(_ value: Int64, _ name: StaticString) throws(EngineError) -> Int {
      value == 0 ? 1 : try Argument.size(value, name)
    }
    var layer = Conv1DDescription(
      filters: try Argument.size(options.filters, "options->filters"),
      kernelSize: try Argument.size(options.kernel_size, "options->kernel_size"))
    layer.stride = try orOne(options.stride, "options->stride")
    layer.dilation = try orOne(options.dilation, "options->dilation")
    layer.groups = try orOne(options.groups, "options->groups")
    layer.activation = try options.activation.engine("options->activation", default: .linear)
    layer.useBias = options.no_bias == 0
    switch options.padding {
    case CAROUSEL_CONVOLUTION_VALID: layer.padding = .valid
    case CAROUSEL_CONVOLUTION_SAME: layer.padding = .same
    case CAROUSEL_CONVOLUTION_CAUSAL: layer.padding = .causal
    default: throw Argument.unknown(options.padding.rawValue, "options->padding")
    }
    try builder.add(name, .conv1D(layer))
  }
}

@_cdecl("carousel_builder_add_pooling1d") @implementation
public func carousel_builder_add_pooling1d(
  _ builder: OpaquePointer?, _ name: UnsafePointer<CChar>?,
  _ options: UnsafePointer<carousel_pooling1d_options>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let builder = try Builder.of(builder)
    let options = try Versioned.require(options, "options")
    let kind = try PoolingKind.given(options.kind, "options->kind")
    let size = try Argument.size(options.pool_size, "options->pool_size")
    let stride =
      options.stride == 0 ? size : try Argument.size(options.stride, "options->stride")
    try builder.add(
      name,
      .pooling1D(
        .init(kind: kind, poolSize: size, stride: stride, padsToSame: options.pad_to_same != 0)))
  }
}

@_cdecl("carousel_builder_add_global_pooling1d") @implementation
public func carousel_builder_add_global_pooling1d(
  _ builder: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ kind: carousel_pooling_kind,
  _ keepTime: Int32
) -> carousel_status {
  entry { () throws(EngineError) in
    try Builder.of(builder).add(
      name, .globalPooling1D(PoolingKind.given(kind, "kind"), keepsTime: keepTime != 0))
  }
}

extension PoolingKind {
  fileprivate static func given(
    _ kind: carousel_pooling_kind, _ name: StaticString
  ) throws(EngineError) -> PoolingKind {
    switch kind {
    case CAROUSEL_POOLING_MAX: .max
    case CAROUSEL_POOLING_AVERAGE: .average
    default: throw Argument.unknown(kind.rawValue, name)
    }
  }
}

@_cdecl("carousel_builder_add_flatten") @implementation
public func carousel_builder_add_flatten(
  _ builder: OpaquePointer?, _ name: UnsafePointer<CChar>?
) -> carousel_status {
  entry { () throws(EngineError) in try Builder.of(builder).add(name, .flatten) }
}

@_cdecl("carousel_builder_add_reshape") @implementation
public func carousel_builder_add_reshape(
  _ builder: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ shape: UnsafePointer<Int64>?,
  _ rank: Int
) -> carousel_status {
  entry { () throws(EngineError) in
    let builder = try Builder.of(builder)
    let shape = try Argument.required(shape, "shape")
    guard rank == 1 || rank == 2 else {
      throw EngineError(
        .invalidArgument, "rank is \(UInt(bitPattern: rank)), expected 1 or 2 (without the batch)")
    }
    var extents: [Int] = []
    for index in 0..<rank {
      extents.append(shape[index] == -1 ? -1 : try Argument.size(shape[index], "shape"))
    }
    guard extents.count(where: { $0 == -1 }) <= 1 else {
      throw EngineError(.invalidArgument, "shape has two extents of -1, expected one at most")
    }
    try builder.add(name, .reshape(extents))
  }
}

@_cdecl("carousel_builder_add_permute") @implementation
public func carousel_builder_add_permute(
  _ builder: OpaquePointer?, _ name: UnsafePointer<CChar>?
) -> carousel_status {
  entry { () throws(EngineError) in
    try Builder.of(builder).add(name, .permuteTimeAndFeatures)
  }
}

@_cdecl("carousel_builder_add_repeat_vector") @implementation
public func carousel_builder_add_repeat_vector(
  _ builder: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ count: Int64
) -> carousel_status {
  entry { () throws(EngineError) in
    try Builder.of(builder).add(name, .repeatVector(Argument.size(count, "count")))
  }
}

@_cdecl("carousel_builder_add_zero_padding1d") @implementation
public func carousel_builder_add_zero_padding1d(
  _ builder: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ left: Int64, _ right: Int64
) -> carousel_status {
  entry { () throws(EngineError) in
    try Builder.of(builder).add(
      name,
      .zeroPadding1D(
        left: Argument.size(left, "left", from: 0), right: Argument.size(right, "right", from: 0)))
  }
}

@_cdecl("carousel_builder_add_up_sampling1d") @implementation
public func carousel_builder_add_up_sampling1d(
  _ builder: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ count: Int64
) -> carousel_status {
  entry { () throws(EngineError) in
    try Builder.of(builder).add(name, .upSampling1D(Argument.size(count, "count")))
  }
}

@_cdecl("carousel_builder_add_merge") @implementation
public func carousel_builder_add_merge(
  _ builder: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ kind: carousel_merge_kind
) -> carousel_status {
  entry { () throws(EngineError) in
    let builder = try Builder.of(builder)
    let merge: MergeKind
    switch kind {
    case CAROUSEL_MERGE_CONCATENATE: merge = .concatenate
    case CAROUSEL_MERGE_ADD: merge = .add
    case CAROUSEL_MERGE_SUBTRACT: merge = .subtract
    case CAROUSEL_MERGE_MULTIPLY: merge = .multiply
    case CAROUSEL_MERGE_AVERAGE: merge = .average
    case CAROUSEL_MERGE_MAXIMUM: merge = .maximum
    case CAROUSEL_MERGE_MINIMUM: merge = .minimum
    default: throw Argument.unknown(kind.rawValue, "kind")
    }
    try builder.add(name, .merge(merge))
  }
}
