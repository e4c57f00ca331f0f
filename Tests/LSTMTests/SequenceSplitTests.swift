import Testing

@testable import LSTM

/// How a pass is divided between threads, and that it shows in no bit.
@Suite struct SequenceSplitTests {
  private static func choose(
    _ threads: Int, batch: Int, steps: Int = 100, units: Int, dividesUnits: Bool = true
  ) -> SequenceSplit {
    SequenceSplit.choose(
      threads: threads,
      SequenceSplit.Size(
        batch: batch, steps: steps, units: units, stepWork: 8 * units * units,
        recurrentBytes: 16 * units * units),
      dividesUnits: dividesUnits)
  }

  @Test func rowsWhereTheyAreManyOrTheWeightsNear() {
    #expect(Self.choose(2, batch: 32, units: 256) == .rows(parts: 2))
    #expect(Self.choose(2, batch: 3, units: 64) == .rows(parts: 2))
    #expect(Self.choose(8, batch: 64, units: 1024, dividesUnits: false) == .rows(parts: 8))
    #expect(Self.choose(2, batch: 64, units: 1024) == .rows(parts: 2))
  }

  @Test func unitsWhereReadingTheWeightsIsWhatCosts() {
    #expect(Self.choose(2, batch: 1, units: 128) == .units(parts: 2))
    #expect(Self.choose(2, batch: 4, units: 256) == .units(parts: 2))
    #expect(Self.choose(2, batch: 16, units: 1024) == .units(parts: 2))
  }

  @Test func nothingWhereItIsNotWorthWhile() {
    #expect(Self.choose(1, batch: 32, units: 256) == .none)
    #expect(Self.choose(2, batch: 1, units: 32) == .none)
    #expect(Self.choose(2, batch: 2, steps: 3, units: 32) == .none)
    #expect(Self.choose(2, batch: 1, units: 256, dividesUnits: false) == .none)
  }

  /// Sizes for each of the ways above, forwards and backwards, with and without a flow that is recorded.
  @Test(arguments: [
    (40, 9, 7, 80), (64, 64, 2, 90), (160, 16, 5, 20), (264, 8, 3, 18), (456, 8, 9, 18),
  ])
  func noWayChangesABit(_ size: (units: Int, features: Int, batch: Int, steps: Int)) throws {
    let names = [
      "vanilla", "peepholes", "coupled", "mask held", "gru true", "gru false",
      "gru true, other activations", "gru true, masks and dropouts", "simple",
      "bidirectional concat true false", "bidirectional multiply false true",
    ]
    let all = GradientTests.lstmCases + GradientTests.otherCases
    for name in names {
      let base = try #require(all.first { $0.name == name }, "\(name)")
      let test = base.resized(size.units, size.features, size.batch, size.steps)
      let probe = try RecurrentProbe<Float>(test)
      let (one, alone) = try probe.gradients()
      let expected = try probe.output(alone)
      for threads in [2, 3] {
        for flow in [false, true] {
          let (many, execution) = try probe.gradients(flow: flow, threads: threads)
          #expect(try probe.output(execution) == expected)
          #expect(many.parameters == one.parameters)
          #expect(many.input == one.input)
          #expect(many.initial == one.initial)
        }
      }
    }
  }
}
