import CCarousel
import LSTM

@_cdecl("carousel_network_forward") @implementation
public func carousel_network_forward(
  _ network: OpaquePointer?, _ input: UnsafePointer<Float>?, _ batch: Int64, _ time: Int64,
  _ output: UnsafeMutablePointer<Float>?, _ outputCount: Int
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try NetworkObject.of(network)
    guard object.inputShapes.count == 1, object.outputShapes.count == 1 else {
      throw EngineError(
        .shape,
        "the network has \(object.inputShapes.count) inputs and \(object.outputShapes.count) "
          + "outputs, expected one of each: use carousel_network_run")
    }
    let batch = try Argument.size(batch, "batch")
    let time = try Argument.size(time, "time", from: 0)
    let inputShape = object.inputShapes[0]
    let outputShape = object.outputShapes[0]
    let outputTime = try object.network.outputTimes([time])[0]
    let inputSize = try Memory.product(batch, time, inputShape.features)
    let outputSize = try Memory.product(batch, outputTime, outputShape.features)
    guard input != nil || inputSize == 0 else { throw Argument.isNull("input") }
    guard output != nil || outputSize == 0 else { throw Argument.isNull("output") }
    guard outputCount == outputSize else {
      throw EngineError(
        .shape,
        "output_count is \(UInt(bitPattern: outputCount)), but the output has \(outputSize) values: "
          + "(batch, time, features) = (\(batch), \(outputTime), \(outputShape.features))")
    }
    var options = ForwardOptions()
    options.threads = Int(Settings.threads)
    try object.network.forward(
      [
        TensorView(
          contiguous: UnsafeMutableRawPointer(mutating: input), element: .float32, batch: batch,
          time: time, width: inputShape.features)
      ],
      into: [
        TensorView(
          contiguous: output, element: .float32, batch: batch, time: outputTime,
          width: outputShape.features)
      ],
      options: options)
  }
}

@_cdecl("carousel_network_run") @implementation
public func carousel_network_run(
  _ network: OpaquePointer?, _ inputs: UnsafePointer<carousel_array>?, _ inputCount: Int,
  _ outputs: UnsafePointer<carousel_array>?, _ outputCount: Int,
  _ options: UnsafePointer<carousel_run_options>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try NetworkObject.of(network)
    let settings = try Versioned.read(options, "options")
    let call = RunCall(object, isTimeMajor: settings.time_major != 0)
    let inputs = try call.inputs(inputs, inputCount)
    let options = try call.forwardOptions(settings, inputs: inputs)
    let outputs = try call.outputs(outputs, outputCount, "outputs", inputs: inputs)
    try object.network.forward(inputs, into: outputs, options: options)
  }
}

/// The arrays and options of one call, checked against the network before anything is computed.
struct RunCall {
  let object: NetworkObject
  let isTimeMajor: Bool

  init(_ object: NetworkObject, isTimeMajor: Bool) {
    self.object = object
    self.isTimeMajor = isTimeMajor
  }

  func inputs(
    _ arrays: UnsafePointer<carousel_array>?, _ count: Int
  ) throws(EngineError) -> [TensorView] {
    let shapes = object.inputShapes
    try Argument.count(count, "input_count", expected: shapes.count, of: "inputs")
    let arrays = try Argument.required(arrays, "inputs")
    var views: [TensorView] = []
    for (index, shape) in shapes.enumerated() {
      let view = try arrays[index].view(
        of: shape, timeMajor: isTimeMajor, "inputs[\(index)]")
      try check(view, batch: views.first?.batch, width: shape.features, "inputs[\(index)]")
      if let time = shape.time, time != view.time {
        throw EngineError(
          .shape, "inputs[\(index)] has \(view.time) steps, expected \(time)")
      }
      views.append(view)
    }
    return views
  }

  /// Views of arrays that have the shapes of the outputs: outputs, or gradients of them.
  func outputs(
    _ arrays: UnsafePointer<carousel_array>?, _ count: Int, _ name: StaticString,
    inputs: [TensorView], isWritten: Bool = true
  ) throws(EngineError) -> [TensorView] {
    try outputs(
      arrays, count, name, batch: inputs.first?.batch ?? 0,
      times: try object.network.outputTimes(inputs.map(\.time)), isWritten: isWritten)
  }

  func outputs(
    _ arrays: UnsafePointer<carousel_array>?, _ count: Int, _ name: StaticString, batch: Int,
    times: [Int], isWritten: Bool
  ) throws(EngineError) -> [TensorView] {
    let shapes = object.outputShapes
    try Argument.count(count, Argument.countName(of: name), expected: shapes.count, of: "outputs")
    let arrays = try Argument.required(arrays, name)
    var views: [TensorView] = []
    for (index, shape) in shapes.enumerated() {
      let view = try arrays[index].view(
        of: shape, timeMajor: isTimeMajor, isWritten: isWritten, "\(name)[\(index)]")
      try check(view, batch: batch, width: shape.features, "\(name)[\(index)]")
      guard view.time == times[index] else {
        throw EngineError(
          .shape, "\(name)[\(index)] has \(view.time) steps, expected \(times[index])")
      }
      views.append(view)
    }
    return views
  }

  /// Views of one array for each state; none for NULL with count 0.
  func states(
    _ arrays: UnsafePointer<carousel_array>?, _ count: Int, _ name: StaticString, batch: Int,
    isWritten: Bool
  ) throws(EngineError) -> [TensorView] {
    if arrays == nil, count == 0 { return [] }
    try Argument.count(
      count, Argument.countName(of: name), expected: object.states.count, of: "states")
    guard count > 0 else { return [] }
    let arrays = try Argument.required(arrays, name)
    var views: [TensorView] = []
    for (index, state) in object.states.enumerated() {
      let view = try arrays[index].stateView(isWritten: isWritten, "\(name)[\(index)]")
      try check(view, batch: batch, width: state.width, "\(name)[\(index)]")
      views.append(view)
    }
    return views
  }

  func forwardOptions(
    _ settings: carousel_run_options, inputs: [TensorView]
  ) throws(EngineError) -> ForwardOptions {
    let batch = inputs.first?.batch ?? 0
    let time = zip(inputs, object.inputShapes).first { $1.hasTime }?.0.time
    var options = ForwardOptions()
    options.threads = try Settings.threads(settings.threads, "options->threads")
    options.training = settings.training != 0
    options.randomKey = settings.seed
    options.lengths = settings.lengths
    options.maskedOutput = try MaskedOutput.given(
      settings.padding, "options->padding",
      default: settings.lengths != nil && settings.mask == nil ? .zero : nil)
    if let lengths = settings.lengths {
      guard let time else {
        throw EngineError(.shape, "options->lengths is given, but no input has a time axis")
      }
      for row in 0..<batch where lengths[row] < 0 || lengths[row] > Int64(time) {
        throw EngineError(
          .shape, "options->lengths[\(row)] is \(lengths[row]), expected 0 to \(time)")
      }
    }
    if let mask = settings.mask {
      guard let time else {
        throw EngineError(.shape, "options->mask is given, but no input has a time axis")
      }
      options.mask = mask
      (options.maskBatchStride, options.maskTimeStride) = try maskStrides(
        settings, batch: batch, time: time)
    }
    options.initialStates = try states(
      settings.initial_states, settings.initial_state_count, "options->initial_states",
      batch: batch, isWritten: false)
    options.finalStates = try states(
      settings.final_states, settings.final_state_count, "options->final_states", batch: batch,
      isWritten: true)
    return options
  }

  private func maskStrides(
    _ settings: carousel_run_options, batch: Int, time: Int
  ) throws(EngineError) -> (batch: Int, time: Int) {
    if settings.mask_batch_stride == 0, settings.mask_time_stride == 0 {
      return isTimeMajor ? (1, batch) : (time, 1)
    }
    let strides = (Int(settings.mask_batch_stride), Int(settings.mask_time_stride))
    let limit = UInt(Int.max / 16)
    let (rows, isFar) = strides.0.multipliedReportingOverflow(by: batch)
    let (steps, isFarther) = strides.1.multipliedReportingOverflow(by: time)
    guard !isFar, !isFarther, rows.magnitude <= limit, steps.magnitude <= limit else {
      throw EngineError(
        .shape, "options->mask has strides \(strides), more than memory can hold")
    }
    return strides
  }

  private func check(
    _ view: TensorView, batch: Int?, width: Int, _ name: @autoclosure () -> String
  ) throws(EngineError) {
    guard view.batch >= 1, view.batch <= Int(Int32.max) else {
      throw EngineError(.shape, "\(name()) has a batch of \(view.batch), expected 1 or more")
    }
    guard batch == nil || view.batch == batch else {
      throw EngineError(
        .shape, "\(name()) has a batch of \(view.batch), expected \(batch ?? 0) as the others")
    }
    guard view.width == width else {
      throw EngineError(.shape, "\(name()) has \(view.width) features, expected \(width)")
    }
    guard view.time <= Int(Int32.max) else {
      throw EngineError(.shape, "\(name()) has \(view.time) steps, more than \(Int32.max)")
    }
  }
}

extension MaskedOutput {
  /// The engine's rule for a padding of the caller's; `usual` for the default.
  static func given(
    _ padding: carousel_padding, _ name: StaticString, default usual: MaskedOutput?
  ) throws(EngineError) -> MaskedOutput? {
    switch padding {
    case CAROUSEL_PADDING_DEFAULT: usual
    case CAROUSEL_PADDING_HOLD: .hold
    case CAROUSEL_PADDING_ZERO: .zero
    default: throw Argument.unknown(padding.rawValue, name)
    }
  }
}
