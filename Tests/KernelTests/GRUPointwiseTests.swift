import KernelInterface
import LSTM
import Testing

/// The element-wise GRU step against the equations, and its way back against their derivatives.
@Suite struct GRUPointwiseTests {
  static let functions: [(Activation, Activation)] = [
    (.sigmoid, .tanh), (.hardSigmoid, .linear), (.tanh, .silu),
  ]

  /// h(t) from the three pre-activations, h(t-1) and what R_h makes of it (reset after) or of
  /// r ⊙ h(t-1) (before: `candidate` is that product, already a function of r).
  static func step(
    _ functions: (Activation, Activation), _ z: [Double], hidden: Double, q: Double?
  ) -> (h: Double, z: Double, r: Double, n: Double, argument: Double) {
    let update = ActivationMath.value(functions.0, z[0])
    let reset = ActivationMath.value(functions.0, z[1])
    let argument = z[2] + (q.map { reset * $0 } ?? 0)
    let n = ActivationMath.value(functions.1, argument)
    return (update * hidden + (1 - update) * n, update, reset, n, argument)
  }

  @Test(arguments: instructionSets, [true, false])
  func matchesTheEquations(set: InstructionSet, resetAfter: Bool) throws {
    let kernels = set.kernels
    for (index, functions) in Self.functions.enumerated() {
      for units in [1, 16, 37, 150] {
        var random = Random(UInt64(units + index))
        let rows = 3
        let stride = try Memory.rowStride(units)
        let z = try Matrix(rows, 3 * stride, random: &random, in: -2...2)
        let gates = try z.copy()
        let kept = try Matrix(rows, 3 * stride)
        let q = try Matrix(rows, units, random: &random)
        let hidden = try Matrix(rows, units, random: &random)
        let resetHidden = try Matrix(rows, units)
        let output = try Matrix(rows, units)
        var s = GRUPointwiseArguments(
          rows: rows, units: units, blockStride: stride, gates: gates.pointer,
          gatesStride: gates.stride, previousHidden: hidden.pointer,
          previousHiddenStride: hidden.stride)
        s.gateActivation = KernelActivation(functions.0)
        s.candidateActivation = KernelActivation(functions.1)
        s.preactivations = kept.pointer
        s.preactivationsStride = kept.stride
        s.output = output.pointer
        s.outputStride = output.stride
        if resetAfter {
          s.candidate = UnsafePointer(q.pointer)
          s.candidateStride = q.stride
          kernels.gruForward(&s)
        } else {
          s.resetHidden = resetHidden.pointer
          s.resetHiddenStride = resetHidden.stride
          s.computesOutput = false
          kernels.gruForward(&s)
          s.computesOutput = true
          s.computesGates = false
          kernels.gruForward(&s)
        }
        let values = try gates.copy()

        let dh = try Matrix(rows, units, random: &random)
        let dhPrevious = try dh.copy()
        let dq = try Matrix(rows, units)
        let reset = try Matrix(rows, units, random: &random)
        s.deltas = gates.pointer
        s.deltasStride = gates.stride
        s.hiddenGradient = dhPrevious.pointer
        s.hiddenGradientStride = dhPrevious.stride
        if resetAfter {
          s.candidateGradient = dq.pointer
          s.candidateGradientStride = dq.stride
          kernels.gruBackward(&s)
        } else {
          kernels.gruBackward(&s)
          s.computesOutput = false
          s.computesGates = true
          s.resetGradient = UnsafePointer(reset.pointer)
          s.resetGradientStride = reset.stride
          // The reset gate's value has not been overwritten.
          kernels.gruBackward(&s)
        }

        var worst = 0.0
        func see(_ value: Float, _ expected: Double) {
          worst = max(worst, abs(Double(value) - expected))
        }
        for row in 0..<rows {
          for unit in 0..<units {
            let before = (0..<3).map { Double(z[row, $0 * stride + unit]) }
            let previous = Double(hidden[row, unit])
            let candidate = resetAfter ? Double(q[row, unit]) : nil
            let step = Self.step(functions, before, hidden: previous, q: candidate)
            see(output[row, unit], step.h)
            see(values[row, unit], step.z)
            see(values[row, stride + unit], step.r)
            see(values[row, 2 * stride + unit], step.n)
            if !resetAfter { see(resetHidden[row, unit], step.r * previous) }

            let arrived = Double(dh[row, unit])
            let slope = { ActivationMath.derivative($0, $1, $2) }
            let dn = arrived * (1 - step.z) * slope(functions.1, step.argument, step.n)
            let rSlope = slope(functions.0, before[1], step.r)
            see(
              gates[row, unit],
              arrived * (previous - step.n) * slope(functions.0, before[0], step.z))
            see(gates[row, 2 * stride + unit], dn)
            var direct = arrived * step.z
            if let candidate {
              see(gates[row, stride + unit], dn * candidate * rSlope)
              see(dq[row, unit], dn * step.r)
            } else {
              let d = Double(reset[row, unit])
              see(gates[row, stride + unit], d * previous * rSlope)
              direct += d * step.r
            }
            see(dhPrevious[row, unit], direct)
          }
        }
        #expect(worst < 5e-6, "\(units) units, \(functions)")
        #expect(gates.isIntact && output.isIntact && dq.isIntact && dhPrevious.isIntact)
      }
    }
  }
}
