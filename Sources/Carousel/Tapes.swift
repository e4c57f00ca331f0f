import CCarousel
import LSTM

/// What a `carousel_tape` stands for.
final class TapeObject {
  let tape: AnyTape
  let network: NetworkObject
  let isTimeMajor: Bool

  init(_ tape: AnyTape, of network: NetworkObject, isTimeMajor: Bool) {
    self.tape = tape
    self.network = network
    self.isTimeMajor = isTimeMajor
  }

  static func of(_ handle: OpaquePointer?) throws(EngineError) -> TapeObject {
    try HandlePool.object(handle, .tape, as: TapeObject.self, "tape").takeUnretainedValue()
  }

  var call: RunCall { RunCall(network, isTimeMajor: isTimeMajor) }
}

@_cdecl("carousel_network_record") @implementation
public func carousel_network_record(
  _ network: OpaquePointer?, _ inputs: UnsafePointer<carousel_array>?, _ inputCount: Int,
  _ options: UnsafePointer<carousel_record_options>?,
  _ tape: UnsafeMutablePointer<OpaquePointer?>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try NetworkObject.of(network)
    let settings = try Versioned.read(options, "options")
    let run = try Versioned.read(settings.run, "options->run")
    let result = try Argument.required(tape, "tape")
    let isTimeMajor = run.time_major != 0
    let call = RunCall(object, isTimeMajor: isTimeMajor)
    let inputs = try call.inputs(inputs, inputCount)
    let forward = try call.forwardOptions(run, inputs: inputs)
    let tape = try AnyTape(
      object.network, inputs: inputs, options: forward,
      recordsGradientFlow: settings.gradient_flow != 0)
    for (index, view) in forward.finalStates.enumerated() {
      try tape.readFinalState(index, into: view)
    }
    result.pointee = try HandlePool.insert(
      TapeObject(tape, of: object, isTimeMajor: isTimeMajor), .tape)
  }
}

@_cdecl("carousel_network_get_tape_size") @implementation
public func carousel_network_get_tape_size(
  _ network: OpaquePointer?, _ batch: Int64, _ times: UnsafePointer<Int64>?, _ timeCount: Int,
  _ size: UnsafeMutablePointer<Int>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try NetworkObject.of(network)
    let batch = try Argument.size(batch, "batch")
    let times = try object.times(times, timeCount)
    let size = try Argument.required(size, "size")
    size.pointee = try object.network.memoryNeeded(
      batch: batch, times: times, mode: ExecutionMode(keepsForBackward: true))
  }
}

@_cdecl("carousel_tape_free") @implementation
public func carousel_tape_free(_ tape: OpaquePointer?) {
  _ = entry(allocates: false) { () throws(EngineError) in try HandlePool.remove(tape, .tape, "tape")
  }
}

@_cdecl("carousel_tape_get_output") @implementation
public func carousel_tape_get_output(
  _ tape: OpaquePointer?, _ index: Int, _ output: UnsafePointer<carousel_array>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try TapeObject.of(tape)
    let shapes = object.network.outputShapes
    let index = try Argument.index(index, "index", below: shapes.count, of: "outputs")
    let view = try Argument.required(output, "output").pointee.view(
      of: shapes[index], timeMajor: object.isTimeMajor, isWritten: true, "output")
    try object.tape.readOutput(index, into: view)
  }
}

@_cdecl("carousel_tape_get_final_state") @implementation
public func carousel_tape_get_final_state(
  _ tape: OpaquePointer?, _ index: Int, _ state: UnsafePointer<carousel_array>?
) -> carousel_status {
  copyState(of: tape, index, to: state, "state") { (tape, index, view) throws(EngineError) in
    try tape.readFinalState(index, into: view)
  }
}

@_cdecl("carousel_tape_get_initial_state") @implementation
public func carousel_tape_get_initial_state(
  _ tape: OpaquePointer?, _ index: Int, _ state: UnsafePointer<carousel_array>?
) -> carousel_status {
  copyState(of: tape, index, to: state, "state") { (tape, index, view) throws(EngineError) in
    try tape.readInitialState(index, into: view)
  }
}

@_cdecl("carousel_tape_backward") @implementation
public func carousel_tape_backward(
  _ tape: OpaquePointer?, _ outputGradients: UnsafePointer<carousel_array>?,
  _ outputGradientCount: Int, _ stateGradients: UnsafePointer<carousel_array>?,
  _ stateGradientCount: Int
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try TapeObject.of(tape)
    let batch = object.tape.batch
    let times = try object.network.network.outputTimes(object.tape.times)
    let outputs = try object.call.outputs(
      outputGradients, outputGradientCount, "output_gradients", batch: batch, times: times,
      isWritten: false)
    let states = try object.call.states(
      stateGradients, stateGradientCount, "state_gradients", batch: batch, isWritten: false)
    try object.tape.backward(outputGradients: outputs, stateGradients: states)
  }
}

@_cdecl("carousel_tape_get_parameter_gradients") @implementation
public func carousel_tape_get_parameter_gradients(
  _ tape: OpaquePointer?, _ data: UnsafeMutablePointer<UnsafeMutableRawPointer?>?,
  _ size: UnsafeMutablePointer<Int>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try TapeObject.of(tape)
    let data = try Argument.required(data, "data")
    let size = try Argument.required(size, "size")
    let bytes = try object.tape.parameterGradients()
    data.pointee = bytes.baseAddress
    size.pointee = bytes.count
  }
}

@_cdecl("carousel_tape_get_input_gradient") @implementation
public func carousel_tape_get_input_gradient(
  _ tape: OpaquePointer?, _ index: Int, _ gradient: UnsafePointer<carousel_array>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try TapeObject.of(tape)
    let shapes = object.network.inputShapes
    let index = try Argument.index(index, "index", below: shapes.count, of: "inputs")
    let view = try Argument.required(gradient, "gradient").pointee.view(
      of: shapes[index], timeMajor: object.isTimeMajor, isWritten: true, "gradient")
    try object.tape.readInputGradient(index, into: view)
  }
}

@_cdecl("carousel_tape_get_initial_state_gradient") @implementation
public func carousel_tape_get_initial_state_gradient(
  _ tape: OpaquePointer?, _ index: Int, _ gradient: UnsafePointer<carousel_array>?
) -> carousel_status {
  copyState(of: tape, index, to: gradient, "gradient") { (tape, index, view) throws(EngineError) in
    try tape.readInitialStateGradient(index, into: view)
  }
}

@_cdecl("carousel_tape_get_trace_shape") @implementation
public func carousel_tape_get_trace_shape(
  _ tape: OpaquePointer?, _ layer: UnsafePointer<CChar>?, _ field: carousel_trace_field,
  _ direction: Int32, _ array: UnsafeMutablePointer<carousel_array>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try TapeObject.of(tape)
    let layer = try Argument.text(layer, "layer")
    let field = try TraceField.given(field, direction)
    let array = try Argument.required(array, "array")
    let (batch, time, width) = try object.tape.traceShape(
      layer: layer, field, direction: Int(direction))
    array.pointee.dtype = object.network.dtype
    array.pointee.strides = (0, 0, 0, 0)
    if field.isNorm {
      array.pointee.rank = 1
      array.pointee.shape = (Int64(time), 0, 0, 0)
    } else {
      array.pointee.rank = 3
      array.pointee.shape =
        object.isTimeMajor
        ? (Int64(time), Int64(batch), Int64(width), 0)
        : (Int64(batch), Int64(time), Int64(width), 0)
    }
  }
}

@_cdecl("carousel_tape_get_trace") @implementation
public func carousel_tape_get_trace(
  _ tape: OpaquePointer?, _ layer: UnsafePointer<CChar>?, _ field: carousel_trace_field,
  _ direction: Int32, _ array: UnsafePointer<carousel_array>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try TapeObject.of(tape)
    let layer = try Argument.text(layer, "layer")
    let field = try TraceField.given(field, direction)
    let array = try Argument.required(array, "array")
    let view =
      field.isNorm
      ? try array.pointee.seriesView("array")
      : try array.pointee.view(
        of: .sequence(time: nil, features: 0), timeMajor: object.isTimeMajor, isWritten: true,
        "array")
    do throws(EngineError) {
      try object.tape.readTrace(layer: layer, field, direction: Int(direction), into: view)
    } catch {
      throw error.code == .shape ? error.within("array") : error
    }
  }
}

extension TraceField {
  fileprivate static func given(
    _ field: carousel_trace_field, _ direction: Int32
  ) throws(EngineError) -> TraceField {
    guard let result = TraceField(rawValue: Int32(bitPattern: field.rawValue)) else {
      throw Argument.unknown(field.rawValue, "field")
    }
    guard direction == 0 || direction == 1 else {
      throw EngineError(.invalidArgument, "direction is \(direction), expected 0 or 1")
    }
    return result
  }
}

/// What the functions that give an array of one state have in common.
private func copyState(
  of tape: OpaquePointer?, _ index: Int, to array: UnsafePointer<carousel_array>?,
  _ name: StaticString, function: StaticString = #function,
  _ read: (AnyTape, Int, TensorView) throws(EngineError) -> Void
) -> carousel_status {
  entry(function) { () throws(EngineError) in
    let object = try TapeObject.of(tape)
    let index = try Argument.index(
      index, "index", below: object.network.states.count, of: "states")
    let view = try Argument.required(array, name).pointee.stateView(
      isWritten: true, "\(name)")
    do throws(EngineError) {
      try read(object.tape, index, view)
    } catch {
      throw error.code == .shape ? error.within("\(name)") : error
    }
  }
}
