import Testing

@testable import LSTM

/// The same bits whatever the batch, the threads, and whether the steps come at once or one by one.
@Suite struct LayerInvarianceTests {
  /// Batch statistics are the one thing that rows of a batch share.
  static let separable = LayerCase.all.filter {
    !$0.name.hasPrefix("batch normalisation, training")
  }

  @Test(arguments: separable)
  func rowsDoNotSeeEachOther(_ test: LayerCase) throws {
    let whole = try test.probe(Float.self)
    let y = try whole.forward()
    for row in 0..<3 {
      let part = try LayerProbe<Float>(test.network, batch: 1, times: test.times)
      part.training = test.training
      part.firstRow = row
      part.mask = test.mask.map { [$0[row]] }
      for index in part.inputs.indices {
        let count = part.inputs[index].count
        part.inputs[index] = Array(whole.inputs[index][row * count..<(row + 1) * count])
      }
      let found = try part.forward()
      #expect(found == Array(y[row * found.count..<(row + 1) * found.count]))
    }
    try whole.checkThreads([3])
  }

  /// Rows and matrices of sizes that fill several tiles of the kernels, and an odd rest.
  @Test func largeProductsDoNotDependOnThreads() throws {
    var convolution = Conv1DDescription(filters: 70, kernelSize: 3)
    convolution.padding = .same
    let description = NetworkDescription.chain(
      .sequence(time: nil, features: 37),
      [.conv1D(convolution), .dense(units: 129, activation: .tanh, useBias: true)])
    let probe = try LayerProbe<Float>(description, batch: 7, times: [41])
    try probe.checkThreads([4])
  }

  static let streamable: [LayerKind] = {
    var causal = Conv1DDescription(filters: 4, kernelSize: 3)
    causal.padding = .causal
    causal.dilation = 2
    causal.groups = 3
    causal.filters = 6
    causal.activation = .tanh
    var pointwise = Conv1DDescription(filters: 4, kernelSize: 1)
    pointwise.useBias = false
    return [
      .conv1D(causal), .conv1D(pointwise), .dense(units: 5, activation: .softmax, useBias: true),
      .layerNormalization(epsilon: 1e-3, scales: true, centers: true, rms: false),
      .batchNormalization(epsilon: 1e-3, momentum: 0.9, scales: true, centers: true),
      .prelu(sharesTime: true), .masking(value: 0), .dropout(.elements(rate: 0.5)),
      .timeDistributed(.dense(units: 2, activation: .relu, useBias: true)),
    ]
  }()

  @Test(arguments: streamable)
  func stepByStepIsTheWholeSequence(_ kind: LayerKind) throws {
    try compareStream(Float.self, kind)
    try compareStream(Double.self, kind)
  }

  private func compareStream<S: Scalar>(_ type: S.Type, _ kind: LayerKind) throws {
    let probe = try LayerProbe<S>(kind, input: .sequence(time: nil, features: 3), time: 9)
    let whole = try probe.forward()
    var stream = try Stream(probe.network, batch: 3)
    let width = probe.network.outputShapes[0].features
    let element: TensorView.Element = S.dataType == .float32 ? .float32 : .float64
    /// Step t of all rows of an array (3, 9, width).
    func rows(_ values: [S], _ t: Int, _ width: Int) -> [S] {
      var result: [S] = []
      for b in 0..<3 {
        let start = (b * 9 + t) * width
        result += values[start..<start + width]
      }
      return result
    }
    func view(_ bytes: UnsafeMutableRawBufferPointer, _ width: Int) -> TensorView {
      TensorView(contiguous: bytes.baseAddress, element: element, batch: 3, time: 1, width: width)
    }
    func step(_ t: Int) throws -> [S] {
      var x = rows(probe.inputs[0], t, 3)
      var y = [S](repeating: 0, count: 3 * width)
      try x.withUnsafeMutableBytes { try stream.setInput(0, view($0, 3)) }
      stream.advance()
      try y.withUnsafeMutableBytes { try stream.readOutput(0, into: view($0, width)) }
      return y
    }
    func expected(_ t: Int) -> [S] { rows(whole, t, width) }
    for t in 0..<5 { #expect(try step(t) == expected(t)) }
    // A copy, and a stream that a snapshot is restored into, go on from the same place.
    var saved = [S](repeating: 0, count: stream.stateCount + 1)
    saved.withUnsafeMutableBufferPointer { stream.snapshot(into: $0.baseAddress!) }
    stream = try stream.copy()
    for t in 5..<9 { #expect(try step(t) == expected(t)) }
    stream.reset()
    #expect(try step(0) == expected(0))
    saved.withUnsafeBufferPointer { stream.restore(from: $0.baseAddress!) }
    for t in 5..<9 { #expect(try step(t) == expected(t)) }
  }

  @Test func weightGradientsOfWholeBlocksDoNotDependOnSegments() throws {
    let (batch, depth, columns, steps) = (3, 5, 7, 41)
    let x = randomValues(steps * batch * depth, seed: 1).map { Float($0) }
    let delta = randomValues(steps * batch * columns, seed: 2).map { Float($0) }
    func gradient(_ segments: [Range<Int>]) -> ([Float], [Float]) {
      var weights = [Float](repeating: 0, count: depth * columns)
      var bias = [Float](repeating: 0, count: columns)
      for segment in segments {
        WeightGradient.addProduct(
          steps: segment, batch: batch, depth: depth, columns: columns, x: x, xStride: depth,
          delta: delta, deltaStride: columns, into: &weights, stride: columns, threads: 1)
        WeightGradient.addColumnSums(
          steps: segment, batch: batch, columns: columns, delta: delta, deltaStride: columns,
          into: &bias)
      }
      return (weights, bias)
    }
    let whole = gradient([0..<41])
    for segments in [[32..<41, 0..<32], [16..<41, 0..<16], [32..<41, 16..<32, 0..<16]] {
      let found = gradient(segments)
      #expect(found.0 == whole.0 && found.1 == whole.1)
    }
  }
}
