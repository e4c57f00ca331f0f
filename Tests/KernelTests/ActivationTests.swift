import KernelInterface
import LSTM
import Testing

/// Every activation against double precision, over the whole range of floats.
@Suite struct ActivationTests {
  static let activations: [Activation] = [
    .linear, .tanh, .sigmoid, .hardSigmoid, .hardSigmoidKeras2, .relu,
    .relu(slope: 0.1, maximum: 6, threshold: 1), .leakyRelu(slope: 0.3), .elu(alpha: 1.5), .selu,
    .gelu(), .gelu(approximate: true), .silu, .softplus, .softsign, .exponential,
  ]

  /// Numbers of every exponent and both signs, dense where functions bend, and the specials.
  static let inputs: [Float] = {
    var random = Random(4)
    var inputs: [Float] = [
      0, -0.0, 1, -1, .infinity, -.infinity, .leastNonzeroMagnitude, -.leastNonzeroMagnitude,
      .leastNormalMagnitude, -.leastNormalMagnitude, .greatestFiniteMagnitude,
      -.greatestFiniteMagnitude, 88.72, 88.73, -87.3, -87.4, -103.9, -104.1, 9.01, -9.01, 0.5, 6,
      1.0e-20,
    ]
    for exponent in 1...254 {
      for _ in 0..<8 {
        let pattern = UInt32(exponent) << 23 | UInt32.random(in: 0..<(1 << 23), using: &random)
        inputs.append(Float(bitPattern: pattern))
        inputs.append(-Float(bitPattern: pattern))
      }
    }
    for range in [Float(-1)...1, -10...10, -100...100] {
      inputs += random.values(8000, in: range)
    }
    return inputs
  }()

  static func apply(
    _ set: InstructionSet, _ activation: Activation, _ x: [Float]
  ) throws -> [Float] {
    let matrix = try Matrix(1, x.count, values: x)
    var arguments = ActivationArguments(
      function: KernelActivation(activation), rows: 1, columns: x.count,
      input: matrix.pointer, inputStride: matrix.stride,
      output: matrix.pointer, outputStride: matrix.stride)
    set.kernels.activate(&arguments)
    #expect(matrix.isIntact)
    return matrix.values
  }

  /// What the way back makes of the same gradient for every element; x went in, y came out.
  static func gradient(
    _ set: InstructionSet, _ activation: Activation, _ x: [Float], _ y: [Float], outer: Float
  ) throws -> Matrix {
    let input = try Matrix(1, x.count, values: x)
    let output = try Matrix(1, x.count, values: y)
    let gradient = try Matrix(1, x.count, values: Array(repeating: outer, count: x.count))
    var arguments = ActivationArguments(
      function: KernelActivation(activation), rows: 1, columns: x.count,
      input: input.pointer, inputStride: input.stride,
      output: output.pointer, outputStride: output.stride,
      gradient: gradient.pointer, gradientStride: gradient.stride)
    set.kernels.activateBackward(&arguments)
    return gradient
  }

  /// Distance in units in the last place of the expected value, but not finer than `floor`.
  static func ulps(_ value: Float, _ expected: Double, floor: Double) -> Double {
    let rounded = Float(expected)
    if rounded.isNaN { return value.isNaN ? 0 : .infinity }
    if rounded.isInfinite || value.isInfinite { return rounded == value ? 0 : .infinity }
    let unit = max(Double(max(abs(rounded), .leastNormalMagnitude).ulp), floor)
    return abs(Double(value) - expected) / unit
  }

  /// Allowed error in ulp, and the size below which the error counts absolutely: the functions that
  /// subtract nearly equal numbers far out on the negative side keep absolute accuracy there.
  static func tolerance(_ activation: Activation) -> (ulps: Double, floor: Double) {
    switch activation {
    case .linear: (0, 0)
    case .relu: (2, 0)
    case .hardSigmoid, .hardSigmoidKeras2: (1, 1e-7)
    case .gelu: (8, 1e-8)
    case .silu: (4, 1e-43)
    default: (4, 0)
    }
  }

  @Test(arguments: instructionSets, activations)
  func isAccurateEverywhere(set: InstructionSet, activation: Activation) throws {
    let outputs = try Self.apply(set, activation, Self.inputs)
    let (allowed, floor) = Self.tolerance(activation)
    var worst = 0.0
    var worstInput: Float = 0
    for (x, y) in zip(Self.inputs, outputs) {
      let error = Self.ulps(y, ActivationMath.value(activation, Double(x)), floor: floor)
      if !(error <= worst) { (worst, worstInput) = (error, x) }
    }
    print("\(set.rawValue) \(activation): worst \(worst) ulp at \(worstInput)")
    #expect(worst <= allowed, "at \(worstInput)")
  }

  @Test(arguments: instructionSets, activations)
  func keepsNaN(set: InstructionSet, activation: Activation) throws {
    for width in [1, 7, 16, 33] {
      let outputs = try Self.apply(set, activation, Array(repeating: .nan, count: width))
      #expect(outputs.allSatisfy { $0.isNaN })
    }
  }

  /// No function has the NaN of infinity times 0, neither its values nor its slopes.
  @Test(arguments: instructionSets, activations)
  func isANumberEverywhere(set: InstructionSet, activation: Activation) throws {
    let x = Self.inputs
    let y = try Self.apply(set, activation, x)
    #expect(y.allSatisfy { !$0.isNaN })
    let gradient = try Self.gradient(set, activation, x, y, outer: 1)
    #expect(gradient.values.allSatisfy { !$0.isNaN })
    for x in x {
      let value = ActivationMath.value(activation, Double(x))
      #expect(!value.isNaN && !ActivationMath.derivative(activation, Double(x), value).isNaN)
    }
  }

  @Test(arguments: activations) func instructionSetsAgree(activation: Activation) throws {
    guard let first = fusedSets.first else { return }
    let expected = try Self.apply(first, activation, Self.inputs)
    for set in fusedSets.dropFirst() {
      #expect(sameBits(try Self.apply(set, activation, Self.inputs), expected))
    }
  }

  /// A value's result is the same in every lane, in the middle of a row and in its ragged end.
  @Test(arguments: instructionSets, activations)
  func positionDoesNotMatter(set: InstructionSet, activation: Activation) throws {
    let x = Array(Self.inputs.prefix(64))
    let whole = try Self.apply(set, activation, x)
    for width in [1, 3, 8, 15, 17, 31] {
      for first in stride(from: 0, to: x.count - width, by: 5) {
        let part = try Self.apply(set, activation, Array(x[first..<(first + width)]))
        #expect(sameBits(part, Array(whole[first..<(first + width)])))
      }
    }
  }

  @Test(arguments: instructionSets, activations)
  func derivativeMatches(set: InstructionSet, activation: Activation) throws {
    var random = Random(5)
    let x = random.values(1000, in: -8...8) + [0, 1, -1, 20, -20]
    let y = try Self.apply(set, activation, x)
    let gradient = try Self.gradient(set, activation, x, y, outer: 2)
    for (index, x) in x.enumerated() {
      let value = ActivationMath.value(activation, Double(x))
      let expected = 2 * ActivationMath.derivative(activation, Double(x), value)
      // The engine and the kernels may differ at the corner of a piecewise function only.
      if case .relu(_, _, let threshold) = activation, Double(x) == threshold { continue }
      #expect(abs(Double(gradient[0, index]) - expected) < 1e-6 * max(1, abs(expected)), "at \(x)")
    }
  }

  @Test(arguments: instructionSets) func softmaxSumsToOne(set: InstructionSet) throws {
    var random = Random(6)
    for width in [1, 2, 15, 16, 17, 100] {
      let x = random.values(width, in: -50...90)
      let y = try Self.apply(set, .softmax, x)
      let largest = Double(x.max() ?? 0)
      let powers = x.map { ActivationMath.value(.exponential, Double($0) - largest) }
      let total = powers.reduce(0, +)
      #expect(largestDifference(y, powers.map { $0 / total }) < 1e-6)
    }
    #expect(try Self.apply(set, .softmax, [.infinity, 0])[0].isNaN)
    #expect(try Self.apply(set, .softmax, [0, .nan]).allSatisfy { $0.isNaN })
  }
}
