import Testing

@testable import LSTM

/// Every switch of every cell against central finite differences in double precision, with non-zero
/// initial states.
@Suite struct GradientTests {
  static let holes: [[UInt8]] = [[1, 1, 0, 1, 0], [0, 1, 1, 0, 1], [0, 0, 0, 0, 0]]

  static let lstmCases: [RecurrentCase] = [
    .lstm("vanilla"),
    .lstm("no bias", { $0.useBias = false }),
    .lstm("no input gate", { $0.hasInputGate = false }),
    .lstm("no forget gate", { $0.hasForgetGate = false }),
    .lstm("no output gate", { $0.hasOutputGate = false }),
    .lstm(
      "cell only",
      {
        $0.hasInputGate = false
        $0.hasForgetGate = false
        $0.hasOutputGate = false
      }),
    .lstm("coupled", { $0.couplesGates = true }),
    .lstm("peephole i", { $0.inputPeephole = true }),
    .lstm("peephole f", { $0.forgetPeephole = true }),
    .lstm("peephole o", { $0.outputPeephole = true }),
    .lstm("peepholes", { allPeepholes(&$0) }),
    .lstm(
      "dense peepholes",
      {
        allPeepholes(&$0)
        $0.peepholeKind = .dense
      }),
    .lstm(
      "coupled with peepholes",
      {
        $0.couplesGates = true
        $0.inputPeephole = true
        $0.outputPeephole = true
      }),
    .lstm("projection", { $0.projection = 2 }),
    .lstm(
      "projection and clip",
      {
        $0.projection = 3
        $0.projectionClip = 0.15
      }),
    .lstm(
      "cell clip",
      {
        $0.cellClip = 0.4
        $0.outputPeephole = true
      }),
    .lstm(
      "gate clip",
      {
        $0.gateClip = 0.5
        allPeepholes(&$0)
      }),
    .lstm("layer norm", { $0.layerNorm = true }),
    .lstm(
      "layer norm with everything",
      {
        $0.layerNorm = true
        $0.projection = 3
        $0.zoneout = 0.3
        allPeepholes(&$0)
      }),
    .lstm(
      "no input activation", { $0.activation = .linear }),
    .lstm("no output activation", { $0.outputActivation = .linear }),
    .lstm(
      "other activations",
      {
        $0.activation = .softsign
        $0.recurrentActivation = .hardSigmoidKeras2
        $0.outputActivation = .elu()
      }),
    .lstm("gelu", { $0.activation = .gelu() }),
    .lstm("zoneout expectation", { $0.zoneout = 0.2 }),
    .lstm(
      "zoneout masks",
      {
        $0.zoneout = 0.4
        $0.projection = 3
        $0.outputPeephole = true
      },
      test: { $0.training = true }),
    .lstm(
      "dropouts",
      {
        $0.projection = 3
      },
      layer: {
        $0.dropout = 0.4
        $0.recurrentDropout = 0.4
      },
      test: { $0.training = true }),
    .lstm("last output", layer: { $0.returnSequences = false }),
    .lstm("backwards", layer: { $0.goBackwards = true }),
    .lstm("mask held", { allPeepholes(&$0) }, test: { $0.mask = holes }),
    .lstm("mask zero", layer: { $0.maskedOutput = .zero }, test: { $0.mask = holes }),
    .lstm(
      "mask backwards", { $0.zoneout = 0.3 },
      layer: {
        $0.goBackwards = true
        $0.dropout = 0.3
      },
      test: {
        $0.mask = holes
        $0.training = true
      }),
    .lstm("mask last", layer: { $0.returnSequences = false }, test: { $0.mask = holes }),
    .lstm(
      "learned states", layer: { $0.learnsInitialState = true }, test: { $0.givesStates = false }),
    .lstm("learned states, given", layer: { $0.learnsInitialState = true }),
    .lstm(
      "long", units: 3,
      test: {
        $0.time = 37
        $0.batch = 2
      }),
  ]

  static let otherCases: [RecurrentCase] = {
    var cases: [RecurrentCase] = []
    func add(
      _ name: String, _ cell: CellDescription,
      _ change: (inout RecurrentDescription, inout RecurrentCase) -> Void = { _, _ in }
    ) {
      var layer = RecurrentDescription(cell: cell, returnSequences: true)
      var test = RecurrentCase(name: name, layer: .recurrent(layer))
      change(&layer, &test)
      test.layer = .recurrent(layer)
      cases.append(test)
    }
    let simple = CellDescription.simple(SimpleRNNDescription(units: 4))
    add("simple", simple)
    add("simple, dropouts", simple) { layer, test in
      layer.dropout = 0.3
      layer.recurrentDropout = 0.3
      test.training = true
      test.mask = holes
    }
    var softsign = SimpleRNNDescription(units: 4)
    softsign.activation = .softsign
    add("simple softsign", .simple(softsign)) { layer, _ in layer.learnsInitialState = true }
    for resetAfter in [true, false] {
      var gru = GRUDescription(units: 4)
      gru.resetAfter = resetAfter
      add("gru \(resetAfter)", .gru(gru))
      add("gru \(resetAfter), masks and dropouts", .gru(gru)) { layer, test in
        layer.dropout = 0.3
        layer.recurrentDropout = 0.3
        layer.goBackwards = true
        test.training = true
        test.mask = holes
      }
      gru.recurrentActivation = .hardSigmoid
      gru.activation = .silu
      gru.useBias = false
      add("gru \(resetAfter), other activations", .gru(gru))
    }
    let lstm = CellDescription.lstm(LSTMDescription(units: 3))
    for merge in [BidirectionalDescription.Merge.concat, .sum, .multiply, .average] {
      for sequences in [true, false] {
        for masked in [true, false] {
          let forward = RecurrentDescription(cell: lstm, returnSequences: sequences)
          var backward = forward
          backward.goBackwards = true
          var test = RecurrentCase(
            name: "bidirectional \(merge) \(sequences) \(masked)",
            layer: .bidirectional(.init(forward: forward, backward: backward, merge: merge)))
          test.mask = masked ? holes : nil
          cases.append(test)
        }
      }
    }
    return cases
  }()

  static func allPeepholes(_ cell: inout LSTMDescription) {
    cell.inputPeephole = true
    cell.forgetPeephole = true
    cell.outputPeephole = true
  }

  @Test(arguments: lstmCases + otherCases)
  func matchesFiniteDifferences(_ test: RecurrentCase) throws {
    let probe = try RecurrentProbe<Double>(test)
    let (gradients, _) = try probe.gradients()
    for (parameter, gradient) in zip(probe.network.parameters, gradients.parameters) {
      for i in 0..<parameter.count {
        let expected = try difference(probe) {
          probe.network.values.pointer[parameter.offset + i] = $0
        } at: {
          probe.network.values.pointer[parameter.offset + i]
        }
        #expect(
          isClose(gradient[i], expected), "\(parameter.name)[\(i)]: \(gradient[i]), \(expected)")
      }
    }
    for i in probe.input.indices {
      let expected = try difference(probe) {
        probe.input[i] = $0
      } at: {
        probe.input[i]
      }
      #expect(isClose(gradients.input[i], expected), "x[\(i)]: \(gradients.input[i]), \(expected)")
    }
    guard test.givesStates else { return }
    for state in probe.initial.indices {
      for i in probe.initial[state].indices {
        let expected = try difference(probe) {
          probe.initial[state][i] = $0
        } at: {
          probe.initial[state][i]
        }
        let actual = gradients.initial[state][i]
        #expect(isClose(actual, expected), "state \(state)[\(i)]: \(actual), \(expected)")
      }
    }
  }

  private func difference(
    _ probe: RecurrentProbe<Double>, _ set: (Double) -> Void, at get: () -> Double
  ) throws -> Double {
    let value = get()
    let step = 1e-5
    set(value + step)
    let above = try probe.loss()
    set(value - step)
    let below = try probe.loss()
    set(value)
    return (above - below) / (2 * step)
  }

  private func isClose(_ a: Double, _ b: Double) -> Bool { abs(a - b) <= 1e-8 + 1e-6 * abs(b) }
}
