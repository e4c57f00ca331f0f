import CCarousel
import LSTM

/// What a `carousel_stream` stands for.
final class StreamObject {
  let stream: AnyStream
  /// For streams that need no look at their object to take a step.
  let program: StreamProgram
  let inputShapes: [SignalShape]
  let outputShapes: [SignalShape]

  init(_ stream: AnyStream) {
    self.stream = stream
    program = stream.program
    inputShapes = stream.network.inputShapes
    outputShapes = stream.network.outputShapes
  }

  static func of(_ handle: OpaquePointer?) throws(EngineError) -> StreamObject {
    try HandlePool.object(handle, .stream, as: StreamObject.self, "stream").takeUnretainedValue()
  }

  static func store(
    _ stream: AnyStream, in result: UnsafeMutablePointer<OpaquePointer?>
  ) throws(EngineError) {
    result.pointee = try HandlePool.insert(StreamObject(stream), .stream)
  }
}

@_cdecl("carousel_stream_create") @implementation
public func carousel_stream_create(
  _ network: OpaquePointer?, _ batch: Int64, _ stream: UnsafeMutablePointer<OpaquePointer?>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try NetworkObject.of(network)
    let batch = try Argument.size(batch, "batch")
    let result = try Argument.required(stream, "stream")
    try StreamObject.store(AnyStream(object.network, batch: batch), in: result)
  }
}

@_cdecl("carousel_stream_copy") @implementation
public func carousel_stream_copy(
  _ stream: OpaquePointer?, _ copy: UnsafeMutablePointer<OpaquePointer?>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try StreamObject.of(stream)
    let copy = try Argument.required(copy, "copy")
    try StreamObject.store(object.stream.copy(), in: copy)
  }
}

@_cdecl("carousel_stream_free") @implementation
public func carousel_stream_free(_ stream: OpaquePointer?) {
  _ = entry(allocates: false) { () throws(EngineError) in
    try HandlePool.remove(stream, .stream, "stream")
  }
}

@_cdecl("carousel_stream_set_threads") @implementation
public func carousel_stream_set_threads(
  _ stream: OpaquePointer?, _ threads: Int32
) -> carousel_status {
  entry(allocates: false) { () throws(EngineError) in
    let object = try StreamObject.of(stream)
    object.stream.setThreads(try Settings.threads(threads, "threads"))
  }
}

@_cdecl("carousel_stream_get_info") @implementation
public func carousel_stream_get_info(
  _ stream: OpaquePointer?, _ info: UnsafeMutablePointer<carousel_stream_info>?
) -> carousel_status {
  entry(allocates: false) { () throws(EngineError) in
    let object = try StreamObject.of(stream)
    var result = carousel_stream_info()
    result.batch = Int64(object.stream.batch)
    if object.inputShapes.count == 1, object.outputShapes.count == 1 {
      result.input_count = result.batch * Int64(object.inputShapes[0].features)
      result.output_count = result.batch * Int64(object.outputShapes[0].features)
    }
    result.state_size = object.stream.stateByteCount
    try Versioned.write(result, to: info, "info")
  }
}

@_cdecl("carousel_stream_step") @implementation
public func carousel_stream_step(
  _ stream: OpaquePointer?, _ input: UnsafePointer<Float>?, _ output: UnsafeMutablePointer<Float>?
) -> carousel_status {
  entry(allocates: false) { () throws(EngineError) in
    let object = try HandlePool.object(stream, .stream, as: StreamObject.self, "stream")
    guard let input else { throw Argument.isNull("input") }
    guard let output else { throw Argument.isNull("output") }
    let program = object._withUnsafeGuaranteedRef { $0.program }
    if program.isUsable {
      program.step(input, output)
    } else {
      try object.takeUnretainedValue().stream.step(input, output)
    }
  }
}

@_cdecl("carousel_stream_steps") @implementation
public func carousel_stream_steps(
  _ stream: OpaquePointer?, _ input: UnsafePointer<Float>?, _ steps: Int64,
  _ output: UnsafeMutablePointer<Float>?
) -> carousel_status {
  entry(allocates: false) { () throws(EngineError) in
    let object = try StreamObject.of(stream)
    let steps = try Argument.size(steps, "steps", from: 0)
    if steps == 0 { return }
    guard let input else { throw Argument.isNull("input") }
    guard let output else { throw Argument.isNull("output") }
    try object.stream.steps(input, steps, output)
  }
}

@_cdecl("carousel_stream_step_arrays") @implementation
public func carousel_stream_step_arrays(
  _ stream: OpaquePointer?, _ inputs: UnsafePointer<carousel_array>?, _ inputCount: Int,
  _ outputs: UnsafePointer<carousel_array>?, _ outputCount: Int
) -> carousel_status {
  entry(allocates: false) { () throws(EngineError) in
    let object = try StreamObject.of(stream)
    let inputShapes = object.inputShapes
    let outputShapes = object.outputShapes
    try Argument.count(inputCount, "input_count", expected: inputShapes.count, of: "inputs")
    try Argument.count(outputCount, "output_count", expected: outputShapes.count, of: "outputs")
    let inputs = try Argument.required(inputs, "inputs")
    let outputs = try Argument.required(outputs, "outputs")
    // All checks come before the step, so that a refused one leaves the state as it was. No Swift
    // array is made on the way.
    for index in 0..<outputCount {
      _ = try object.view(
        outputs[index], of: outputShapes[index], isWritten: true, "outputs[\(index)]")
    }
    for index in 0..<inputCount {
      let view = try object.view(
        inputs[index], of: inputShapes[index], isWritten: false, "inputs[\(index)]")
      try object.stream.setInput(index, view)
    }
    object.stream.advance()
    for index in 0..<outputCount {
      let view = try object.view(
        outputs[index], of: outputShapes[index], isWritten: true, "outputs[\(index)]")
      try object.stream.readOutput(index, into: view)
    }
  }
}

extension StreamObject {
  /// Views one step of an input or output.
  fileprivate func view(
    _ array: carousel_array, of shape: SignalShape, isWritten: Bool,
    _ name: @autoclosure () -> String
  ) throws(EngineError) -> TensorView {
    let view = try array.view(of: shape, isOneStep: true, isWritten: isWritten, name())
    guard view.batch == stream.batch, view.time == 1, view.width == shape.features else {
      throw EngineError(
        .shape,
        "\(name()) has (batch, steps, features) = (\(view.batch), \(view.time), \(view.width)), "
          + "expected (\(stream.batch), 1, \(shape.features))")
    }
    return view
  }
}

@_cdecl("carousel_stream_reset") @implementation
public func carousel_stream_reset(_ stream: OpaquePointer?) -> carousel_status {
  entry(allocates: false) { () throws(EngineError) in try StreamObject.of(stream).stream.reset() }
}

@_cdecl("carousel_stream_snapshot") @implementation
public func carousel_stream_snapshot(
  _ stream: OpaquePointer?, _ state: UnsafeMutableRawPointer?, _ size: Int
) -> carousel_status {
  entry(allocates: false) { () throws(EngineError) in
    let object = try StreamObject.of(stream)
    try object.checkStateSize(size)
    if size > 0 { object.stream.snapshot(into: try Argument.required(state, "state")) }
  }
}

@_cdecl("carousel_stream_restore") @implementation
public func carousel_stream_restore(
  _ stream: OpaquePointer?, _ state: UnsafeRawPointer?, _ size: Int
) -> carousel_status {
  entry(allocates: false) { () throws(EngineError) in
    let object = try StreamObject.of(stream)
    try object.checkStateSize(size)
    if size > 0 { object.stream.restore(from: try Argument.required(state, "state")) }
  }
}

extension StreamObject {
  fileprivate func checkStateSize(_ size: Int) throws(EngineError) {
    let expected = stream.stateByteCount
    guard size == expected else {
      throw EngineError(
        .shape,
        "size is \(UInt(bitPattern: size)), expected \(expected), the bytes of the stream's state")
    }
  }
}

@_cdecl("carousel_stream_update_weights") @implementation
public func carousel_stream_update_weights(_ stream: OpaquePointer?) -> carousel_status {
  entry { () throws(EngineError) in try StreamObject.of(stream).stream.updateWeights() }
}
