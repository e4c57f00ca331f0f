import Testing

@testable import LSTM

@Suite struct DropoutTests {
  private func probe(
    _ kind: DropoutDescription, batch: Int = 40, time: Int = 25, features: Int = 20
  ) throws -> LayerProbe<Double> {
    let probe = try LayerProbe<Double>(
      .dropout(kind), input: .sequence(time: nil, features: features), batch: batch, time: time)
    probe.training = true
    return probe
  }

  /// 20000 draws: the share of what is dropped is within 5 standard deviations of the rate, and what
  /// is kept is scaled by 1 / (1 - rate).
  @Test(arguments: [0.1, 0.5, 0.9])
  func elements(_ rate: Double) throws {
    let probe = try probe(.elements(rate: rate))
    let y = try probe.forward()
    let x = probe.inputs[0]
    let dropped = zip(x, y).filter { $1 == 0 }.count
    let deviation = (rate * (1 - rate) / Double(x.count)).squareRoot()
    #expect(abs(Double(dropped) / Double(x.count) - rate) < 5 * deviation)
    for (a, b) in zip(x, y) where b != 0 { #expect(abs(b - a / (1 - rate)) < 1e-14) }
  }

  @Test func channelsAreDroppedWhole() throws {
    let y = try probe(.channels(rate: 0.5)).forward()
    var dropped = 0
    for b in 0..<40 {
      for j in 0..<20 {
        let zeros = (0..<25).filter { y[(b * 25 + $0) * 20 + j] == 0 }.count
        #expect(zeros == 0 || zeros == 25)
        dropped += zeros == 0 ? 0 : 1
      }
    }
    #expect(abs(Double(dropped) / 800 - 0.5) < 5 * (0.25 / 800).squareRoot())
  }

  /// The factor or the addend has the mean and the variance that it should.
  @Test func noiseHasItsMoments() throws {
    func expect(_ samples: [Double], mean: Double, variance: Double) {
      let count = Double(samples.count)
      let found = samples.reduce(0, +) / count
      let spread = samples.map { ($0 - found) * ($0 - found) }.reduce(0, +) / count
      #expect(abs(found - mean) < 5 * (variance / count).squareRoot())
      // The variance of a normal sample's variance is 2 σ⁴ / n.
      #expect(abs(spread - variance) < 5 * variance * (2 / count).squareRoot())
    }
    let noise = try probe(.noise(deviation: 0.3))
    expect(zip(noise.inputs[0], try noise.forward()).map { $1 - $0 }, mean: 0, variance: 0.09)
    let gaussian = try probe(.gaussian(rate: 0.2))
    expect(
      zip(gaussian.inputs[0], try gaussian.forward()).map { $1 / $0 }, mean: 1, variance: 0.25)
  }

  /// Alpha dropout of a standard normal input keeps mean 0 and variance 1.
  @Test func alphaDropoutKeepsTheMoments() throws {
    let probe = try probe(.alpha(rate: 0.3))
    var generator = RandomGenerator(seed: 8)
    for i in probe.inputs[0].indices { probe.inputs[0][i] = generator.normal() }
    let y = try probe.forward()
    let count = Double(y.count)
    let mean = y.reduce(0, +) / count
    let variance = y.map { ($0 - mean) * ($0 - mean) }.reduce(0, +) / count
    #expect(abs(mean) < 5 / count.squareRoot())
    #expect(abs(variance - 1) < 0.05)
  }

  @Test(arguments: [
    DropoutDescription.elements(rate: 0.5), .channels(rate: 0.5), .gaussian(rate: 0.5),
    .noise(deviation: 1), .alpha(rate: 0.5),
  ])
  func randomnessDependsOnKeyAndPlaceAlone(_ kind: DropoutDescription) throws {
    let whole = try probe(kind, batch: 4, time: 6, features: 3)
    let y = try whole.forward()
    #expect(try whole.forward() == y)
    let other = try probe(kind, batch: 4, time: 6, features: 3)
    other.randomKey = 12
    #expect(try other.forward() != y)
    for row in 0..<4 {
      let part = try probe(kind, batch: 1, time: 6, features: 3)
      part.inputs[0] = Array(whole.inputs[0][row * 18..<(row + 1) * 18])
      part.firstRow = row
      #expect(try part.forward() == Array(y[row * 18..<(row + 1) * 18]))
    }
    // Two layers of one network do not draw the same numbers.
    let two = try LayerProbe<Double>(
      .merging(
        .subtract, [(LayerCase.free, [.dropout(kind)]), (LayerCase.free, [.dropout(kind)])]),
      times: [5, 5])
    two.training = true
    two.inputs[1] = two.inputs[0]
    #expect(try two.forward().contains { $0 != 0 })
  }

  @Test func inferenceChangesNothing() throws {
    let probe = try probe(.alpha(rate: 0.3))
    probe.training = false
    #expect(try probe.forward() == probe.inputs[0])
  }
}
