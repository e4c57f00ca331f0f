import Testing

@testable import LSTM

/// The same bits whatever the batch, the number of threads, and whether a sequence comes whole or
/// step by step.
@Suite struct BitIdentityTests {
  static let cases: [RecurrentCase] = {
    let names = [
      "vanilla", "peepholes", "dense peepholes", "projection and clip", "layer norm", "cell only",
      "coupled", "other activations", "zoneout expectation", "simple", "gru true", "gru false",
      "gru true, other activations",
    ]
    let all = GradientTests.lstmCases + GradientTests.otherCases
    return names.flatMap { name in
      all.filter { $0.name == name }.flatMap { test in
        [test.resized(37, 21, 9, 8), test.resized(64, 32, 18, 20)]
      }
    }
  }()

  static let sequenceCases =
    cases
    + ["backwards", "mask held", "mask zero", "mask backwards", "zoneout masks", "dropouts"]
    .flatMap { name in
      GradientTests.lstmCases.filter { $0.name == name }.map { $0.resized(64, 32, 18, 20) }
    }
    + GradientTests.otherCases.filter { $0.name.contains("concat") || $0.name.contains("dropouts") }
    .map { $0.resized(64, 32, 18, 20) }

  /// Single precision and, for the smaller of the two sizes, the reference cells too.
  @Test(arguments: cases)
  func rowsDoNotDependOnTheBatch(_ test: RecurrentCase) throws {
    try compareRows(RecurrentProbe<Float>(test))
    if test.batch < 10 { try compareRows(RecurrentProbe<Double>(test)) }
  }

  private func compareRows<S: Scalar>(_ whole: RecurrentProbe<S>) throws {
    let test = whole.test
    let expected = try whole.output(whole.run(keeps: false))
    for row in [0, 1, test.batch - 1] {
      var alone = test
      alone.batch = 1
      let probe = try RecurrentProbe<S>(alone)
      let size = test.time * test.features
      probe.input = Array(whole.input[row * size..<(row + 1) * size])
      probe.initial = whole.initial.map { state in
        let width = state.count / test.batch
        return Array(state[row * width..<(row + 1) * width])
      }
      let actual = try probe.output(probe.run(keeps: false))
      let count = actual.count
      #expect(actual == Array(expected[row * count..<(row + 1) * count]), "row \(row)")
    }
  }

  @Test(arguments: cases)
  func stepsEqualTheWholeSequence(_ test: RecurrentCase) throws {
    let probe = try RecurrentProbe<Float>(test)
    let execution = try probe.run(keeps: false)
    let expected = try probe.output(execution)
    let stream = try Stream(probe.network, batch: test.batch)
    var next = 0
    var states = [Float](repeating: 0, count: stream.stateCount)
    for state in probe.initial {
      states.replaceSubrange(next..<next + state.count, with: state)
      next += state.count
    }
    stream.restore(from: &states)
    let width = expected.count / (test.batch * test.time)
    for t in 0..<test.time {
      var x: [Float] = []
      for b in 0..<test.batch {
        let first = (b * test.time + t) * test.features
        x += probe.input[first..<first + test.features]
      }
      var y = [Float](repeating: 0, count: test.batch * width)
      if t % 3 == 2 {
        // The two ways of stepping can be mixed.
        try stream.steps(x, 1, &y)
      } else {
        try x.withUnsafeMutableBufferPointer {
          try stream.setInput(0, floatView($0, test.batch, test.features))
        }
        stream.advance()
        try y.withUnsafeMutableBufferPointer {
          try stream.readOutput(0, into: floatView($0, test.batch, width))
        }
      }
      for b in 0..<test.batch {
        let first = (b * test.time + t) * width
        #expect(
          Array(y[b * width..<(b + 1) * width]) == Array(expected[first..<first + width]),
          "step \(t), row \(b)")
      }
    }
    for index in probe.initial.indices {
      let slot = stream.execution.states[index]
      let final = try probe.state(execution, index, .final)
      for b in 0..<test.batch {
        for j in 0..<slot.width {
          #expect(slot.initial[b * slot.stride + j] == final[b * slot.width + j])
        }
      }
    }
  }

  @Test func threadedStepsChangeNothing() throws {
    guard let base = GradientTests.lstmCases.first(where: { $0.name == "peepholes" }) else {
      return
    }
    let probe = try RecurrentProbe<Float>(base.resized(200, 100, 2, 30))
    let one = try Stream(probe.network, batch: 1)
    let two = try one.copy()
    two.threads = 2
    for t in 0..<30 {
      let x = Array(probe.input[t * 100..<(t + 1) * 100])
      var expected = [Float](repeating: 0, count: 200)
      var actual = expected
      try one.steps(x, 1, &expected)
      try two.steps(x, 1, &actual)
      #expect(actual == expected, "step \(t)")
    }
  }

  private func floatView(
    _ values: UnsafeMutableBufferPointer<Float>, _ batch: Int, _ width: Int
  ) -> TensorView {
    TensorView(
      contiguous: values.baseAddress.map { UnsafeMutableRawPointer($0) }, element: .float32,
      batch: batch, time: 1, width: width)
  }

  @Test(arguments: sequenceCases)
  func threadsChangeNothing(_ test: RecurrentCase) throws {
    let probe = try RecurrentProbe<Float>(test)
    let (one, oneExecution) = try probe.gradients(flow: true)
    let expected = try probe.output(oneExecution)
    for threads in [2, 3] {
      let (many, execution) = try probe.gradients(flow: true, threads: threads)
      #expect(many.parameters == one.parameters)
      #expect(many.input == one.input)
      #expect(many.initial == one.initial)
      for execution in [execution, try probe.run(keeps: false, threads: threads)] {
        #expect(try probe.output(execution) == expected)
        for state in probe.initial.indices {
          let wanted = try probe.state(oneExecution, state, .final)
          #expect(try probe.state(execution, state, .final) == wanted)
        }
      }
    }
  }

  /// Threads with few rows run their steps apart from the sequence's, with many in it (``StepStaging``): the same
  /// bits, and each kind is among the sizes.
  @Test(arguments: [(units: 24, batch: 5), (100, 21), (40, 34), (512, 18), (512, 34)])
  func stepsApartChangeNothing(_ size: (units: Int, batch: Int)) throws {
    guard let base = GradientTests.lstmCases.first(where: { $0.name == "vanilla" }) else { return }
    try threadsChangeNothing(base.resized(size.units, 24, size.batch, 5))
  }

  /// Batch 1: the threads share the units of a step.
  @Test(arguments: [(70, 150), (256, 128), (33, 1)])
  func sharedUnitsChangeNothing(_ sizes: (units: Int, features: Int)) throws {
    for name in ["vanilla", "peepholes", "coupled"] {
      guard let base = GradientTests.lstmCases.first(where: { $0.name == name }) else { continue }
      for batch in [1, 3] {
        let test = base.resized(sizes.units, sizes.features, batch, 37)
        let probe = try RecurrentProbe<Float>(test)
        let expected = try probe.output(probe.run(keeps: false))
        #expect(try probe.output(probe.run(keeps: false, threads: 2)) == expected)
        let (one, _) = try probe.gradients()
        let (two, _) = try probe.gradients(threads: 2)
        #expect(one.parameters == two.parameters)
        #expect(one.input == two.input)
      }
    }
  }
}
