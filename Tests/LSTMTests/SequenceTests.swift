import Testing

@testable import LSTM

/// Masks, lengths, empty sequences, initial states, traces: what a recurrent layer promises beside
/// its arithmetic.
@Suite struct SequenceTests {
  static let layers: [RecurrentCase] = {
    let names = ["vanilla", "mask zero", "backwards", "simple", "gru true", "gru false"]
    return (GradientTests.lstmCases + GradientTests.otherCases).filter { names.contains($0.name) }
  }()

  /// A row with holes equals the row without the masked steps.
  @Test(arguments: layers, [MaskedOutput.hold, .zero])
  func maskedStepsAreSkipped(_ layer: RecurrentCase, _ maskedOutput: MaskedOutput) throws {
    try check(layer, maskedOutput, Float.self)
    try check(layer, maskedOutput, Double.self)
  }

  private func check<S: Scalar>(
    _ layer: RecurrentCase, _ maskedOutput: MaskedOutput, _ type: S.Type
  ) throws {
    var test = layer.resized(6, 3, 4, 7)
    test.mask = [
      [1, 1, 1, 1, 0, 0, 0], [0, 0, 1, 0, 1, 1, 0], [0, 0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1, 1],
    ]
    test.maskedOutput = maskedOutput
    let probe = try RecurrentProbe<S>(test)
    // What is masked must not matter, whatever it is.
    for (b, row) in (test.mask ?? []).enumerated() {
      for (t, valid) in row.enumerated() where valid == 0 {
        for i in 0..<test.features {
          probe.input[(b * test.time + t) * test.features + i] = .nan
        }
      }
    }
    let execution = try probe.run(keeps: false)
    let output = try probe.output(execution)
    let width = probe.network.outputShapes[0].features
    let goesBackwards: Bool
    if case .recurrent(let layer) = test.layer {
      goesBackwards = layer.goBackwards
    } else {
      goesBackwards = false
    }

    for (b, row) in (test.mask ?? []).enumerated() {
      var steps = row.indices.filter { row[$0] != 0 }
      var dense = test
      dense.mask = nil
      dense.batch = 1
      dense.time = steps.count
      let alone = try RecurrentProbe<S>(dense)
      alone.input = steps.flatMap { t in
        let first = (b * test.time + t) * test.features
        return probe.input[first..<first + test.features]
      }
      alone.initial = probe.initial.map { state in
        let width = state.count / test.batch
        return Array(state[b * width..<(b + 1) * width])
      }
      let aloneExecution = try alone.run(keeps: false)
      let expected = try alone.output(aloneExecution)
      // In processing order.
      if goesBackwards { steps = steps.reversed().map { test.time - 1 - $0 } }
      var held = [S](repeating: 0, count: width)
      for t in 0..<test.time {
        let first = (b * test.time + t) * width
        let actual = Array(output[first..<first + width])
        if let position = steps.firstIndex(of: t) {
          held = Array(expected[position * width..<(position + 1) * width])
          #expect(actual == held, "row \(b), step \(t)")
        } else {
          let filler = maskedOutput == .hold ? held : [S](repeating: 0, count: width)
          #expect(actual == filler, "row \(b), masked step \(t)")
        }
      }
      for index in probe.initial.indices {
        let all = try probe.state(execution, index, .final)
        let size = all.count / test.batch
        #expect(
          try Array(all[b * size..<(b + 1) * size]) == alone.state(aloneExecution, index, .final),
          "final state \(index) of row \(b)")
      }
    }
    let (gradients, _) = try probe.gradients()
    #expect(gradients.parameters.allSatisfy { $0.allSatisfy { $0.isFinite } })
    for (b, row) in (test.mask ?? []).enumerated() {
      for (t, valid) in row.enumerated() where valid == 0 {
        for i in 0..<test.features {
          #expect(gradients.input[(b * test.time + t) * test.features + i] == 0)
        }
      }
    }
  }

  @Test func emptySequences() throws {
    for sequences in [true, false] {
      var layer = RecurrentDescription(
        cell: .lstm(LSTMDescription(units: 5)), returnSequences: sequences)
      layer.learnsInitialState = true
      var test = RecurrentCase(name: "empty", layer: .recurrent(layer))
      test.time = 0
      for keeps in [false, true] {
        let probe = try RecurrentProbe<Float>(test)
        let execution = try probe.run(keeps: keeps)
        #expect(try probe.state(execution, 0, .final) == probe.initial[0])
        #expect(try probe.state(execution, 1, .final) == probe.initial[1])
        #expect(try probe.output(execution).allSatisfy { $0 == 0 })
      }
      // All that a sequence without steps does is hand the states on.
      let probe = try RecurrentProbe<Float>(test)
      let (gradients, _) = try probe.gradients()
      #expect(
        gradients.initial == probe.stateWeights)
    }
  }

  /// Learned initial states count until states are given or carried, and again after a reset.
  @Test func learnedStatesAreTheFirst() throws {
    var layer = RecurrentDescription(
      cell: .lstm(LSTMDescription(units: 3)), returnSequences: true)
    layer.learnsInitialState = true
    var test = RecurrentCase(name: "learned", layer: .recurrent(layer))
    test.batch = 1
    test.time = 4
    test.givesStates = false
    let probe = try RecurrentProbe<Float>(test)
    let expected = try probe.output(probe.run(keeps: false))

    let stream = try Stream(probe.network, batch: 1)
    for _ in 0..<2 {
      for t in 0..<test.time {
        var x = Array(probe.input[t * 3..<t * 3 + 3])
        var y: [Float] = [0, 0, 0]
        try x.withUnsafeMutableBytes {
          try stream.setInput(
            0,
            TensorView(
              contiguous: $0.baseAddress, element: .float32, batch: 1, time: 1, width: 3))
        }
        stream.advance()
        try y.withUnsafeMutableBytes {
          try stream.readOutput(
            0,
            into: TensorView(
              contiguous: $0.baseAddress, element: .float32, batch: 1, time: 1, width: 3))
        }
        #expect(y == Array(expected[t * 3..<t * 3 + 3]))
      }
      stream.reset()
    }
  }

  /// The 1997 cut: h(t-1) is a constant to the gates and the cell input. The loss with h(t-1) held
  /// at the values of the forward pass has exactly these gradients.
  @Test func truncationCutsTheRecurrentPath() throws {
    let test = RecurrentCase.lstm(
      "cut", { $0.truncatesGates = true }, test: { $0.time = 6 })
    let probe = try RecurrentProbe<Double>(test)
    let (gradients, execution) = try probe.gradients()
    let trace = try #require(execution.run(ofLayer: "rnn")?.trace(.hidden, direction: 0))
    var frozen = [[Double]](repeating: [], count: test.time)
    for t in 0..<test.time {
      for b in 0..<test.batch {
        for j in 0..<4 {
          frozen[t].append(trace.values[(t * test.batch + b) * trace.stride + j])
        }
      }
    }
    let model = FrozenLSTM(probe: probe, frozen: frozen)
    for (parameter, gradient) in zip(probe.network.parameters, gradients.parameters) {
      for i in 0..<parameter.count {
        let at = parameter.offset + i
        let value = probe.network.values.pointer[at]
        probe.network.values.pointer[at] = value + 1e-5
        let above = model.loss()
        probe.network.values.pointer[at] = value - 1e-5
        let below = model.loss()
        probe.network.values.pointer[at] = value
        let expected = (above - below) / 2e-5
        #expect(abs(gradient[i] - expected) < 1e-7, "\(parameter.name)[\(i)]")
      }
    }
    #expect(gradients.initial[0].allSatisfy { $0 == 0 })
    // The kernels cut the same.
    let fast = try RecurrentProbe<Float>(test)
    let (fastGradients, _) = try fast.gradients()
    for (a, b) in zip(fastGradients.parameters, gradients.parameters) {
      #expect(zip(a, b).allSatisfy { abs(Double($0) - $1) < 1e-4 })
    }
  }

  /// Without gates' errors, peepholes, and with f = 1, the error of the cell is carried back unchanged
  /// by the constant error carousel; a decaying forget gate shrinks it.
  @Test func errorFlowsThroughTheCarousel() throws {
    let test = RecurrentCase.lstm(
      "carousel",
      {
        $0.hasForgetGate = false
        $0.truncatesGates = true
      },
      layer: { $0.returnSequences = false },
      test: { $0.time = 50 })
    let probe = try RecurrentProbe<Double>(test)
    let (_, execution) = try probe.gradients(flow: true)
    let run = try #require(execution.run(ofLayer: "rnn"))
    let norms = try #require(run.trace(.cellGradientNorm, direction: 0))
    let deltas = try #require(run.trace(.cellDelta, direction: 0))
    #expect(norms.rowsPerStep == 1)
    for t in 0..<test.time {
      // At the last step the output's error comes in; before it nothing is added or lost.
      #expect(abs(norms.values[t] - norms.values[0]) < 1e-12)
      var sum = 0.0
      for b in 0..<test.batch {
        for j in 0..<deltas.width {
          let value = deltas.values[(t * test.batch + b) * deltas.stride + j]
          sum += value * value
        }
      }
      #expect(abs(sum.squareRoot() - norms.values[t]) < 1e-12)
    }
  }

  @Test(arguments: ["vanilla", "coupled", "backwards", "peepholes", "mask held"])
  func tracesSatisfyTheEquations(_ name: String) throws {
    guard let base = GradientTests.lstmCases.first(where: { $0.name == name }) else { return }
    let test = base.resized(5, 3, 3, 7)
    let probe = try RecurrentProbe<Float>(test)
    let (_, execution) = try probe.gradients(flow: true)
    let run = try #require(execution.run(ofLayer: "rnn"))
    func value(_ field: TraceField, _ t: Int, _ b: Int, _ j: Int) throws -> Float {
      let view = try #require(run.trace(field, direction: 0), "\(field)")
      #expect(view.width == 5)
      return view.values[(t * view.rowsPerStep + b) * view.stride + j]
    }
    let isReversed = name == "backwards"
    for t in 0..<test.time {
      let previous = isReversed ? t + 1 : t - 1
      for b in 0..<test.batch where test.mask?[b][t] != 0 {
        for j in 0..<5 {
          let before =
            previous < 0 || previous == test.time
            ? probe.initial[1][b * 5 + j] : try value(.cell, previous, b, j)
          let f = try value(.forgetGate, t, b, j)
          let i = try value(.inputGate, t, b, j)
          let g = try value(.cellInput, t, b, j)
          let c = try value(.cell, t, b, j)
          #expect(abs(c - (f * before + i * g)) < 1e-6)
          if name == "coupled" { #expect(abs(f + i - 1) < 1e-7) }
          // δḡ = δc ⊙ i ⊙ (1 - g²)
          let expected = try value(.cellDelta, t, b, j) * i * (1 - g * g)
          #expect(abs(try value(.cellInputDelta, t, b, j) - expected) < 1e-6)
        }
      }
    }
  }
}

/// The LSTM written once more, with the recurrent inputs of the given forward pass as constants.
struct FrozenLSTM {
  let probe: RecurrentProbe<Double>
  let frozen: [[Double]]

  func loss() -> Double {
    let test = probe.test
    let units = 4
    let values = probe.network.values.pointer
    let offsets = probe.network.parameters.map(\.offset)
    var loss = 0.0
    for b in 0..<test.batch {
      var c = Array(probe.initial[1][b * units..<(b + 1) * units])
      var h = [Double](repeating: 0, count: units)
      for t in 0..<test.time {
        let previous = t == 0 ? probe.initial[0] : frozen[t - 1]
        var z = (0..<4 * units).map { values[offsets[2] + $0] }
        for j in 0..<4 * units {
          for i in 0..<test.features {
            z[j] +=
              probe.input[(b * test.time + t) * test.features + i]
              * values[offsets[0] + i * 4 * units + j]
          }
          for i in 0..<units {
            z[j] += previous[b * units + i] * values[offsets[1] + i * 4 * units + j]
          }
        }
        func sigmoid(_ x: Double) -> Double { ActivationMath.value(.sigmoid, x) }
        func tanh(_ x: Double) -> Double { ActivationMath.value(.tanh, x) }
        for j in 0..<units {
          c[j] = sigmoid(z[units + j]) * c[j] + sigmoid(z[j]) * tanh(z[2 * units + j])
          h[j] = sigmoid(z[3 * units + j]) * tanh(c[j])
          loss += h[j] * probe.outputWeights[(b * test.time + t) * units + j]
        }
      }
      for j in 0..<units {
        loss += h[j] * probe.stateWeights[0][b * units + j]
        loss += c[j] * probe.stateWeights[1][b * units + j]
      }
    }
    return loss
  }
}
