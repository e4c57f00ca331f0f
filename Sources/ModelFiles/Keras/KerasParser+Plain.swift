import LSTM

extension KerasParser {
  /// Layers that are neither recurrent nor wrappers, and the arrays they own.
  func plainLayer(
    _ config: KerasConfig
  ) throws(EngineError) -> (LayerKind, [KerasWeightUnit.Role]) {
    typealias Role = KerasWeightUnit.Role
    if let activation = try KerasConfig.activationLayer(config) {
      return (.activation(activation), [])
    }
    switch config.className {
    case "Dense", "TimeDistributedDense":
      return try dense(config)
    case "Embedding":
      let vocabulary = try config.integer("input_dim")
      let dimension = try config.integer("output_dim")
      let masksZero = try config.flag("mask_zero", default: false)
      if let rate = config.value("dropout")?.doubleValue, rate != 0 {
        throw config.refuse("dropout of whole embeddings is not supported")
      }
      return (
        .embedding(vocabulary: vocabulary, dimension: dimension, masksZero: masksZero),
        [Role(name: "embeddings", shape: [vocabulary, dimension])]
      )
    case "Masking":
      return (.masking(value: try config.number("mask_value", default: 0)), [])
    case "PReLU":
      return try prelu(config)
    case "BatchNormalization":
      return try batchNormalization(config)
    case "LayerNormalization":
      return try layerNormalization(config)
    case "RMSNormalization":
      return (
        .layerNormalization(
          epsilon: try config.number("epsilon", default: 1e-6), scales: true, centers: false,
          rms: true),
        [Role(name: "gamma", shape: [nil])]
      )
    case "Conv1D", "Convolution1D":
      return try convolution(config)
    default:
      if let kind = try shapeLayer(config) { return (kind, []) }
      if let kind = try trainingLayer(config) { return (kind, []) }
      if let kind = try mergeLayer(config) { return (kind, []) }
      throw config.refuse("layers of class '\(config.className)' are not supported")
    }
  }

  private func dense(
    _ config: KerasConfig
  ) throws(EngineError) -> (LayerKind, [KerasWeightUnit.Role]) {
    let units = try config.integer("units", "output_dim")
    let useBias = try config.flag("use_bias", "bias", default: true)
    let activation = try config.activation("activation", default: "linear")
    var roles = [KerasWeightUnit.Role(name: "kernel", shape: [nil, units])]
    if useBias { roles.append(KerasWeightUnit.Role(name: "bias", shape: [units])) }
    return (.dense(units: units, activation: activation, useBias: useBias), roles)
  }

  private func prelu(
    _ config: KerasConfig
  ) throws(EngineError) -> (LayerKind, [KerasWeightUnit.Role]) {
    let shared = config.value("shared_axes")?.arrayValue ?? []
    guard shared.isEmpty || shared == [.integer(1)] else {
      throw config.refuse("'shared_axes' other than [1] is not supported")
    }
    let shape: [Int?] = shared.isEmpty ? [] : [1, nil]
    return (
      .prelu(sharesTime: !shared.isEmpty), [KerasWeightUnit.Role(name: "alpha", shape: shape)]
    )
  }

  private func batchNormalization(
    _ config: KerasConfig
  ) throws(EngineError) -> (LayerKind, [KerasWeightUnit.Role]) {
    try config.refuseFlag("renorm", "batch renormalisation is not supported")
    _ = config.value("renorm_clipping", "renorm_momentum")
    _ = config.value("virtual_batch_size", "adjustment")
    if let mode = config.value("mode")?.intValue, mode != 0 {
      throw config.refuse("mode \(mode) is not supported")
    }
    let scales = try config.flag("scale", default: true)
    let centers = try config.flag("center", default: true)
    var roles: [KerasWeightUnit.Role] = []
    if scales { roles.append(.init(name: "gamma", shape: [nil])) }
    if centers { roles.append(.init(name: "beta", shape: [nil])) }
    roles.append(.init(name: "moving_mean", isTrainable: false, shape: [nil]))
    roles.append(.init(name: "moving_variance", isTrainable: false, shape: [nil]))
    let kind = LayerKind.batchNormalization(
      epsilon: try config.number("epsilon", default: 1e-3),
      momentum: try config.number("momentum", default: 0.99), scales: scales, centers: centers)
    return (kind, roles)
  }

  private func layerNormalization(
    _ config: KerasConfig
  ) throws(EngineError) -> (LayerKind, [KerasWeightUnit.Role]) {
    // Keras 3's form of it divides by the deviation from the mean, but does not subtract the mean.
    try config.refuseFlag("rms_scaling", "use RMSNormalization")
    let scales = try config.flag("scale", default: true)
    let centers = try config.flag("center", default: true)
    var roles: [KerasWeightUnit.Role] = []
    if scales { roles.append(.init(name: "gamma", shape: [nil])) }
    if centers { roles.append(.init(name: "beta", shape: [nil])) }
    let kind = LayerKind.layerNormalization(
      epsilon: try config.number("epsilon", default: 1e-3), scales: scales,
      centers: centers, rms: false)
    return (kind, roles)
  }

  private func convolution(
    _ config: KerasConfig
  ) throws(EngineError) -> (LayerKind, [KerasWeightUnit.Role]) {
    var description = Conv1DDescription(
      filters: try config.integer("filters", "nb_filter"),
      kernelSize: try config.single("kernel_size", "filter_length"))
    description.stride = try config.single("strides", "subsample_length", default: 1)
    description.dilation = try config.single("dilation_rate", default: 1)
    description.groups = try config.integer("groups", default: 1)
    description.activation = try config.activation("activation", default: "linear")
    description.useBias = try config.flag("use_bias", "bias", default: true)
    description.padding = try padding(config, allowsCausal: true)
    try config.require("data_format", in: ["channels_last"])
    guard description.filters % description.groups == 0 else {
      throw config.malformed(
        "\(description.filters) filters cannot be split into \(description.groups) groups")
    }
    var roles = [
      KerasWeightUnit.Role(
        name: "kernel", shape: [description.kernelSize, nil, description.filters])
    ]
    if description.useBias {
      roles.append(KerasWeightUnit.Role(name: "bias", shape: [description.filters]))
    }
    return (.conv1D(description), roles)
  }

  private func padding(
    _ config: KerasConfig, allowsCausal: Bool
  ) throws(EngineError) -> Conv1DDescription.Padding {
    switch try config.text("padding", "border_mode", default: "valid") {
    case "valid": .valid
    case "same": .same
    case "causal" where allowsCausal: .causal
    case let other: throw config.refuse("padding '\(other)' is not supported")
    }
  }

  /// Layers that move numbers about, and pooling.
  private func shapeLayer(_ config: KerasConfig) throws(EngineError) -> LayerKind? {
    switch config.className {
    case "Flatten":
      try config.require("data_format", in: ["channels_last"])
      return .flatten
    case "Reshape":
      guard let list = config.value("target_shape")?.arrayValue else {
        throw config.malformed("'target_shape' is missing")
      }
      var extents: [Int] = []
      for value in list {
        guard let extent = value.intValue, extent == -1 || (extent >= 1 && extent < 1 << 31) else {
          throw config.malformed("'target_shape' has the extent \(value.kindName)")
        }
        extents.append(extent)
      }
      guard extents.count == 1 || extents.count == 2 else {
        throw config.refuse("it reshapes to \(extents.count) extents; 1 or 2 are supported")
      }
      return .reshape(extents)
    case "Permute":
      guard let list = config.value("dims")?.arrayValue else {
        throw config.malformed("'dims' is missing")
      }
      switch list.map(\.intValue) {
      case [2, 1]: return .permuteTimeAndFeatures
      case [1], [1, 2]: return .dropout(.identity)
      default: throw config.refuse("this permutation is not supported")
      }
    case "RepeatVector":
      return .repeatVector(try config.integer("n"))
    case "ZeroPadding1D":
      let value = config.value("padding") ?? .integer(1)
      let sides = value.arrayValue?.map(\.intValue) ?? [value.intValue, value.intValue]
      guard sides.count == 2, let left = sides[0], let right = sides[1],
        (0..<1 << 31).contains(left), (0..<1 << 31).contains(right)
      else { throw config.malformed("'padding' is \(value.kindName)") }
      try config.require("data_format", in: ["channels_last"])
      return .zeroPadding1D(left: left, right: right)
    case "UpSampling1D":
      return .upSampling1D(try config.single("size", "length", default: 2))
    case "MaxPooling1D", "MaxPool1D", "AveragePooling1D", "AvgPool1D":
      let poolSize = try config.single("pool_size", "pool_length", default: 2)
      let stride = try config.single("strides", "stride", default: poolSize)
      try config.require("data_format", in: ["channels_last"])
      let isSame = try padding(config, allowsCausal: false) == .same
      return .pooling1D(
        Pooling1DDescription(
          kind: config.className.hasPrefix("Max") ? .max : .average, poolSize: poolSize,
          stride: stride, padsToSame: isSame))
    case "GlobalMaxPooling1D", "GlobalMaxPool1D", "GlobalAveragePooling1D", "GlobalAvgPool1D":
      try config.require("data_format", in: ["channels_last"])
      return .globalPooling1D(
        config.className.hasPrefix("GlobalMax") ? .max : .average,
        keepsTime: try config.flag("keepdims", default: false))
    default:
      return nil
    }
  }

  /// Layers that do something in training only.
  private func trainingLayer(_ config: KerasConfig) throws(EngineError) -> LayerKind? {
    switch config.className {
    case "Dropout":
      // A noise shape only says which elements are dropped together.
      _ = config.value("noise_shape")
      return .dropout(.elements(rate: try config.rate("rate", "p")))
    case "SpatialDropout1D":
      _ = config.value("noise_shape")
      return .dropout(.channels(rate: try config.rate("rate", "p")))
    case "GaussianDropout":
      return .dropout(.gaussian(rate: try config.rate("rate", "p")))
    case "GaussianNoise":
      return .dropout(.noise(deviation: try config.number("stddev", "sigma", default: 0)))
    case "AlphaDropout":
      _ = config.value("noise_shape")
      return .dropout(.alpha(rate: try config.rate("rate", "p")))
    case "ActivityRegularization":
      _ = config.value("l1", "l2")
      return .dropout(.identity)
    case "Identity":
      return .dropout(.identity)
    default:
      return nil
    }
  }

  private func mergeLayer(_ config: KerasConfig) throws(EngineError) -> LayerKind? {
    let kind: MergeKind? =
      switch config.className {
      case "Concatenate": .concatenate
      case "Add": .add
      case "Subtract": .subtract
      case "Multiply": .multiply
      case "Average": .average
      case "Maximum": .maximum
      case "Minimum": .minimum
      default: nil
      }
    return kind.map { .merge($0, masks: config.version.mergesAnyMask ? .any : .all) }
  }
}
