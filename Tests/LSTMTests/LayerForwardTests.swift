import Testing

@testable import LSTM

/// A row-major array (batch, time, features), for oracles that are written as the definition.
struct Array3: Equatable {
  var batch: Int
  var time: Int
  var width: Int
  var values: [Double]

  init(_ batch: Int, _ time: Int, _ width: Int, _ values: [Double]) {
    self.batch = batch
    self.time = time
    self.width = width
    self.values = values
  }

  init(_ batch: Int, _ time: Int, _ width: Int, _ element: (Int, Int, Int) -> Double) {
    values = []
    for b in 0..<batch {
      for t in 0..<time { for j in 0..<width { values.append(element(b, t, j)) } }
    }
    self.batch = batch
    self.time = time
    self.width = width
  }

  subscript(b: Int, t: Int, j: Int) -> Double { values[(b * time + t) * width + j] }
}

/// Runs one layer on a random input of 3 rows, 5 steps and 6 features (or as given), and compares
/// with an oracle.
func check(
  _ kind: LayerKind, input shape: SignalShape = .sequence(time: 5, features: 6), steps: Int = 5,
  mask: [[UInt8]]? = nil, training: Bool = false,
  _ oracle: (_ x: Array3, _ parameters: [String: [Double]]) -> Array3
) throws {
  let probe = try LayerProbe<Double>(kind, input: shape, time: steps)
  probe.mask = mask
  probe.training = training
  var parameters: [String: [Double]] = [:]
  for parameter in probe.network.parameters {
    let start = probe.network.values.pointer + parameter.offset
    parameters[String(parameter.name.dropFirst("layer/".count))] = Array(
      UnsafeBufferPointer(start: start, count: parameter.count))
  }
  let x = Array3(3, shape.hasTime ? steps : 1, shape.features, probe.inputs[0])
  let expected = oracle(x, parameters)
  let found = try probe.forward()
  try #require(found.count == expected.values.count)
  for (a, b) in zip(found, expected.values) {
    #expect(abs(a - b) <= 1e-12 * max(1, abs(b)), "\(kind): \(a), expected \(b)")
  }
}

@Suite struct LayerForwardTests {
  @Test(arguments: [SignalShape.sequence(time: nil, features: 6), .vector(features: 6)])
  func dense(_ shape: SignalShape) throws {
    try check(.dense(units: 4, activation: .tanh, useBias: true), input: shape) { x, p in
      Array3(3, x.time, 4) { b, t, u in
        var sum = p["bias"]![u]
        for k in 0..<6 { sum += x[b, t, k] * p["kernel"]![k * 4 + u] }
        return ActivationMath.value(.tanh, sum)
      }
    }
  }

  @Test func embedding() throws {
    try check(
      .embedding(vocabulary: 7, dimension: 3, masksZero: true), input: .ids(time: nil)
    ) { x, p in
      Array3(3, 5, 3) { b, t, j in p["embeddings"]![Int(x[b, t, 0]) * 3 + j] }
    }
  }

  static let convolutions: [Conv1DDescription] = {
    var all: [Conv1DDescription] = []
    for padding in [Conv1DDescription.Padding.valid, .same, .causal] {
      for (kernel, stride, dilation, groups) in [
        (1, 1, 1, 1), (3, 1, 1, 1), (4, 1, 1, 2), (2, 1, 3, 1), (3, 2, 1, 1), (5, 3, 1, 3),
        (2, 5, 1, 6),
      ] {
        var convolution = Conv1DDescription(filters: 6, kernelSize: kernel)
        convolution.padding = padding
        convolution.stride = stride
        convolution.dilation = dilation
        convolution.groups = groups
        all.append(convolution)
      }
    }
    return all
  }()

  @Test(arguments: convolutions)
  func convolution(_ c: Conv1DDescription) throws {
    let reach = (c.kernelSize - 1) * c.dilation
    let time: Int
    let before: Int
    switch c.padding {
    case .valid: (time, before) = ((5 - reach - 1) / c.stride + 1, 0)
    case .causal: (time, before) = ((5 + c.stride - 1) / c.stride, reach)
    case .same:
      time = (5 + c.stride - 1) / c.stride
      before = max((time - 1) * c.stride + reach + 1 - 5, 0) / 2
    }
    let inputs = 6 / c.groups
    let filters = c.filters / c.groups
    try check(.conv1D(c)) { x, p in
      Array3(3, time, c.filters) { b, t, f in
        var sum = p["bias"]![f]
        for tap in 0..<c.kernelSize {
          let step = t * c.stride + tap * c.dilation - before
          guard 0..<5 ~= step else { continue }
          for k in 0..<inputs {
            let weight = p["kernel"]![(tap * inputs + k) * c.filters + f]
            sum += x[b, step, f / filters * inputs + k] * weight
          }
        }
        return sum
      }
    }
  }

  @Test(
    arguments: [PoolingKind.max, .average],
    [(2, 2, false), (3, 1, false), (3, 2, true), (4, 1, true), (7, 3, true), (5, 5, false)])
  func pooling(_ kind: PoolingKind, _ window: (size: Int, stride: Int, same: Bool)) throws {
    let (size, stride, same) = window
    let time = same ? (5 + stride - 1) / stride : (5 - size) / stride + 1
    let before = same ? max((time - 1) * stride + size - 5, 0) / 2 : 0
    try check(
      .pooling1D(
        Pooling1DDescription(kind: kind, poolSize: size, stride: stride, padsToSame: same))
    ) { x, _ in
      Array3(3, time, 6) { b, t, j in
        let steps = (0..<size).map { t * stride - before + $0 }.filter { 0..<5 ~= $0 }
        let values = steps.map { x[b, $0, j] }
        return kind == .max ? values.max()! : values.reduce(0, +) / Double(values.count)
      }
    }
  }

  @Test func globalPooling() throws {
    let mask = LayerCase.holes
    try check(.globalPooling1D(.max, keepsTime: false), mask: mask) { x, _ in
      Array3(3, 1, 6) { b, _, j in (0..<5).map { x[b, $0, j] }.max()! }
    }
    try check(.globalPooling1D(.average, keepsTime: true), mask: mask) { x, _ in
      Array3(3, 1, 6) { b, _, j in
        let valid = (0..<5).filter { mask[b][$0] != 0 }
        return valid.isEmpty
          ? 0 : valid.map { x[b, $0, j] }.reduce(0, +) / Double(valid.count)
      }
    }
  }

  @Test func layerNormalization() throws {
    try check(.layerNormalization(epsilon: 0.01, scales: true, centers: true, rms: false)) {
      x, p in
      Array3(3, 5, 6) { b, t, j in
        let row = (0..<6).map { x[b, t, $0] }
        let mean = row.reduce(0, +) / 6
        let variance = row.map { ($0 - mean) * ($0 - mean) }.reduce(0, +) / 6
        let normal = (x[b, t, j] - mean) / (variance + 0.01).squareRoot()
        return normal * p["gamma"]![j] + p["beta"]![j]
      }
    }
    try check(.layerNormalization(epsilon: 0.01, scales: true, centers: false, rms: true)) {
      x, p in
      Array3(3, 5, 6) { b, t, j in
        let square = (0..<6).map { x[b, t, $0] * x[b, t, $0] }.reduce(0, +) / 6
        return x[b, t, j] / (square + 0.01).squareRoot() * p["gamma"]![j]
      }
    }
  }

  @Test(arguments: [nil, LayerCase.holes])
  func batchNormalization(_ mask: [[UInt8]]?) throws {
    let kind = LayerKind.batchNormalization(
      epsilon: 0.01, momentum: 0.9, scales: true, centers: true)
    func normalise(
      _ value: Double, _ mean: Double, _ variance: Double, _ p: [String: [Double]], _ j: Int
    ) -> Double {
      (value - mean) / (variance + 0.01).squareRoot() * p["gamma"]![j] + p["beta"]![j]
    }
    try check(kind, mask: mask) { x, p in
      Array3(3, 5, 6) { b, t, j in
        normalise(x[b, t, j], p["moving_mean"]![j], p["moving_variance"]![j], p, j)
      }
    }
    try check(kind, mask: mask, training: true) { x, p in
      Array3(3, 5, 6) { b, t, j in
        let (mean, variance) = moments(x, j, mask)
        return normalise(x[b, t, j], mean, variance, p, j)
      }
    }
  }

  /// Keras adds 1e-7 to the number of valid steps if there is a mask.
  private func moments(
    _ x: Array3, _ j: Int, _ mask: [[UInt8]]?
  ) -> (mean: Double, variance: Double) {
    var values: [Double] = []
    for b in 0..<x.batch {
      for t in 0..<x.time where mask?[b][t] != 0 { values.append(x[b, t, j]) }
    }
    let count = Double(values.count) + (mask == nil ? 0 : 1e-7)
    let mean = values.reduce(0, +) / count
    return (mean, values.map { ($0 - mean) * ($0 - mean) }.reduce(0, +) / count)
  }

  /// A training pass leaves the parameters alone; `updateStatistics` moves them.
  @Test(arguments: [nil, LayerCase.holes])
  func movingStatistics(_ mask: [[UInt8]]?) throws {
    let probe = try LayerProbe<Double>(
      .batchNormalization(epsilon: 0.01, momentum: 0.9, scales: true, centers: false),
      input: .sequence(time: nil, features: 6))
    probe.mask = mask
    probe.training = true
    let before = Array(probe.network.values.elements)
    let execution = try probe.execution(keeps: true)
    execution.forward()
    #expect(Array(probe.network.values.elements) == before)
    execution.updateStatistics()
    let x = Array3(3, 5, 6, probe.inputs[0])
    let mean = try probe.network.parameter("layer/moving_mean")
    let variance = try probe.network.parameter("layer/moving_variance")
    #expect(!mean.isTrainable && !variance.isTrainable)
    for j in 0..<6 {
      let batch = moments(x, j, mask)
      let newMean = probe.network.values.pointer[mean.offset + j]
      let newVariance = probe.network.values.pointer[variance.offset + j]
      #expect(abs(newMean - (0.9 * before[mean.offset + j] + 0.1 * batch.mean)) < 1e-14)
      #expect(
        abs(newVariance - (0.9 * before[variance.offset + j] + 0.1 * batch.variance)) < 1e-14)
    }
    // At inference, and in a frozen layer, there is nothing to take over.
    probe.training = false
    let after = Array(probe.network.values.elements)
    let inference = try probe.execution(keeps: false)
    inference.forward()
    inference.updateStatistics()
    #expect(Array(probe.network.values.elements) == after)
  }

  @Test func frozenBatchNormalizationUsesMovingStatistics() throws {
    var layer = LayerDescription(
      name: "layer",
      kind: .batchNormalization(epsilon: 0.01, momentum: 0.9, scales: true, centers: true))
    layer.isTrainable = false
    let probe = try LayerProbe<Double>(
      NetworkDescription(
        input: InputDescription(shape: .sequence(time: nil, features: 6)), layers: [layer]),
      times: [5])
    let inference = try probe.forward()
    probe.training = true
    #expect(try probe.forward() == inference)
  }

  @Test func shapes() throws {
    try check(.flatten) { x, _ in Array3(3, 1, 30) { b, _, e in x[b, e / 6, e % 6] } }
    try check(.reshape([10, -1])) { x, _ in
      Array3(3, 10, 3) { b, t, j in x[b, (t * 3 + j) / 6, (t * 3 + j) % 6] }
    }
    try check(.reshape([-1, 2]), input: .sequence(time: nil, features: 6)) { x, _ in
      Array3(3, 15, 2) { b, t, j in x[b, (t * 2 + j) / 6, (t * 2 + j) % 6] }
    }
    try check(.permuteTimeAndFeatures) { x, _ in Array3(3, 6, 5) { b, t, j in x[b, j, t] } }
    try check(.repeatVector(4), input: .vector(features: 6)) { x, _ in
      Array3(3, 4, 6) { b, _, j in x[b, 0, j] }
    }
    try check(.zeroPadding1D(left: 2, right: 1)) { x, _ in
      Array3(3, 8, 6) { b, t, j in 2..<7 ~= t ? x[b, t - 2, j] : 0 }
    }
    try check(.upSampling1D(3)) { x, _ in Array3(3, 15, 6) { b, t, j in x[b, t / 3, j] } }
  }

  @Test func slopes() throws {
    try check(.prelu(sharesTime: true)) { x, p in
      Array3(3, 5, 6) { b, t, j in max(x[b, t, j], 0) + p["alpha"]![j] * min(x[b, t, j], 0) }
    }
    try check(.prelu(sharesTime: false)) { x, p in
      Array3(3, 5, 6) { b, t, j in
        max(x[b, t, j], 0) + p["alpha"]![t * 6 + j] * min(x[b, t, j], 0)
      }
    }
  }

  @Test func maskingZeroesAndMasks() throws {
    let probe = try LayerProbe<Double>(
      .masking(value: -1), input: .sequence(time: nil, features: 2))
    for j in 0..<2 {
      probe.inputs[0][(0 * 5 + 1) * 2 + j] = -1
      probe.inputs[0][(2 * 5 + 4) * 2 + j] = -1
    }
    probe.inputs[0][(1 * 5 + 3) * 2] = -1  // one of two features is not enough
    let expected = probe.inputs[0].enumerated().map { index, value in
      [1, 14].contains(index / 2) ? 0 : value
    }
    #expect(try probe.forward() == expected)
    #expect(try probe.outputMask() == [[1, 0, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 1, 1, 0]])
    probe.mask = LayerCase.holes
    #expect(try probe.outputMask() == [[1, 0, 1, 0, 0], [1, 0, 1, 1, 1], [0, 0, 0, 0, 0]])
  }
}
