import Testing

@testable import LSTM

/// Merges against their definition, with the masks of Keras 3 (`merging/base_merge.py`).
@Suite struct MergeTests {
  /// Steps of all zeros are masked by a Masking layer in front of each masked input.
  private func inputs(_ seed: UInt64, zero: [(Int, Int)]) -> [Double] {
    var values = randomValues(3 * 4 * 2, seed: seed)
    for (b, t) in zero { for j in 0..<2 { values[(b * 4 + t) * 2 + j] = 0 } }
    return values
  }

  private func probe(
    _ kind: MergeKind, masked: (Bool, Bool), masks: MergedMask = .any
  ) throws -> LayerProbe<Double> {
    let shape = SignalShape.sequence(time: nil, features: 2)
    let probe = try LayerProbe<Double>(
      .merging(
        kind,
        [masked.0, masked.1].map { (shape, $0 ? [.masking(value: 0)] : []) }, masks: masks),
      times: [4, 4])
    probe.inputs = [
      inputs(1, zero: [(0, 0), (0, 1), (2, 3)]), inputs(2, zero: [(0, 1), (0, 2), (1, 0)]),
    ]
    return probe
  }

  static let kinds: [MergeKind] = [.add, .subtract, .multiply, .average, .maximum, .minimum]

  @Test(arguments: kinds, [(false, false), (true, false), (false, true), (true, true)])
  func elementwise(_ kind: MergeKind, _ masked: (Bool, Bool)) throws {
    let probe = try probe(kind, masked: masked)
    let (x, y) = (probe.inputs[0], probe.inputs[1])
    let found = try probe.forward()
    for i in x.indices {
      let row = i / 2 * 2
      let xValid = !masked.0 || x[row] != 0
      let yValid = !masked.1 || y[row] != 0
      let expected: Double
      switch (kind, xValid, yValid) {
      case (.add, _, _): expected = x[i] + y[i]
      case (.subtract, _, _): expected = x[i] - y[i]
      case (.average, _, _): expected = (x[i] + y[i]) / 2
      case (.multiply, false, false): expected = 0
      case (_, false, _): expected = yValid ? y[i] : x[i]
      case (_, _, false): expected = x[i]
      case (.multiply, _, _): expected = x[i] * y[i]
      case (.maximum, _, _): expected = max(x[i], y[i])
      default: expected = min(x[i], y[i])
      }
      #expect(found[i] == expected)
    }
    let mask = try probe.outputMask()
    #expect(
      mask == (masked == (true, true) ? [[1, 0, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]] : nil))
  }

  @Test(arguments: [(false, false), (true, false), (true, true)])
  func concatenation(_ masked: (Bool, Bool)) throws {
    let probe = try probe(.concatenate, masked: masked)
    let found = try probe.forward()
    for row in 0..<12 {
      for j in 0..<4 {
        #expect(found[row * 4 + j] == probe.inputs[j / 2][row * 2 + j % 2])
      }
    }
    let mask = try probe.outputMask()
    #expect(
      mask == (masked == (true, true) ? [[1, 0, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]] : nil))
  }

  /// Keras 2: masks are intersected, and values do not depend on them.
  @Test(arguments: kinds, [(false, false), (true, false), (false, true), (true, true)])
  func intersection(_ kind: MergeKind, _ masked: (Bool, Bool)) throws {
    let probe = try probe(kind, masked: masked, masks: .all)
    let plain = try self.probe(kind, masked: (false, false), masks: .all)
    #expect(try probe.forward() == plain.forward())
    let masks: [[[UInt8]]?] = [
      nil, [[1, 0, 0, 1], [0, 1, 1, 1], [1, 1, 1, 1]],
      [[0, 0, 1, 1], [1, 1, 1, 1], [1, 1, 1, 0]],
      [[0, 0, 0, 1], [0, 1, 1, 1], [1, 1, 1, 0]],
    ]
    #expect(try probe.outputMask() == masks[(masked.0 ? 2 : 0) + (masked.1 ? 1 : 0)])
  }

  @Test func whatIsNotANumberWins() throws {
    for kind in [MergeKind.maximum, .minimum] {
      for place in 0..<2 {
        let probe = try probe(kind, masked: (false, false))
        probe.inputs[place][5] = .nan
        #expect(try probe.forward()[5].isNaN)
      }
    }
  }
}
