import Testing

@testable import LSTM

/// What cannot be is refused when the network is built, or before it runs, with a reason.
@Suite struct LayerErrorTests {
  struct Refusal: Sendable, CustomStringConvertible {
    var kind: LayerKind
    var input: SignalShape
    var code: EngineError.Code
    /// What the message must name.
    var says: String

    init(
      _ kind: LayerKind, _ says: String, _ code: EngineError.Code = .invalidArgument,
      _ input: SignalShape = .sequence(time: nil, features: 3)
    ) {
      self.kind = kind
      self.input = input
      self.code = code
      self.says = says
    }

    var description: String { says }
  }

  static func convolution(_ change: (inout Conv1DDescription) -> Void) -> LayerKind {
    var convolution = Conv1DDescription(filters: 4, kernelSize: 3)
    change(&convolution)
    return .conv1D(convolution)
  }

  static func dense(_ units: Int) -> LayerKind {
    .dense(units: units, activation: .linear, useBias: true)
  }

  static let refusals: [Refusal] = [
    Refusal(dense(0), "units must be at least 1, got 0"),
    Refusal(dense(-4), "got -4"),
    Refusal(dense(.max), "does not fit", .outOfMemory),
    Refusal(dense(3), "ids", .shape, .ids(time: nil)),
    Refusal(.embedding(vocabulary: 0, dimension: 3, masksZero: false), "vocabulary"),
    Refusal(.embedding(vocabulary: 3, dimension: -1, masksZero: false), "dimension"),
    Refusal(
      .embedding(vocabulary: .max, dimension: 2, masksZero: false), "does not fit", .outOfMemory,
      .ids(time: nil)),
    Refusal(.embedding(vocabulary: 3, dimension: 2, masksZero: false), "reads ids", .shape),
    Refusal(.masking(value: 0), "time", .shape, .vector(features: 3)),
    Refusal(.dropout(.elements(rate: 1)), "[0, 1), got 1.0"),
    Refusal(.dropout(.elements(rate: -0.1)), "got -0.1"),
    Refusal(.dropout(.gaussian(rate: .nan)), "got nan"),
    Refusal(.dropout(.noise(deviation: -1)), "deviation"),
    Refusal(.dropout(.noise(deviation: .infinity)), "finite"),
    Refusal(
      .batchNormalization(epsilon: -1, momentum: 0.9, scales: true, centers: true), "epsilon"),
    Refusal(
      .batchNormalization(epsilon: 1, momentum: 1.5, scales: true, centers: true), "momentum"),
    Refusal(
      .layerNormalization(epsilon: .nan, scales: true, centers: true, rms: false), "epsilon"),
    Refusal(convolution { $0.kernelSize = 0 }, "kernel size"),
    Refusal(convolution { $0.filters = -1 }, "filters"),
    Refusal(convolution { $0.stride = 0 }, "stride"),
    Refusal(convolution { $0.dilation = 0 }, "dilation"),
    Refusal(convolution { ($0.stride, $0.dilation) = (2, 2) }, "exclude"),
    Refusal(convolution { $0.groups = 2 }, "2 groups", .shape),
    Refusal(convolution { ($0.kernelSize, $0.dilation) = (.max, 3) }, "fit", .outOfMemory),
    Refusal(
      convolution { $0.kernelSize = 9 }, "got a sequence of 5", .shape,
      .sequence(time: 5, features: 3)),
    Refusal(convolution { _ in }, "time", .shape, .vector(features: 3)),
    Refusal(
      .pooling1D(Pooling1DDescription(kind: .max, poolSize: 0, stride: 1)), "pool size"),
    Refusal(.pooling1D(Pooling1DDescription(kind: .max, poolSize: 2, stride: -1)), "stride"),
    Refusal(.flatten, "fixed number of steps", .shape),
    Refusal(
      .reshape([7]), "cannot make [7] of 15 elements", .shape,
      .sequence(time: 5, features: 3)),
    Refusal(.reshape([-1, -1]), "at most one", .unsupported),
    Refusal(.reshape([1, 2, 3]), "one or two", .unsupported),
    Refusal(.reshape([0]), "none 0", .unsupported),
    Refusal(.reshape([.max, .max]), "fit", .outOfMemory),
    Refusal(.permuteTimeAndFeatures, "fixed", .shape),
    Refusal(.repeatVector(3), "vector", .shape),
    Refusal(.repeatVector(0), "at least 1", .invalidArgument, .vector(features: 2)),
    Refusal(.zeroPadding1D(left: -1, right: 0), "negative"),
    Refusal(
      .zeroPadding1D(left: .max, right: 1), "fit", .outOfMemory,
      .sequence(time: 5, features: 3)),
    Refusal(.upSampling1D(0), "at least 1"),
    Refusal(.upSampling1D(.max), "fit", .outOfMemory, .sequence(time: 5, features: 3)),
    Refusal(.prelu(sharesTime: false), "fixed number of steps", .shape),
    Refusal(.timeDistributed(.repeatVector(2)), "repeatVector", .unsupported),
    Refusal(.timeDistributed(dense(1)), "time", .shape, .vector(features: 2)),
  ]

  @Test(arguments: refusals)
  func refusedWhenBuilt(_ refusal: Refusal) {
    do {
      _ = try Network<Float>(.chain(refusal.input, [refusal.kind]))
      Issue.record("\(refusal.kind) was accepted")
    } catch {
      #expect(error.code == refusal.code, "\(error.message)")
      #expect(error.message.contains(refusal.says), "\(error.message)")
      #expect(error.code == .outOfMemory || error.message.contains("'layer0'"))
    }
  }

  static let tooShort: [(LayerKind, SignalShape, Int)] = [
    (convolution { _ in }, .sequence(time: nil, features: 3), 2),
    (
      .pooling1D(Pooling1DDescription(kind: .max, poolSize: 4, stride: 1)),
      .sequence(time: nil, features: 3), 3
    ),
    (.globalPooling1D(.max, keepsTime: false), .sequence(time: nil, features: 3), 0),
    (.flatten, .sequence(time: 4, features: 3), 3),
    (.permuteTimeAndFeatures, .sequence(time: 4, features: 3), 5),
    (.prelu(sharesTime: false), .sequence(time: 4, features: 3), 5),
    (.reshape([-1, 5]), .sequence(time: nil, features: 3), 4),
    (.upSampling1D(.max), .sequence(time: nil, features: 3), 4),
  ]

  @Test(arguments: tooShort)
  func refusedBeforeItRuns(_ kind: LayerKind, _ input: SignalShape, _ time: Int) throws {
    let network = try Network<Float>(.chain(input, [kind]))
    #expect(throws: EngineError.self) { try network.outputTimes([time]) }
  }

  @Test(arguments: [
    [SignalShape.sequence(time: nil, features: 3), .sequence(time: nil, features: 2)],
    [.sequence(time: 4, features: 3), .sequence(time: 5, features: 3)],
    [.vector(features: 4), .sequence(time: 5, features: 3)],
  ])
  func mergesOfOtherShapes(_ shapes: [SignalShape]) {
    for kind in MergeTests.kinds {
      #expect(throws: EngineError.self) {
        try Network<Float>(.merging(kind, shapes.map { ($0, []) }))
      }
    }
  }

  @Test func mergesOfUnequalLengths() throws {
    let free = LayerCase.free
    let network = try Network<Float>(.merging(.add, [(free, []), (free, [])]))
    #expect(throws: EngineError.self) { try network.outputTimes([4, 5]) }
    #expect(throws: EngineError.self) {
      try Network<Float>(.merging(.subtract, [(free, []), (free, []), (free, [])]))
    }
    #expect(throws: EngineError.self) {
      try Network<Float>(
        .merging(.concatenate, [(free, []), (.vector(features: 3), [])]))
    }
  }

  static let wholeSequence: [(LayerKind, SignalShape)] = [
    (.flatten, LayerCase.fixed), (.repeatVector(2), .vector(features: 3)),
    (.pooling1D(Pooling1DDescription(kind: .max, poolSize: 2, stride: 2)), LayerCase.free),
    (.globalPooling1D(.average, keepsTime: false), LayerCase.free),
    (convolution { $0.padding = .same }, LayerCase.free),
    (convolution { ($0.padding, $0.stride) = (.causal, 2) }, LayerCase.free),
    (.permuteTimeAndFeatures, LayerCase.fixed), (.upSampling1D(2), LayerCase.free),
    (.zeroPadding1D(left: 1, right: 0), LayerCase.free),
    (.prelu(sharesTime: false), LayerCase.fixed),
  ]

  @Test(arguments: wholeSequence)
  func streamsAreRefusedWithAReason(_ kind: LayerKind, _ shape: SignalShape) throws {
    let network = try Network<Float>(.chain(shape, [kind]))
    do {
      _ = try Stream(network, batch: 1)
      Issue.record("\(kind) was streamed")
    } catch {
      #expect(error.code == .unsupported && error.message.contains("layer 'layer0'"))
    }
  }

  /// No steps are legal wherever they have a meaning.
  @Test(
    arguments: [
      dense(2), .activation(.softmax), .masking(value: 0), .dropout(.elements(rate: 0.5)),
      .batchNormalization(epsilon: 1e-3, momentum: 0.9, scales: true, centers: true),
      .layerNormalization(epsilon: 1e-3, scales: true, centers: true, rms: false),
      convolution { $0.padding = .same }, .zeroPadding1D(left: 1, right: 1), .upSampling1D(2),
      .prelu(sharesTime: true),
      .pooling1D(Pooling1DDescription(kind: .average, poolSize: 2, stride: 2, padsToSame: true)),
    ] as [LayerKind])
  func emptySequences(_ kind: LayerKind) throws {
    for training in [false, true] {
      let probe = try LayerProbe<Double>(kind, input: LayerCase.free, time: 0)
      probe.training = training
      #expect(try probe.forward().allSatisfy { $0 == 0 })
      #expect(try probe.gradients().parameters.allSatisfy { $0 == 0 })
    }
  }

  /// Whether a layer hands a mask on, as Keras 3.15 does (its `supports_masking`).
  @Test func masks() throws {
    let mask = LayerCase.holes
    for test in LayerCase.all where test.network.inputs.count == 1 {
      guard test.times == [5], case .sequence = test.network.nodes[0].inputShape else { continue }
      let probe = try test.probe(Float.self)
      probe.mask = mask
      let found = try probe.outputMask()
      switch test.network.nodes[1].layer.kind {
      case .conv1D, .pooling1D, .globalPooling1D, .flatten, .reshape, .permuteTimeAndFeatures,
        .zeroPadding1D, .upSampling1D, .layerNormalization(_, _, _, rms: true):
        #expect(found == nil, "\(test.name)")
      default:
        #expect(found == mask, "\(test.name)")
      }
    }
  }
}

extension NetworkDescription.Node {
  fileprivate var inputShape: SignalShape? {
    if case .input(let input) = layer.kind { input.shape } else { nil }
  }
}
