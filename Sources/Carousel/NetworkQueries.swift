import CCarousel
import LSTM

/// The four extents of an information struct.
typealias Shape4 = (Int64, Int64, Int64, Int64)

/// Extents with the batch in front, -1 for what is free.
private func extents(of shape: SignalShape) -> (rank: Int32, shape: Shape4) {
  let time = Int64(shape.time ?? -1)
  return switch shape {
  case .vector(let features): (2, (-1, Int64(features), 0, 0))
  case .sequence(_, let features): (3, (-1, time, Int64(features), 0))
  case .ids: (2, (-1, time, 0, 0))
  }
}

/// The first four of a list of extents.
private func extents(_ shape: [Int]) -> Shape4 {
  func extent(_ index: Int) -> Int64 { index < shape.count ? Int64(shape[index]) : 0 }
  return (extent(0), extent(1), extent(2), extent(3))
}

@_cdecl("carousel_network_get_info") @implementation
public func carousel_network_get_info(
  _ network: OpaquePointer?, _ info: UnsafeMutablePointer<carousel_network_info>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try NetworkObject.of(network)
    var result = carousel_network_info()
    result.name = object.name
    result.dtype = object.dtype
    result.is_stateful = object.network.isStateful ? 1 : 0
    result.input_count = object.inputShapes.count
    result.output_count = object.outputShapes.count
    result.layer_count = object.layerNames.count
    result.state_count = object.states.count
    result.parameter_count = object.parameterNames.count
    result.weight_count = Int64(object.network.parameters.reduce(0) { $0 + $1.count })
    result.precision = object.precision
    try Versioned.write(result, to: info, "info")
  }
}

@_cdecl("carousel_network_get_input") @implementation
public func carousel_network_get_input(
  _ network: OpaquePointer?, _ index: Int, _ info: UnsafeMutablePointer<carousel_signal_info>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try NetworkObject.of(network)
    let index = try Argument.index(
      index, "index", below: object.inputShapes.count, of: "inputs")
    let node = object.network.description.inputs[index]
    let vocabulary = object.network.vocabularies[index]
    try Versioned.write(
      object.signal(node: node, shape: object.inputShapes[index], vocabulary: vocabulary),
      to: info, "info")
  }
}

@_cdecl("carousel_network_get_output") @implementation
public func carousel_network_get_output(
  _ network: OpaquePointer?, _ index: Int, _ info: UnsafeMutablePointer<carousel_signal_info>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try NetworkObject.of(network)
    let index = try Argument.index(
      index, "index", below: object.outputShapes.count, of: "outputs")
    let node = object.network.description.outputs[index]
    try Versioned.write(
      object.signal(node: node, shape: object.outputShapes[index], vocabulary: 0),
      to: info, "info")
  }
}

@_cdecl("carousel_network_get_layer") @implementation
public func carousel_network_get_layer(
  _ network: OpaquePointer?, _ index: Int, _ info: UnsafeMutablePointer<carousel_layer_info>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try NetworkObject.of(network)
    let index = try Argument.index(index, "index", below: object.layerNames.count, of: "layers")
    let layer = object.network.description.nodes[index].layer
    var result = carousel_layer_info()
    result.name = object.layerNames[index]
    result.kind = layer.kind.className.cString
    result.is_trainable = layer.isTrainable ? 1 : 0
    (result.rank, result.shape) = extents(of: object.network.nodeShapes[index])
    result.weight_count = Int64(
      object.network.parameters.reduce(0) { $0 + ($1.node == index ? $1.count : 0) })
    try Versioned.write(result, to: info, "info")
  }
}

@_cdecl("carousel_network_get_state") @implementation
public func carousel_network_get_state(
  _ network: OpaquePointer?, _ index: Int, _ info: UnsafeMutablePointer<carousel_state_info>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try NetworkObject.of(network)
    let index = try Argument.index(index, "index", below: object.states.count, of: "states")
    let state = object.states[index]
    var result = carousel_state_info()
    result.layer_name = object.layerNames[state.layer]
    result.layer = state.layer
    result.name = (state.isCell ? "c" as StaticString : "h").cString
    result.direction = state.direction
    result.width = Int64(state.width)
    try Versioned.write(result, to: info, "info")
  }
}

@_cdecl("carousel_network_get_parameter") @implementation
public func carousel_network_get_parameter(
  _ network: OpaquePointer?, _ index: Int,
  _ info: UnsafeMutablePointer<carousel_parameter_info>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try NetworkObject.of(network)
    let index = try Argument.index(
      index, "index", below: object.parameterNames.count, of: "parameters")
    try Versioned.write(object.parameter(index), to: info, "info")
  }
}

@_cdecl("carousel_network_find_parameter") @implementation
public func carousel_network_find_parameter(
  _ network: OpaquePointer?, _ name: UnsafePointer<CChar>?,
  _ info: UnsafeMutablePointer<carousel_parameter_info>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try NetworkObject.of(network)
    let name = try Argument.text(name, "name", limit: 2 * Argument.longestName)
    guard let index = object.network.parameters.firstIndex(where: { $0.name == name }) else {
      throw EngineError(.notFound, "the network has no parameter '\(name)'")
    }
    try Versioned.write(object.parameter(index), to: info, "info")
  }
}

@_cdecl("carousel_network_get_output_shape") @implementation
public func carousel_network_get_output_shape(
  _ network: OpaquePointer?, _ index: Int, _ batch: Int64, _ times: UnsafePointer<Int64>?,
  _ timeCount: Int, _ array: UnsafeMutablePointer<carousel_array>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try NetworkObject.of(network)
    let index = try Argument.index(
      index, "index", below: object.outputShapes.count, of: "outputs")
    let batch = try Argument.size(batch, "batch")
    let times = try object.times(times, timeCount)
    let array = try Argument.required(array, "array")
    let time = try object.network.outputTimes(times)[index]
    let shape = object.outputShapes[index]
    array.pointee.setShape(object.dtype, batch: batch, time: time, of: shape)
  }
}

extension carousel_array {
  /// Everything but the data, for a contiguous array.
  mutating func setShape(_ type: carousel_dtype, batch: Int, time: Int, of signal: SignalShape) {
    dtype = type
    strides = (0, 0, 0, 0)
    rank = signal.hasTime ? 3 : 2
    shape =
      signal.hasTime
      ? (Int64(batch), Int64(time), Int64(signal.features), 0)
      : (Int64(batch), Int64(signal.features), 0, 0)
  }
}

extension NetworkObject {
  var dtype: carousel_dtype {
    network.dataType == .float32 ? CAROUSEL_FLOAT32 : CAROUSEL_FLOAT64
  }

  /// The caller's numbers of steps, one for each input.
  func times(_ times: UnsafePointer<Int64>?, _ count: Int) throws(EngineError) -> [Int] {
    let times = try Argument.required(times, "times")
    try Argument.count(count, "time_count", expected: inputShapes.count, of: "inputs")
    var result: [Int] = []
    for index in 0..<count {
      result.append(try Argument.size(times[index], "times", from: 0, to: Int(Int32.max)))
    }
    return result
  }

  fileprivate func signal(
    node: Int, shape: SignalShape, vocabulary: Int
  ) -> carousel_signal_info {
    var info = carousel_signal_info()
    info.name = layerNames[node]
    if case .ids = shape { info.is_ids = 1 }
    (info.rank, info.shape) = extents(of: shape)
    info.vocabulary = Int64(vocabulary)
    return info
  }

  fileprivate func parameter(_ index: Int) -> carousel_parameter_info {
    let parameter = network.parameters[index]
    var info = carousel_parameter_info()
    info.name = parameterNames[index]
    info.layer = parameter.node
    info.dtype = dtype
    info.rank = Int32(parameter.shape.count)
    info.shape = extents(parameter.shape)
    info.count = Int64(parameter.count)
    if network.format == .float32 {
      info.offset = Int64(parameter.offset)
      info.data = network.address(of: parameter)
    } else {
      info.offset = -1
    }
    info.is_trainable = parameter.isTrainable ? 1 : 0
    return info
  }
}
