import Testing

@testable import LSTM

/// Layers on each other that threads walk over at once: chosen where it pays, and the same bits.
@Suite struct RecurrentStackTests {
  private static func lstm(_ units: Int, sequences: Bool = true) -> RecurrentDescription {
    RecurrentDescription(cell: .lstm(LSTMDescription(units: units)), returnSequences: sequences)
  }

  private static func probe<S: Scalar>(
    _ layers: [RecurrentDescription], features: Int = 40, batch: Int = 1, time: Int,
    as type: S.Type = Float.self
  ) throws -> LayerProbe<S> {
    try LayerProbe<S>(
      .chain(.sequence(time: nil, features: features), layers.map { .recurrent($0) }),
      batch: batch, times: [time], randomizes: false)
  }

  private static func stacks(_ probe: LayerProbe<Float>) throws -> [RecurrentStack<Float>] {
    try probe.execution(keeps: false).passes.compactMap {
      if case .stack(let stack) = $0 { stack } else { nil }
    }
  }

  private static let kinds: [[RecurrentDescription]] = {
    var peepholes = LSTMDescription(units: 48)
    peepholes.inputPeephole = true
    peepholes.forgetPeephole = true
    peepholes.outputPeephole = true
    var projected = LSTMDescription(units: 56)
    projected.projection = 24
    var backwards = lstm(40)
    backwards.goBackwards = true
    var learned = lstm(64, sequences: false)
    learned.learnsInitialState = true
    var dropout = lstm(40)
    dropout.recurrentDropout = 0.3
    return [
      [lstm(64), lstm(64)],
      [lstm(48), lstm(72), learned],
      [backwards, RecurrentDescription(cell: .lstm(peepholes), returnSequences: true), lstm(33)],
      [
        RecurrentDescription(cell: .gru(GRUDescription(units: 56)), returnSequences: true),
        RecurrentDescription(cell: .simple(SimpleRNNDescription(units: 56)), returnSequences: true),
        RecurrentDescription(cell: .lstm(projected), returnSequences: true), dropout,
      ],
    ]
  }()

  @Test(arguments: kinds.indices, [1, 3])
  func sharingLayersChangesNoBit(_ kind: Int, _ batch: Int) throws {
    for time in [131, 300] {
      let probe = try Self.probe(Self.kinds[kind], batch: batch, time: time)
      probe.training = true
      try probe.checkThreads([2, 3])
    }
  }

  @Test func theReferenceSharesThemToo() throws {
    try Self.probe(Self.kinds[1], time: 150, as: Double.self).checkThreads([2])
  }

  @Test func sharedWhereStepsAreTooSmallToDivide() throws {
    func shares(_ units: Int, layers: Int, time: Int, threads: Int, batch: Int = 1) throws -> Bool {
      let probe = try Self.probe(
        [RecurrentDescription](repeating: Self.lstm(units), count: layers), batch: batch, time: time
      )
      probe.threads = threads
      let stacks = try Self.stacks(probe)
      #expect(stacks.count == 1)
      return try #require(stacks.first).sharesLayers(blocks: 20)
    }
    let canShare = ThreadPool.shared.limit > 1
    #expect(try shares(64, layers: 2, time: 500, threads: 2) == canShare)
    #expect(try shares(64, layers: 3, time: 500, threads: 2) == canShare)
    #expect(try !shares(64, layers: 2, time: 500, threads: 1))
    #expect(try !shares(16, layers: 2, time: 20, threads: 2))
    #expect(try !shares(256, layers: 2, time: 500, threads: 2))
    #expect(try !shares(64, layers: 2, time: 500, threads: 2, batch: 8))
  }

  @Test func stacksAreWhatLiesOnEachOther() throws {
    var dropout = Self.lstm(8)
    dropout.dropout = 0.1
    var backwards = Self.lstm(8)
    backwards.goBackwards = true
    let plain = Self.lstm(8)
    #expect(try Self.stacks(Self.probe([plain, plain, plain], time: 9)).count == 1)
    #expect(try Self.stacks(Self.probe([plain, backwards], time: 9)).isEmpty)
    #expect(try Self.stacks(Self.probe([plain, dropout], time: 9)).isEmpty)
    #expect(try Self.stacks(Self.probe([plain, backwards, plain], time: 9)).count == 1)
    #expect(try Self.stacks(Self.probe([plain, plain], time: 1)).isEmpty)
    let masked = try Self.probe([plain, plain], time: 2)
    masked.mask = [[1, 0]]
    #expect(try Self.stacks(masked).isEmpty)
  }
}
