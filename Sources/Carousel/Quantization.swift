import CCarousel
import LSTM

extension carousel_quantization_info: VersionedStruct {}
extension carousel_output_error: VersionedStruct {}

@_cdecl("carousel_network_quantize") @implementation
public func carousel_network_quantize(
  _ network: OpaquePointer?, _ precision: carousel_precision,
  _ quantized: UnsafeMutablePointer<OpaquePointer?>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try NetworkObject.of(network)
    let result = try Argument.required(quantized, "quantized")
    let format: WeightFormat
    switch precision {
    case CAROUSEL_PRECISION_FLOAT32: format = .float32
    case CAROUSEL_PRECISION_BFLOAT16: format = .bfloat16
    case CAROUSEL_PRECISION_INT8: format = .int8
    default: throw Argument.unknown(precision.rawValue, "precision")
    }
    try NetworkObject.store(object.network.reduced(to: format), in: result)
  }
}

@_cdecl("carousel_network_get_quantization") @implementation
public func carousel_network_get_quantization(
  _ network: OpaquePointer?, _ index: Int,
  _ info: UnsafeMutablePointer<carousel_quantization_info>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try NetworkObject.of(network)
    let index = try Argument.index(index, "index", below: object.layerNames.count, of: "layers")
    var result = carousel_quantization_info()
    result.precision =
      object.network.dataType == .float32 ? CAROUSEL_PRECISION_FLOAT32 : CAROUSEL_PRECISION_FLOAT64
    result.size = object.network.parameterBytes(ofNode: index)
    if let error = object.network.weightError(ofNode: index) {
      result.precision = object.precision
      result.weight_count = Int64(error.count)
      result.max_error = error.largest
      result.rms_error = error.rootMeanSquare
      result.relative_error = error.relative
    }
    try Versioned.write(result, to: info, "info")
  }
}

@_cdecl("carousel_network_measure_error") @implementation
public func carousel_network_measure_error(
  _ network: OpaquePointer?, _ reference: OpaquePointer?,
  _ inputs: UnsafePointer<carousel_array>?, _ inputCount: Int,
  _ options: UnsafePointer<carousel_run_options>?,
  _ errors: UnsafeMutablePointer<carousel_output_error>?, _ errorCount: Int
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try NetworkObject.of(network)
    let other = try NetworkObject.of(reference, "reference")
    let settings = try Versioned.read(options, "options")
    let call = RunCall(object, isTimeMajor: settings.time_major != 0)
    let inputs = try call.inputs(inputs, inputCount)
    let run = try call.forwardOptions(settings, inputs: inputs)
    guard run.finalStates.isEmpty else {
      throw EngineError(
        .invalidArgument, "options->final_states is given, but this call gives no states")
    }
    try Argument.count(
      errorCount, "error_count", expected: object.outputShapes.count, of: "outputs")
    guard other.outputShapes == object.outputShapes, other.inputShapes == object.inputShapes,
      other.states.map(\.width) == object.states.map(\.width)
    else {
      throw EngineError(.shape, "network and reference differ in inputs, states or outputs")
    }
    let errors = try Argument.required(errors, "errors")
    // Whatever the networks carry from call to call stays as it is.
    let (own, exact) = (try object.network.copy(), try other.network.copy())
    own.resetStates()
    exact.resetStates()
    let found = try OutputError.measure(own, against: exact, inputs: inputs, options: run)
    for (index, error) in found.enumerated() {
      var result = carousel_output_error()
      result.max_error = error.largest
      result.rms_error = error.rootMeanSquare
      result.max_reference = error.largestReference
      result.rms_reference = error.referenceRootMeanSquare
      result.relative_error = error.relative
      // Elements are as long as the caller's struct; the first write has checked that.
      let stride = index == 0 ? 0 : UnsafeRawPointer(errors).loadUnaligned(as: Int.self)
      let place = UnsafeMutableRawPointer(errors) + index * stride
      try Versioned.write(
        result, to: place.assumingMemoryBound(to: carousel_output_error.self), "errors")
    }
  }
}

@_cdecl("carousel_network_read_parameter") @implementation
public func carousel_network_read_parameter(
  _ network: OpaquePointer?, _ index: Int, _ values: UnsafeMutableRawPointer?, _ size: Int
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try NetworkObject.of(network)
    let index = try Argument.index(
      index, "index", below: object.parameterNames.count, of: "parameters")
    let values = try Argument.required(values, "values")
    let count = object.network.parameters[index].count
    switch object.network.dataType {
    case .float32:
      try checkSize(size, count * MemoryLayout<Float>.stride)
      object.network.readParameter(index) {
        values.storeBytes(of: Float($1), toByteOffset: 4 * $0, as: Float.self)
      }
    case .float64:
      try checkSize(size, count * MemoryLayout<Double>.stride)
      object.network.readParameter(index) {
        values.storeBytes(of: $1, toByteOffset: 8 * $0, as: Double.self)
      }
    }
  }
}

private func checkSize(_ size: Int, _ expected: Int) throws(EngineError) {
  guard size == expected else {
    throw EngineError(
      .shape,
      "size is \(UInt(bitPattern: size)) bytes, but the parameter has \(expected)")
  }
}

extension NetworkObject {
  /// What holds the matrices.
  var precision: carousel_precision {
    switch network.format {
    case .float32:
      network.dataType == .float32 ? CAROUSEL_PRECISION_FLOAT32 : CAROUSEL_PRECISION_FLOAT64
    case .bfloat16: CAROUSEL_PRECISION_BFLOAT16
    case .int8: CAROUSEL_PRECISION_INT8
    }
  }
}
