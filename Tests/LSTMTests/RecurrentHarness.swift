import Testing

@testable import LSTM

/// Runs one-layer networks on random data, forwards and backwards, for any number type.
struct RecurrentCase: CustomStringConvertible, Sendable {
  var name: String
  var layer: LayerKind
  var batch = 3
  var time = 5
  var features = 3
  /// By row and step, 0 where masked.
  var mask: [[UInt8]]?
  var training = false
  var givesStates = true
  var maskedOutput: MaskedOutput?

  var description: String { name }

  var network: NetworkDescription {
    NetworkDescription(
      input: InputDescription(shape: .sequence(time: nil, features: features)),
      layers: [LayerDescription(name: "rnn", kind: layer)])
  }

  static func lstm(
    _ name: String, units: Int = 4, _ change: (inout LSTMDescription) -> Void = { _ in },
    layer changeLayer: (inout RecurrentDescription) -> Void = { _ in },
    test changeCase: (inout RecurrentCase) -> Void = { _ in }
  ) -> RecurrentCase {
    var cell = LSTMDescription(units: units)
    change(&cell)
    var layer = RecurrentDescription(cell: .lstm(cell), returnSequences: true)
    changeLayer(&layer)
    var result = RecurrentCase(name: name, layer: .recurrent(layer))
    changeCase(&result)
    return result
  }
}

/// Reproducible random values in (-scale, scale).
func randomValues(_ count: Int, seed: UInt64, scale: Double = 1) -> [Double] {
  var generator = RandomGenerator(seed: seed)
  return (0..<count).map { _ in (2 * generator.uniform() - 1) * scale }
}

/// A network of a case with everything that a pass needs, in one flat vector of variables:
/// parameters, inputs, initial states.
final class RecurrentProbe<S: Scalar> {
  let test: RecurrentCase
  let network: Network<S>
  var input: [S]
  var initial: [[S]]
  /// Weights of the loss: L = Σ output w + Σ final states w.
  let outputWeights: [S]
  let stateWeights: [[S]]
  let outputCount: Int

  init(_ test: RecurrentCase, seed: UInt64 = 7) throws {
    self.test = test
    network = try Network<S>(test.network)
    for (index, parameter) in network.parameters.enumerated() {
      let values = randomValues(parameter.count, seed: seed &+ UInt64(index), scale: 0.7)
      for (i, value) in values.enumerated() {
        let centre = parameter.name.contains("scale") ? 1.0 : 0
        network.values.pointer[parameter.offset + i] = S(value + centre)
      }
    }
    network.parametersChanged()
    input = randomValues(test.batch * test.time * test.features, seed: seed &+ 100).map { S($0) }
    let widths = network.stateWidths
    initial = widths.enumerated().map { index, width in
      randomValues(test.batch * width, seed: seed &+ 200 &+ UInt64(index)).map { S($0) }
    }
    let steps = network.outputShapes[0].hasTime ? test.time : 1
    outputCount = test.batch * steps * network.outputShapes[0].features
    outputWeights = randomValues(outputCount, seed: seed &+ 300).map { S($0) }
    stateWeights = widths.enumerated().map { index, width in
      randomValues(test.batch * width, seed: seed &+ 400 &+ UInt64(index)).map { S($0) }
    }
  }

  /// A contiguous array: batch, time, width.
  func view(
    _ values: UnsafeMutableBufferPointer<S>, _ time: Int, _ width: Int
  ) -> TensorView {
    TensorView(
      contiguous: values.baseAddress.map { UnsafeMutableRawPointer($0) },
      element: TensorView.Element(S.dataType),
      batch: test.batch, time: time, width: width)
  }

  /// A forward pass.
  func run(
    keeps: Bool, flow: Bool = false, threads: Int = 1
  ) throws -> Execution<S> {
    network.parametersChanged()
    var options = ForwardOptions()
    options.training = test.training
    options.randomKey = 5
    options.maskedOutput = test.maskedOutput
    options.threads = threads
    let flat = test.mask?.flatMap { $0 } ?? []
    var states = initial
    let widths = network.stateWidths
    let mode = ExecutionMode(
      keepsForBackward: keeps, recordsGradientFlow: flow, takesMask: test.mask != nil)
    var views: [TensorView] = []
    let buffers = states.indices.map { index -> UnsafeMutableBufferPointer<S> in
      let buffer = UnsafeMutableBufferPointer<S>.allocate(capacity: states[index].count)
      _ = buffer.initialize(from: states[index])
      return buffer
    }
    defer { for buffer in buffers { buffer.deallocate() } }
    states = []
    for (buffer, width) in zip(buffers, widths) { views.append(view(buffer, 1, width)) }
    if test.givesStates { options.initialStates = views }
    return try flat.withUnsafeBufferPointer { bytes in
      if test.mask != nil {
        options.mask = bytes.baseAddress
        options.maskBatchStride = test.time
        options.maskTimeStride = 1
      }
      return try input.withUnsafeMutableBufferPointer { values in
        try network.run([view(values, test.time, test.features)], mode: mode, options: options)
      }
    }
  }

  func output(_ execution: Execution<S>) throws -> [S] {
    var values = [S](repeating: 0, count: outputCount)
    let signal = execution.output(0)
    try values.withUnsafeMutableBufferPointer {
      try execution.readOutput(0, into: view($0, signal.time, signal.width))
    }
    return values
  }

  func state(_ execution: Execution<S>, _ index: Int, _ part: Execution<S>.StatePart) throws -> [S]
  {
    let width = network.stateWidths[index]
    var values = [S](repeating: 0, count: test.batch * width)
    try values.withUnsafeMutableBufferPointer {
      try execution.readState(index, part, into: view($0, 1, width))
    }
    return values
  }

  func loss() throws -> Double {
    let execution = try run(keeps: false)
    var sum = 0.0
    for (y, w) in zip(try output(execution), outputWeights) { sum += Double(y) * Double(w) }
    for index in stateWeights.indices {
      for (y, w) in zip(try state(execution, index, .final), stateWeights[index]) {
        sum += Double(y) * Double(w)
      }
    }
    return sum
  }

  /// Gradients of the loss: by parameter, input, and initial states.
  struct Gradients {
    var parameters: [[S]]
    var input: [S]
    var initial: [[S]]
  }

  func gradients(flow: Bool = false, threads: Int = 1) throws -> (Gradients, Execution<S>) {
    let execution = try run(keeps: true, flow: flow, threads: threads)
    execution.zeroGradients()
    let signal = execution.output(0)
    var weights = outputWeights
    try weights.withUnsafeMutableBufferPointer {
      try execution.setOutputGradient(0, view($0, signal.time, signal.width))
    }
    for (index, width) in network.stateWidths.enumerated() {
      var weights = stateWeights[index]
      try weights.withUnsafeMutableBufferPointer {
        try execution.setState(index, .finalGradient, view($0, 1, width))
      }
    }
    execution.backward()
    let base = try #require(execution.parameterGradients)
    let parameters = network.parameters.map { parameter in
      (0..<parameter.count).map { base[parameter.offset + $0] }
    }
    var inputGradient = [S](repeating: 0, count: input.count)
    try inputGradient.withUnsafeMutableBufferPointer {
      try execution.readInputGradient(0, into: view($0, test.time, test.features))
    }
    let initial = try network.stateWidths.indices.map {
      try state(execution, $0, .initialGradient)
    }
    return (
      Gradients(parameters: parameters, input: inputGradient, initial: initial), execution
    )
  }
}
