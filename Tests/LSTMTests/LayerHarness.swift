import Testing

@testable import LSTM

/// A network on random inputs, run forwards and backwards through ``Execution``.
final class LayerProbe<S: Scalar> {
  let network: Network<S>
  let batch: Int
  let times: [Int]
  /// Row-major (batch, time, features) per input; ids as whole numbers.
  var inputs: [[S]]
  /// By row and step, 0 where masked; nil: no mask is given.
  var mask: [[UInt8]]?
  var training = false
  var randomKey: UInt64 = 11
  var firstRow = 0
  var threads = 1

  init(
    _ description: NetworkDescription, batch: Int = 3, times: [Int], seed: UInt64 = 3,
    randomizes: Bool = true
  ) throws {
    network = try Network<S>(description)
    self.batch = batch
    self.times = times
    if randomizes {
      for (index, parameter) in network.parameters.enumerated() {
        let positive = parameter.name.contains("variance") || parameter.name.contains("gamma")
        let values = randomValues(parameter.count, seed: seed &+ UInt64(index), scale: 0.7)
        for (i, value) in values.enumerated() {
          network.values.pointer[parameter.offset + i] = S(positive ? value + 1 : value)
        }
      }
      network.parametersChanged()
    }
    inputs = []
    for (index, shape) in network.inputShapes.enumerated() {
      let count = batch * times[index] * shape.features
      let values = randomValues(count, seed: seed &+ 100 &+ UInt64(index))
      if case .ids = shape {
        let limit = Double(network.vocabularies[index])
        inputs.append(values.map { S(((($0 + 1) / 2) * limit).rounded(.down)) })
      } else {
        inputs.append(values.map { S($0) })
      }
    }
  }

  /// One layer after an input of the given shape.
  convenience init(
    _ kind: LayerKind, input: SignalShape, batch: Int = 3, time: Int = 5, seed: UInt64 = 3
  ) throws {
    try self.init(
      NetworkDescription(
        input: InputDescription(shape: input),
        layers: [LayerDescription(name: "layer", kind: kind)]),
      batch: batch, times: [input.hasTime ? time : 1], seed: seed)
  }

  func execution(keeps: Bool) throws -> Execution<S> {
    let mode = ExecutionMode(keepsForBackward: keeps, takesMask: mask != nil)
    let execution = try Execution(
      network: network, weights: WeightSnapshot(network: network, forTraining: keeps),
      batch: batch, times: times, mode: mode)
    execution.context.isTraining = training
    execution.context.randomKey = randomKey
    execution.context.firstRow = firstRow
    execution.context.threads = threads
    try bind(execution)
    return execution
  }

  private func bind(_ execution: Execution<S>) throws {
    for index in inputs.indices {
      let width = network.inputShapes[index].features
      let time = times[index]
      try inputs[index].withUnsafeMutableBufferPointer {
        try execution.setInput(index, view($0, time, width))
      }
    }
    if let mask {
      var flat = mask.flatMap { $0 }
      flat.append(0)
      flat.withUnsafeBufferPointer {
        guard let base = $0.baseAddress else { return }
        execution.setMask(base, batchStride: mask[0].count, timeStride: 1)
      }
    }
  }

  private func view(
    _ values: UnsafeMutableBufferPointer<S>, _ time: Int, _ width: Int
  ) -> TensorView {
    TensorView(
      contiguous: values.baseAddress.map { UnsafeMutableRawPointer($0) },
      element: S.dataType == .float32 ? .float32 : .float64, batch: batch, time: time,
      width: width)
  }

  /// Row-major (batch, time, features).
  func output(_ execution: Execution<S>, _ index: Int = 0) throws -> [S] {
    let signal = execution.output(index)
    var values = [S](repeating: 0, count: batch * signal.time * signal.width)
    try values.withUnsafeMutableBufferPointer {
      try execution.readOutput(index, into: view($0, signal.time, signal.width))
    }
    return values
  }

  func forward() throws -> [S] {
    let execution = try execution(keeps: false)
    execution.forward()
    return try output(execution)
  }

  /// Validity of each output step by row and step; nil if the output has no mask.
  func outputMask() throws -> [[UInt8]]? {
    let execution = try execution(keeps: false)
    execution.forward()
    let signal = execution.output(0)
    guard let mask = signal.mask else { return nil }
    return (0..<batch).map { b in (0..<signal.time).map { mask[$0 * batch + b] } }
  }

  /// dL/dparameters (in the buffer's layout) and dL/dinputs of L = Σ w y, with fixed random w.
  func gradients() throws -> (parameters: [S], inputs: [[S]]) {
    let execution = try execution(keeps: true)
    execution.forward()
    execution.zeroGradients()
    for index in network.outputShapes.indices {
      let signal = execution.output(index)
      var weights = lossWeights(index, count: batch * signal.time * signal.width)
      try weights.withUnsafeMutableBufferPointer {
        try execution.setOutputGradient(index, view($0, signal.time, signal.width))
      }
    }
    execution.backward()
    let buffer = UnsafeBufferPointer(
      start: execution.parameterGradients, count: network.values.count)
    var inputGradients: [[S]] = []
    for index in inputs.indices {
      var values = inputs[index]
      let width = network.inputShapes[index].features
      try values.withUnsafeMutableBufferPointer {
        try execution.readInputGradient(index, into: view($0, times[index], width))
      }
      inputGradients.append(values)
    }
    return withExtendedLifetime(execution) { (Array(buffer), inputGradients) }
  }

  /// The output and all gradients with so many threads are those with one, to the bit.
  func checkThreads(_ counts: [Int]) throws {
    threads = 1
    let y = try forward()
    let expected = try gradients()
    for count in counts {
      threads = count
      #expect(try forward() == y, "\(count) threads")
      let found = try gradients()
      #expect(found.parameters == expected.parameters, "\(count) threads")
      #expect(found.inputs == expected.inputs, "\(count) threads")
    }
  }

  func lossWeights(_ output: Int, count: Int) -> [S] {
    randomValues(count, seed: 900 &+ UInt64(output)).map { S($0) }
  }

  func loss() throws -> Double {
    let execution = try execution(keeps: false)
    execution.forward()
    var loss = 0.0
    for index in network.outputShapes.indices {
      let values = try output(execution, index)
      let weights = lossWeights(index, count: values.count)
      for (value, weight) in zip(values, weights) { loss += Double(value) * Double(weight) }
    }
    return loss
  }
}

/// Compares every gradient with a central difference.
///
/// With step h the difference is off by h² f''' / 6 (curvature) and by about 2⁻⁵² |L| / h (rounding):
/// h = 1e-5 makes both about 1e-10 for losses and derivatives near 1; the tolerance allows for a
/// hundred times more.
func checkGradients(
  _ probe: LayerProbe<Double>, _ name: String, step: Double = 1e-5, tolerance: Double = 2e-8
) throws {
  let (parameters, inputs) = try probe.gradients()
  func check(_ analytic: Double, _ what: String, _ nudge: (Double) -> Void) throws {
    nudge(step)
    let above = try probe.loss()
    nudge(-2 * step)
    let below = try probe.loss()
    nudge(step)
    let numeric = (above - below) / (2 * step)
    let error = abs(analytic - numeric) / max(1, abs(numeric))
    #expect(error < tolerance, "\(name), \(what): \(analytic), numerically \(numeric)")
  }
  for parameter in probe.network.parameters where parameter.isTrainable {
    for i in 0..<parameter.count {
      let place = parameter.offset + i
      try check(parameters[place], "\(parameter.name)[\(i)]") {
        probe.network.values.pointer[place] += $0
      }
    }
  }
  for index in inputs.indices {
    if case .ids = probe.network.inputShapes[index] { continue }
    for i in inputs[index].indices {
      try check(inputs[index][i], "input \(index)[\(i)]") { probe.inputs[index][i] += $0 }
    }
  }
}

extension NetworkDescription {
  /// A chain of unnamed layers.
  static func chain(_ input: SignalShape, _ kinds: [LayerKind]) -> NetworkDescription {
    NetworkDescription(
      input: InputDescription(shape: input),
      layers: kinds.enumerated().map { LayerDescription(name: "layer\($0)", kind: $1) })
  }

  /// Several inputs, each through its own chain of layers, into one merge.
  static func merging(
    _ kind: MergeKind, _ inputs: [(shape: SignalShape, layers: [LayerKind])],
    masks: MergedMask = .any
  ) -> NetworkDescription {
    var nodes: [Node] = []
    for (index, input) in inputs.enumerated() {
      nodes.append(
        Node(
          layer: LayerDescription(
            name: "input\(index)", kind: .input(InputDescription(shape: input.shape))),
          inputs: []))
    }
    var ends: [Int] = []
    for (index, input) in inputs.enumerated() {
      var end = index
      for layer in input.layers {
        nodes.append(
          Node(layer: LayerDescription(name: "n\(nodes.count)", kind: layer), inputs: [end]))
        end = nodes.count - 1
      }
      ends.append(end)
    }
    nodes.append(
      Node(layer: LayerDescription(name: "merge", kind: .merge(kind, masks: masks)), inputs: ends))
    return NetworkDescription(
      name: "merging", nodes: nodes, inputs: Array(inputs.indices), outputs: [nodes.count - 1])
  }
}
