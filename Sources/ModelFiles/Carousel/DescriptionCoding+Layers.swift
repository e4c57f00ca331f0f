import LSTM

extension LayerKind {
  /// `{"class": …, options}`.
  var json: JSONValue {
    switch self {
    case .input(let input):
      ["class": "input", "shape": input.shape.json, "batch": .optional(input.batch)]
    case .dense(let units, let activation, let useBias):
      [
        "class": "dense", "units": .integer(units), "activation": activation.json,
        "use_bias": .bool(useBias),
      ]
    case .embedding(let vocabulary, let dimension, let masksZero):
      [
        "class": "embedding", "vocabulary": .integer(vocabulary),
        "dimension": .integer(dimension), "mask_zero": .bool(masksZero),
      ]
    case .recurrent(let description): ["class": "recurrent", "recurrent": description.json]
    case .bidirectional(let description):
      [
        "class": "bidirectional", "forward": description.forward.json,
        "backward": description.backward.json, "merge": .string(description.merge.name),
      ]
    case .timeDistributed(let inner): ["class": "time_distributed", "layer": inner.json]
    case .masking(let value): ["class": "masking", "value": .number(value)]
    case .activation(let activation): ["class": "activation", "activation": activation.json]
    case .prelu(let sharesTime): ["class": "prelu", "shares_time": .bool(sharesTime)]
    case .dropout(let description): description.json
    case .batchNormalization(let epsilon, let momentum, let scales, let centers):
      [
        "class": "batch_normalization", "epsilon": .number(epsilon),
        "momentum": .number(momentum), "scale": .bool(scales), "center": .bool(centers),
      ]
    case .layerNormalization(let epsilon, let scales, let centers, let rms):
      [
        "class": "layer_normalization", "epsilon": .number(epsilon), "scale": .bool(scales),
        "center": .bool(centers), "rms": .bool(rms),
      ]
    case .conv1D(let description):
      [
        "class": "conv1d", "filters": .integer(description.filters),
        "kernel_size": .integer(description.kernelSize), "stride": .integer(description.stride),
        "dilation": .integer(description.dilation), "groups": .integer(description.groups),
        "padding": .string(description.padding.name), "activation": description.activation.json,
        "use_bias": .bool(description.useBias),
      ]
    case .pooling1D(let description):
      [
        "class": "pooling1d", "kind": .string(description.kind.name),
        "pool_size": .integer(description.poolSize), "stride": .integer(description.stride),
        "pads_to_same": .bool(description.padsToSame),
      ]
    case .globalPooling1D(let kind, let keepsTime):
      ["class": "global_pooling1d", "kind": .string(kind.name), "keeps_time": .bool(keepsTime)]
    case .flatten: ["class": "flatten"]
    case .reshape(let extents):
      ["class": "reshape", "shape": .array(extents.map { .integer($0) })]
    case .permuteTimeAndFeatures: ["class": "permute"]
    case .repeatVector(let count): ["class": "repeat_vector", "count": .integer(count)]
    case .zeroPadding1D(let left, let right):
      ["class": "zero_padding1d", "left": .integer(left), "right": .integer(right)]
    case .upSampling1D(let size): ["class": "up_sampling1d", "size": .integer(size)]
    case .merge(let kind, let masks):
      ["class": "merge", "kind": .string(kind.name), "needs_all_masks": .bool(masks == .all)]
    case .finalState(let state): ["class": "final_state", "state": .integer(state)]
    }
  }

  /// Reads the options of the class that `object` names; leaves ``StrictObject/finish()`` to the caller.
  init(_ object: StrictObject, depth: Int = 0) throws(EngineError) {
    switch try object.text("class") {
    case "input":
      let batch = object.optional("batch") == nil ? nil : try object.integer("batch")
      self = .input(
        InputDescription(shape: try SignalShape(try object.object("shape")), batch: batch))
    case "dense":
      self = .dense(
        units: try object.integer("units"),
        activation: try object.activation("activation", default: .linear),
        useBias: try object.flag("use_bias", default: true))
    case "embedding":
      self = .embedding(
        vocabulary: try object.integer("vocabulary"), dimension: try object.integer("dimension"),
        masksZero: try object.flag("mask_zero", default: false))
    case "recurrent":
      self = .recurrent(try RecurrentDescription(try object.object("recurrent")))
    case "bidirectional":
      guard let merge = BidirectionalDescription.Merge(name: try object.text("merge")) else {
        throw object.malformed("merge")
      }
      self = .bidirectional(
        BidirectionalDescription(
          forward: try RecurrentDescription(try object.object("forward")),
          backward: try RecurrentDescription(try object.object("backward")), merge: merge))
    case "time_distributed":
      guard depth < 4 else { throw object.malformed("layer") }
      let inner = try object.object("layer")
      self = .timeDistributed(try LayerKind(inner, depth: depth + 1))
      try inner.finish()
    case "masking": self = .masking(value: try object.number("value"))
    case "activation":
      self = .activation(try object.activation("activation", default: .linear))
    case "prelu": self = .prelu(sharesTime: try object.flag("shares_time", default: true))
    case "dropout": self = .dropout(try DropoutDescription(object))
    case "batch_normalization":
      self = .batchNormalization(
        epsilon: try object.number("epsilon"), momentum: try object.number("momentum"),
        scales: try object.flag("scale", default: true),
        centers: try object.flag("center", default: true))
    case "layer_normalization":
      self = .layerNormalization(
        epsilon: try object.number("epsilon"), scales: try object.flag("scale", default: true),
        centers: try object.flag("center", default: true),
        rms: try object.flag("rms", default: false))
    case "conv1d": self = .conv1D(try Conv1DDescription(object))
    case "pooling1d":
      self = .pooling1D(
        Pooling1DDescription(
          kind: try PoolingKind(object), poolSize: try object.integer("pool_size"),
          stride: try object.integer("stride"),
          padsToSame: try object.flag("pads_to_same", default: false)))
    case "global_pooling1d":
      self = .globalPooling1D(
        try PoolingKind(object), keepsTime: try object.flag("keeps_time", default: false))
    case "flatten": self = .flatten
    case "reshape":
      let extents = try object.list("shape").compactMap(\.intValue)
      guard (1...2).contains(extents.count), extents.allSatisfy({ $0 == -1 || $0 > 0 }) else {
        throw object.malformed("shape")
      }
      self = .reshape(extents)
    case "permute": self = .permuteTimeAndFeatures
    case "repeat_vector": self = .repeatVector(try object.integer("count"))
    case "zero_padding1d":
      self = .zeroPadding1D(
        left: try object.integer("left", minimum: 0),
        right: try object.integer("right", minimum: 0))
    case "up_sampling1d": self = .upSampling1D(try object.integer("size"))
    case "merge":
      guard let kind = MergeKind(name: try object.text("kind")) else {
        throw object.malformed("kind")
      }
      self = .merge(
        kind, masks: try object.flag("needs_all_masks", default: false) ? .all : .any)
    case "final_state": self = .finalState(try object.integer("state", minimum: 0))
    case let name: throw EngineError(.unsupported, "layers of class '\(name)' are unknown")
    }
  }
}

extension DropoutDescription {
  fileprivate var json: JSONValue {
    switch self {
    case .elements(let rate): ["class": "dropout", "kind": "elements", "rate": .number(rate)]
    case .channels(let rate): ["class": "dropout", "kind": "channels", "rate": .number(rate)]
    case .gaussian(let rate): ["class": "dropout", "kind": "gaussian", "rate": .number(rate)]
    case .noise(let value): ["class": "dropout", "kind": "noise", "deviation": .number(value)]
    case .alpha(let rate): ["class": "dropout", "kind": "alpha", "rate": .number(rate)]
    case .identity: ["class": "dropout", "kind": "identity"]
    }
  }

  fileprivate init(_ object: StrictObject) throws(EngineError) {
    switch try object.text("kind") {
    case "elements": self = .elements(rate: try object.number("rate"))
    case "channels": self = .channels(rate: try object.number("rate"))
    case "gaussian": self = .gaussian(rate: try object.number("rate"))
    case "noise": self = .noise(deviation: try object.number("deviation"))
    case "alpha": self = .alpha(rate: try object.number("rate"))
    case "identity": self = .identity
    default: throw object.malformed("kind")
    }
  }
}

extension Conv1DDescription {
  fileprivate init(_ object: StrictObject) throws(EngineError) {
    self.init(
      filters: try object.integer("filters"), kernelSize: try object.integer("kernel_size"))
    stride = try object.integer("stride", default: 1)
    dilation = try object.integer("dilation", default: 1)
    groups = try object.integer("groups", default: 1)
    switch try object.text("padding") {
    case "valid": padding = .valid
    case "same": padding = .same
    case "causal": padding = .causal
    default: throw object.malformed("padding")
    }
    activation = try object.activation("activation", default: .linear)
    useBias = try object.flag("use_bias", default: true)
  }
}

extension Conv1DDescription.Padding {
  var name: String {
    switch self {
    case .valid: "valid"
    case .same: "same"
    case .causal: "causal"
    }
  }
}

extension PoolingKind {
  var name: String { self == .max ? "max" : "average" }

  fileprivate init(_ object: StrictObject) throws(EngineError) {
    switch try object.text("kind") {
    case "max": self = .max
    case "average": self = .average
    default: throw object.malformed("kind")
    }
  }
}

extension BidirectionalDescription.Merge {
  private static let names: [(BidirectionalDescription.Merge, String)] = [
    (.concat, "concat"), (.sum, "sum"), (.multiply, "multiply"), (.average, "average"),
  ]

  var name: String { Self.names.first { $0.0 == self }?.1 ?? "" }

  fileprivate init?(name: String) {
    guard let entry = Self.names.first(where: { $0.1 == name }) else { return nil }
    self = entry.0
  }
}

extension MergeKind {
  private static let names: [(MergeKind, String)] = [
    (.concatenate, "concatenate"), (.add, "add"), (.subtract, "subtract"),
    (.multiply, "multiply"), (.average, "average"), (.maximum, "maximum"), (.minimum, "minimum"),
  ]

  var name: String { Self.names.first { $0.0 == self }?.1 ?? "" }

  fileprivate init?(name: String) {
    guard let entry = Self.names.first(where: { $0.1 == name }) else { return nil }
    self = entry.0
  }
}
