import Testing

@testable import LSTM

/// Every layer kind, with odd sizes: its backward pass against finite differences of its forward
/// pass, and its single-precision results against its double-precision ones.
struct LayerCase: Sendable, CustomStringConvertible {
  var name: String
  var network: NetworkDescription
  var times: [Int]
  var mask: [[UInt8]]?
  var training = false

  var description: String { name }

  static let holes: [[UInt8]] = [[1, 1, 1, 0, 0], [1, 0, 1, 1, 1], [0, 0, 0, 0, 0]]
  static let free = SignalShape.sequence(time: nil, features: 3)
  static let fixed = SignalShape.sequence(time: 5, features: 3)

  static func one(
    _ name: String, _ kind: LayerKind, _ input: SignalShape = free, training: Bool = false,
    mask: [[UInt8]]? = nil
  ) -> LayerCase {
    LayerCase(
      name: name, network: .chain(input, [kind]), times: [input.hasTime ? 5 : 1], mask: mask,
      training: training)
  }

  static func convolution(
    _ name: String, kernel: Int = 3, _ change: (inout Conv1DDescription) -> Void = { _ in }
  ) -> LayerCase {
    var convolution = Conv1DDescription(filters: 4, kernelSize: kernel)
    change(&convolution)
    return one(
      "convolution, " + name, .conv1D(convolution), .sequence(time: nil, features: 6))
  }

  static func pooling(_ kind: PoolingKind, _ size: Int, _ stride: Int, same: Bool) -> LayerCase {
    one(
      "\(kind) pooling \(size)/\(stride) \(same ? "same" : "valid")",
      .pooling1D(
        Pooling1DDescription(kind: kind, poolSize: size, stride: stride, padsToSame: same)))
  }

  static func merge(
    _ name: String, _ kind: MergeKind, _ shapes: [SignalShape], mask: [[UInt8]]? = nil
  ) -> LayerCase {
    LayerCase(
      name: "\(kind), \(name)", network: .merging(kind, shapes.map { ($0, []) }),
      times: shapes.map { $0.hasTime ? ($0.time ?? 5) : 1 }, mask: mask)
  }

  static let activations: [Activation] = [
    .linear, .tanh, .sigmoid, .hardSigmoid, .hardSigmoidKeras2, .relu,
    .relu(slope: 0.1, maximum: 0.5, threshold: 0.2), .elu(alpha: 1.3), .selu, .gelu(),
    .gelu(approximate: true), .silu, .softplus, .softsign, .exponential, .softmax,
  ]

  static let all: [LayerCase] =
    activations.map { one("activation \($0)", .activation($0)) }
    + activations.map {
      one("dense, \($0)", .dense(units: 4, activation: $0, useBias: true))
    }
    + [
      one(
        "dense, no bias, vector", .dense(units: 1, activation: .tanh, useBias: false),
        .vector(features: 7)),
      LayerCase(
        name: "dense, more steps than a block",
        network: .chain(
          free, [.timeDistributed(.dense(units: 2, activation: .tanh, useBias: true))]),
        times: [19]),
      one("embedding", .embedding(vocabulary: 4, dimension: 3, masksZero: true), .ids(time: nil)),
      one("masking", .masking(value: 0.25), mask: holes),
      one("prelu, shared", .prelu(sharesTime: true)),
      one("prelu, by step", .prelu(sharesTime: false), fixed),
      one("prelu, vector", .prelu(sharesTime: false), .vector(features: 5)),
      one("prelu, time distributed", .timeDistributed(.prelu(sharesTime: false))),
      one("dropout", .dropout(.elements(rate: 0.4)), training: true),
      one("dropout at inference", .dropout(.elements(rate: 0.4))),
      one("spatial dropout", .dropout(.channels(rate: 0.4)), training: true),
      one("gaussian dropout", .dropout(.gaussian(rate: 0.3)), training: true),
      one("noise", .dropout(.noise(deviation: 0.3)), training: true),
      one("alpha dropout", .dropout(.alpha(rate: 0.3)), training: true),
      one("identity", .dropout(.identity), training: true),
      batchNormalization("inference", training: false, mask: nil),
      batchNormalization("training", training: true, mask: nil),
      batchNormalization("training with a mask", training: true, mask: holes),
      layerNormalization(scales: true, centers: true, rms: false),
      layerNormalization(scales: false, centers: true, rms: false),
      layerNormalization(scales: true, centers: false, rms: true),
      layerNormalization(scales: false, centers: false, rms: true),
      convolution("valid"),
      convolution("same, even kernel", kernel: 4) { $0.padding = .same },
      convolution("causal, dilated") {
        $0.padding = .causal
        $0.dilation = 2
      },
      convolution("strided, many steps", kernel: 2) { $0.stride = 2 },
      convolution("strided, same") {
        $0.stride = 3
        $0.padding = .same
      },
      convolution("groups, activation, no bias") {
        $0.groups = 2
        $0.activation = .gelu()
        $0.useBias = false
      },
      convolution("wider than the sequence", kernel: 7) { $0.padding = .same },
      pooling(.max, 2, 2, same: false), pooling(.max, 3, 2, same: true),
      pooling(.average, 3, 1, same: false), pooling(.average, 3, 2, same: true),
      pooling(.average, 7, 4, same: true),
      one("global max", .globalPooling1D(.max, keepsTime: false), mask: holes),
      one("global average", .globalPooling1D(.average, keepsTime: true), mask: holes),
      one("flatten", .flatten, fixed),
      one("reshape", .reshape([-1, 5]), fixed),
      one("reshape, free time", .reshape([-1, 1])),
      one("permute", .permuteTimeAndFeatures, fixed),
      one("repeat", .repeatVector(4), .vector(features: 3)),
      one("padding", .zeroPadding1D(left: 2, right: 1)),
      one("up-sampling", .upSampling1D(3)),
      merge("three", .concatenate, [free, .sequence(time: 5, features: 2), free]),
      merge("vectors", .concatenate, [.vector(features: 2), .vector(features: 5)]),
      merge("two", .subtract, [free, free]),
      merge("all widths", .subtract, [free, .vector(features: 1)]),
    ]
    + [MergeKind.add, .multiply, .average, .maximum, .minimum].flatMap { kind in
      [
        merge("three", kind, [free, fixed, free]),
        merge("masked", kind, [free, free], mask: holes),
        merge(
          "broadcast", kind,
          [.sequence(time: 1, features: 3), free, .vector(features: 3), .vector(features: 1)]),
      ]
    }

  private static func batchNormalization(
    _ name: String, training: Bool, mask: [[UInt8]]?
  ) -> LayerCase {
    one(
      "batch normalisation, \(name)",
      .batchNormalization(epsilon: 1e-3, momentum: 0.9, scales: true, centers: true),
      training: training, mask: mask)
  }

  private static func layerNormalization(scales: Bool, centers: Bool, rms: Bool) -> LayerCase {
    one(
      "layer normalisation, scales \(scales), centers \(centers), rms \(rms)",
      .layerNormalization(epsilon: 1e-3, scales: scales, centers: centers, rms: rms))
  }

  func probe<S: Scalar>(_ type: S.Type) throws -> LayerProbe<S> {
    let probe = try LayerProbe<S>(network, times: times)
    probe.mask = mask
    probe.training = training
    return probe
  }
}

@Suite struct LayerGradientTests {
  @Test(arguments: LayerCase.all)
  func backwardMatchesFiniteDifferences(_ test: LayerCase) throws {
    try checkGradients(test.probe(Double.self), test.name)
  }

  /// The sum of a few dozen products of numbers below 1 is good to a few units in 2⁻²⁴; the kernels'
  /// activations to a few ulp.
  @Test(arguments: LayerCase.all)
  func singlePrecisionFollowsDouble(_ test: LayerCase) throws {
    let single = try test.probe(Float.self)
    let double = try test.probe(Double.self)
    for index in single.inputs.indices {
      double.inputs[index] = single.inputs[index].map(Double.init)
    }
    for i in 0..<single.network.values.count {
      double.network.values.pointer[i] = Double(single.network.values.pointer[i])
    }
    try expectClose(single.forward(), double.forward(), test.name)
    let (parameters, inputs) = try single.gradients()
    // The loss weights are rounded in the one and not in the other, hence the same tolerance.
    let (expectedParameters, expectedInputs) = try double.gradients()
    try expectClose(parameters, expectedParameters, "\(test.name), parameters")
    for (found, expected) in zip(inputs, expectedInputs) {
      try expectClose(found, expected, "\(test.name), inputs")
    }
  }

  private func expectClose(_ found: [Float], _ expected: [Double], _ name: String) throws {
    try #require(found.count == expected.count)
    for (a, b) in zip(found, expected) {
      #expect(abs(Double(a) - b) <= 4e-6 * max(1, abs(b)), "\(name): \(a), expected \(b)")
    }
  }
}
