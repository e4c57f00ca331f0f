import Testing

@testable import LSTM

/// Single precision at sizes that models have, against double precision with a bound that follows
/// from the arithmetic.
@Suite struct LayerAccuracyTests {
  /// A chain of n fused multiply-adds is off by at most n u Σ |x w| with u = 2⁻²⁴ (Higham 2002, 3.1).
  @Test(arguments: [(1, 1), (3, 17), (65, 33), (255, 129), (1024, 65)])
  func denseStaysWithinTheBoundOfItsChain(_ depth: Int, _ units: Int) throws {
    let kind = LayerKind.dense(units: units, activation: .linear, useBias: true)
    let probe = try LayerProbe<Float>(kind, input: .vector(features: depth), batch: 5)
    let y = try probe.forward()
    let kernel = probe.network.values.pointer
    let bias = kernel + probe.network.parameters[1].offset
    for b in 0..<5 {
      for unit in 0..<units {
        var sum = Double(bias[unit])
        var magnitude = abs(sum)
        for k in 0..<depth {
          let term = Double(probe.inputs[0][b * depth + k]) * Double(kernel[k * units + unit])
          sum += term
          magnitude += abs(term)
        }
        let bound = Double(depth + 1) * 0x1p-24 * magnitude
        #expect(abs(Double(y[b * units + unit]) - sum) <= bound)
      }
    }
  }

  /// Large and distant inputs: softmax neither overflows nor loses the sum, normalisations do not
  /// cancel away a mean that is a thousand deviations from zero.
  @Test func shiftedInputs() throws {
    let width = 1000
    let softmax = try LayerProbe<Float>(
      .activation(.softmax), input: .vector(features: width), batch: 2)
    for i in softmax.inputs[0].indices { softmax.inputs[0][i] = softmax.inputs[0][i] * 5 + 1e4 }
    for row in 0..<2 {
      let y = try softmax.forward()[row * width..<(row + 1) * width]
      #expect(abs(y.reduce(0) { $0 + Double($1) } - 1) < 1e-5)
    }
    for kind in [
      LayerKind.layerNormalization(epsilon: 1e-6, scales: false, centers: false, rms: false),
      .batchNormalization(epsilon: 1e-6, momentum: 0.9, scales: false, centers: false),
    ] {
      let single = try LayerProbe<Float>(kind, input: .vector(features: 64), batch: 200)
      single.training = true
      for i in single.inputs[0].indices { single.inputs[0][i] += 600 }
      let double = try LayerProbe<Double>(kind, input: .vector(features: 64), batch: 200)
      double.training = true
      double.inputs[0] = single.inputs[0].map(Double.init)
      // The mean of a row is good to a few units in the last place of 600 (6e-5), of deviation 0.6.
      for (a, b) in zip(try single.forward(), try double.forward()) {
        #expect(abs(Double(a) - b) < 4e-4, "\(kind)")
      }
    }
  }
}
