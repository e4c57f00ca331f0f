import LSTM

/// Writes an architecture as Keras JSON, in the dialect that Keras 3.0 and later and tf.keras 2.10 to 2.15 all
/// read: only the options that both know, `batch_input_shape`, connections in the old list form.
///
/// What Keras cannot express is refused with the reason.
struct KerasJSONWriter {
  enum Purpose {
    /// A model that Keras must compute as we do.
    case model
    /// Only the arrays and their order count.
    case weightsOnly
  }

  let description: NetworkDescription
  let purpose: Purpose
  /// Puts the module beside every class name (`.keras`, `to_json`); else only where wrapped layers need it.
  let namesModules: Bool
  /// The Keras layer of which each node is a call. Keras knows final states as outputs of their layer.
  let names: [String]
  /// Which call of that layer, from 0.
  private let calls: [Int]
  /// Nodes that are the first call of a layer whose final states are read.
  private let stateReturning: Set<Int>

  init(_ description: NetworkDescription, purpose: Purpose, namesModules: Bool) {
    self.description = description
    self.purpose = purpose
    self.namesModules = namesModules
    var used: Set<String> = []
    var names: [String] = []
    var calls: [Int] = []
    var stateReturning: Set<Int> = []
    var callCounts: [Int: Int] = [:]
    for node in description.nodes {
      if case .finalState = node.layer.kind {
        let source = node.inputs[0]
        names.append(names[source])
        calls.append(calls[source])
        stateReturning.insert(description.nodes[source].sharesWith ?? source)
        continue
      }
      if let owner = node.sharesWith {
        callCounts[owner, default: 0] += 1
        names.append(names[owner])
        calls.append(callCounts[owner, default: 0])
        continue
      }
      let plain = Self.nameForKeras(node.layer.name)
      var name = plain
      var count = 1
      while !used.insert(name).inserted {
        count += 1
        name = "\(plain)_\(count)"
      }
      names.append(name)
      calls.append(0)
    }
    (self.names, self.calls, self.stateReturning) = (names, calls, stateReturning)
  }

  /// Keras 3 does not allow slashes, on PyTorch no dots either; tf.keras makes scopes of names, which begin with
  /// a letter or digit and have no others than these, underscores, dashes and `>`.
  private static func nameForKeras(_ name: String) -> String {
    let plain = String(
      name.map { letter in
        letter.isASCII && (letter.isLetter || letter.isNumber || letter == "-") ? letter : "_"
      })
    guard let first = plain.first else { return "layer" }
    return first == "_" || first == "-" ? "layer" + plain : plain
  }

  /// Nodes that are the first call of a layer, with Keras's name for it.
  var layers: [(node: Int, name: String)] {
    description.nodes.indices.filter(isLayer).map { ($0, names[$0]) }
  }

  private func isLayer(_ index: Int) -> Bool {
    if case .finalState = description.nodes[index].layer.kind { return false }
    return description.nodes[index].sharesWith == nil
  }

  func write() throws(EngineError) -> JSONValue {
    var layers: [JSONValue] = []
    let order =
      description.isChain
      ? Array(description.nodes.indices) : KerasLayerOrder.layers(of: description)
    for index in order {
      let node = description.nodes[index]
      do throws(EngineError) {
        var layer = try self.layer(node.layer.kind, name: names[index], node: index)
        if !description.isChain {
          layer["name"] = .string(names[index])
          let calls = description.nodes.indices.filter {
            $0 == index || description.nodes[$0].sharesWith == index
          }
          layer["inbound_nodes"] = .array(calls.compactMap { call(of: $0) })
        }
        layers.append(.object(layer))
      } catch {
        throw error.within("layer '\(node.layer.name)'")
      }
    }
    var config: JSONObject = [
      "name": .string(Self.nameForKeras(description.name)), "layers": .array(layers),
    ]
    if !description.isChain {
      config["input_layers"] = .array(description.inputs.map { .array(reference($0)) })
      config["output_layers"] = .array(description.outputs.map { .array(reference($0)) })
    }
    // The class behind functional models has no public name, but Model knows how to make one.
    let graphClass = namesModules ? "Model" : "Functional"
    var model = wrapped(description.isChain ? "Sequential" : graphClass, config)
    if namesModules { model["module"] = "keras" }
    return .object(model)
  }

  private func reference(_ node: Int) -> [JSONValue] {
    var output = 0
    if case .finalState(let state) = description.nodes[node].layer.kind { output = 1 + state }
    return [.string(names[node]), .integer(calls[node]), .integer(output)]
  }

  /// What a node reads, in the old form that all versions know; with initial states in that of Keras 3, which
  /// has no other one for them. nil for inputs.
  private func call(of index: Int) -> JSONValue? {
    let node = description.nodes[index]
    guard let first = node.inputs.first else { return nil }
    guard node.readsInitialStates else {
      return .array(node.inputs.map { .array(reference($0) + [.object([:])]) })
    }
    return [
      "args": .array([tensor(first)]),
      "kwargs": ["initial_state": .array(node.inputs.dropFirst().map(tensor))],
    ]
  }

  /// A tensor as Keras 3 writes it. Only the history counts; the shape is there because it has to be.
  private func tensor(_ node: Int) -> JSONValue {
    [
      "class_name": "__keras_tensor__",
      "config": [
        "shape": .array([.null]), "dtype": "float32", "keras_history": .array(reference(node)),
      ],
    ]
  }

  private func wrapped(
    _ className: String, _ config: JSONObject, isInner: Bool = false
  ) -> JSONObject {
    var object: JSONObject = [:]
    if namesModules || isInner { object["module"] = "keras.layers" }
    object["class_name"] = .string(className)
    object["config"] = .object(config)
    if namesModules || isInner { object["registered_name"] = .null }
    return object
  }

  // MARK: - Layers

  private func layer(
    _ kind: LayerKind, name: String, node: Int, isInner: Bool = false
  ) throws(EngineError) -> JSONObject {
    var (className, options) = try classAndOptions(kind, name: name, node: node)
    var config: JSONObject = ["name": .string(name)]
    if !description.nodes[node].layer.isTrainable { options["trainable"] = .bool(false) }
    for member in options.members { config[member.key] = member.value }
    return wrapped(className, config, isInner: isInner)
  }

  private func classAndOptions(
    _ kind: LayerKind, name: String, node: Int
  ) throws(EngineError) -> (String, JSONObject) {
    switch kind {
    case .input(let input): return ("InputLayer", self.input(input))
    case .dense(let units, let activation, let useBias):
      return (
        "Dense",
        [
          "units": .integer(units), "activation": try self.activation(activation),
          "use_bias": .bool(useBias),
        ]
      )
    case .embedding(let vocabulary, let dimension, let masksZero):
      return (
        "Embedding",
        [
          "input_dim": .integer(vocabulary), "output_dim": .integer(dimension),
          "mask_zero": .bool(masksZero),
        ]
      )
    case .recurrent(let recurrent):
      return try self.recurrent(recurrent, returnsState: stateReturning.contains(node))
    case .bidirectional(let description):
      let returnsState = stateReturning.contains(node)
      return (
        "Bidirectional", try bidirectional(description, name: name, returnsState: returnsState)
      )
    case .timeDistributed(let inner):
      let layer = try layer(inner, name: name + "_layer", node: node, isInner: true)
      return ("TimeDistributed", ["layer": .object(layer)])
    case .activation(let activation): return try activationLayer(activation)
    case .conv1D(let description):
      var options: JSONObject = [
        "filters": .integer(description.filters),
        "kernel_size": .array([.integer(description.kernelSize)]),
        "strides": .array([.integer(description.stride)]),
        "padding": .string(description.padding.name),
        "dilation_rate": .array([.integer(description.dilation)]),
        "activation": try self.activation(description.activation),
        "use_bias": .bool(description.useBias),
      ]
      if description.groups != 1 { options["groups"] = .integer(description.groups) }
      return ("Conv1D", options)
    case .prelu(let sharesTime):
      return ("PReLU", sharesTime ? ["shared_axes": .array([.integer(1)])] : [:])
    case .batchNormalization(let epsilon, let momentum, let scales, let centers):
      return (
        "BatchNormalization",
        [
          "axis": .integer(-1), "momentum": .number(momentum), "epsilon": .number(epsilon),
          "center": .bool(centers), "scale": .bool(scales),
        ]
      )
    case .layerNormalization(let epsilon, let scales, let centers, let rms):
      if rms {
        return ("RMSNormalization", ["axis": .integer(-1), "epsilon": .number(epsilon)])
      }
      return (
        "LayerNormalization",
        [
          "axis": .array([.integer(-1)]), "epsilon": .number(epsilon), "center": .bool(centers),
          "scale": .bool(scales),
        ]
      )
    default: return simpleLayer(kind)
    }
  }

  /// Layers that Keras has exactly as they are here.
  private func simpleLayer(_ kind: LayerKind) -> (String, JSONObject) {
    switch kind {
    case .masking(let value): return ("Masking", ["mask_value": .number(value)])
    case .dropout(let dropout):
      switch dropout {
      case .elements(let rate): return ("Dropout", ["rate": .number(rate)])
      case .channels(let rate): return ("SpatialDropout1D", ["rate": .number(rate)])
      case .gaussian(let rate): return ("GaussianDropout", ["rate": .number(rate)])
      case .noise(let deviation): return ("GaussianNoise", ["stddev": .number(deviation)])
      case .alpha(let rate): return ("AlphaDropout", ["rate": .number(rate)])
      case .identity: return ("Dropout", ["rate": .number(0)])
      }
    case .pooling1D(let pooling):
      return (
        pooling.kind == .max ? "MaxPooling1D" : "AveragePooling1D",
        [
          "pool_size": .array([.integer(pooling.poolSize)]),
          "strides": .array([.integer(pooling.stride)]),
          "padding": pooling.padsToSame ? "same" : "valid",
        ]
      )
    case .globalPooling1D(let kind, let keepsTime):
      return (
        kind == .max ? "GlobalMaxPooling1D" : "GlobalAveragePooling1D",
        keepsTime ? ["keepdims": .bool(true)] : [:]
      )
    case .reshape(let extents):
      return ("Reshape", ["target_shape": .array(extents.map { .integer($0) })])
    case .permuteTimeAndFeatures:
      return ("Permute", ["dims": .array([.integer(2), .integer(1)])])
    case .repeatVector(let count): return ("RepeatVector", ["n": .integer(count)])
    case .zeroPadding1D(let left, let right):
      return ("ZeroPadding1D", ["padding": .array([.integer(left), .integer(right)])])
    case .upSampling1D(let size): return ("UpSampling1D", ["size": .integer(size)])
    case .merge(let merge, _):
      switch merge {
      case .concatenate: return ("Concatenate", ["axis": .integer(-1)])
      case .add: return ("Add", [:])
      case .subtract: return ("Subtract", [:])
      case .multiply: return ("Multiply", [:])
      case .average: return ("Average", [:])
      case .maximum: return ("Maximum", [:])
      case .minimum: return ("Minimum", [:])
      }
    default: return ("Flatten", [:])
    }
  }

  private func input(_ input: InputDescription) -> JSONObject {
    var shape: [JSONValue] = [.optional(input.batch)]
    if input.shape.hasTime { shape.append(.optional(input.shape.time)) }
    if !input.shape.isIds { shape.append(.integer(input.shape.features)) }
    // tf.keras refuses `batch_shape`: right for a file that it would misunderstand.
    return [
      needsKeras3 ? "batch_shape" : "batch_input_shape": .array(shape),
      "dtype": input.shape.isIds ? "int32" : "float32",
    ]
  }
}
