import KernelInterface
import LSTM

/// One LSTM step in double precision from given pre-activations, as formulas are written, with every
/// switch that the kernels know; and its backward pass.
struct LSTMOracle {
  var blocks: LSTMBlocks
  var gate = Activation.sigmoid
  var cell = Activation.tanh
  var output = Activation.tanh
  /// Peephole weights of the input, forget and output gate.
  var peepholes: [[Double]?] = [nil, nil, nil]
  var cellClip = Double.infinity
  var gateClip = Double.infinity

  struct Step {
    var i: Double
    var f: Double
    var g: Double
    var o: Double
    var c: Double
    var h: Double
    /// Pre-activations of i, f, g, o with peepholes.
    var z: [Double]
    var unclipped: Double
  }

  func clip(_ x: Double, _ limit: Double) -> Double { min(max(x, -limit), limit) }

  func value(_ a: Activation, _ z: Double) -> Double { ActivationMath.value(a, clip(z, gateClip)) }

  func slope(_ a: Activation, _ z: Double) -> Double {
    abs(z) > gateClip ? 0 : ActivationMath.derivative(a, z, ActivationMath.value(a, z))
  }

  /// `z`: one pre-activation per block that exists, in block order.
  func forward(_ z: [Double], previous: Double, unit: Int) -> Step {
    func argument(_ block: Int, _ peephole: Int, _ c: Double) -> Double {
      block < 0 ? 0 : z[block] + (peepholes[peephole].map { $0[unit] * c } ?? 0)
    }
    let zi = argument(blocks.input, 0, previous)
    let zf = argument(blocks.forget, 1, previous)
    let zg = z[blocks.cell]
    let i = blocks.input < 0 ? 1 : value(gate, zi)
    let f = blocks.couples ? 1 - i : blocks.forget < 0 ? 1 : value(gate, zf)
    let g = value(cell, zg)
    let unclipped = f * previous + i * g
    let c = clip(unclipped, cellClip)
    let zo = argument(blocks.output, 2, c)
    let o = blocks.output < 0 ? 1 : value(gate, zo)
    let h = o * ActivationMath.value(output, c)
    return Step(i: i, f: f, g: g, o: o, c: c, h: h, z: [zi, zf, zg, zo], unclipped: unclipped)
  }

  /// δz in block order and δc(t-1), from δh(t) and what arrives at c(t) from step t + 1.
  func backward(
    _ step: Step, previous: Double, unit: Int, dh: Double, dcNext: Double
  ) -> (dz: [Double], dcPrevious: Double) {
    var dz = Array(repeating: 0.0, count: blocks.count)
    let squashed = ActivationMath.value(output, step.c)
    var dc = dcNext + dh * step.o * ActivationMath.derivative(output, step.c, squashed)
    if blocks.output >= 0 {
      let delta = dh * squashed * slope(gate, step.z[3])
      dz[blocks.output] = delta
      dc += delta * (peepholes[2]?[unit] ?? 0)
    }
    if abs(step.unclipped) > cellClip { dc = 0 }
    var dcPrevious = dc * step.f
    if blocks.forget >= 0 {
      let delta = dc * previous * slope(gate, step.z[1])
      dz[blocks.forget] = delta
      dcPrevious += delta * (peepholes[1]?[unit] ?? 0)
    }
    if blocks.input >= 0 {
      let through = blocks.couples ? step.g - previous : step.g
      let delta = dc * through * slope(gate, step.z[0])
      dz[blocks.input] = delta
      dcPrevious += delta * (peepholes[0]?[unit] ?? 0)
    }
    dz[blocks.cell] = dc * step.i * slope(cell, step.z[2])
    return (dz, dcPrevious)
  }
}

/// Every set of blocks that a cell can have.
let blockSets: [LSTMBlocks] = {
  var sets: [LSTMBlocks] = []
  for input in [true, false] {
    for forget in [true, false] {
      for output in [true, false] {
        for couples in [false, true] where !couples || (input && !forget) {
          var next = 0
          func take(_ exists: Bool) -> Int {
            guard exists else { return -1 }
            next += 1
            return next - 1
          }
          let i = take(input)
          let f = take(forget)
          let g = take(true)
          let o = take(output)
          sets.append(
            LSTMBlocks(input: i, forget: f, cell: g, output: o, couples: couples, stride: 0))
        }
      }
    }
  }
  return sets
}()
