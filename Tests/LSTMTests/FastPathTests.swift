import Testing

@testable import LSTM

/// Single precision on the kernels against double precision on the reference cells: the same
/// network, the same data, the same masks.
@Suite struct FastPathTests {
  static let shapes: [(units: Int, features: Int, batch: Int, time: Int)] = [
    (4, 3, 3, 5), (5, 1, 1, 19), (16, 7, 2, 3), (19, 4, 7, 6), (37, 33, 5, 4),
  ]

  static var cases: [RecurrentCase] {
    (GradientTests.lstmCases + GradientTests.otherCases).flatMap { test in
      shapes.map { shape in test.resized(shape.units, shape.features, shape.batch, shape.time) }
    }
  }

  @Test(arguments: cases)
  func agreesWithReference(_ test: RecurrentCase) throws {
    // The normalisation of few values that lie close together loses digits in any arithmetic.
    let tolerance = test.name.contains("layer norm") ? 5e-4 : 3e-5
    let fast = try RecurrentProbe<Float>(test)
    let reference = try RecurrentProbe<Double>(test)
    let (gradients, execution) = try fast.gradients()
    let (expected, referenceExecution) = try reference.gradients()
    expectClose(
      try fast.output(execution), try reference.output(referenceExecution), "output", tolerance)
    for index in fast.initial.indices {
      expectClose(
        try fast.state(execution, index, .final),
        try reference.state(referenceExecution, index, .final), "final state \(index)", tolerance)
      expectClose(gradients.initial[index], expected.initial[index], "d state \(index)", tolerance)
    }
    expectClose(gradients.input, expected.input, "d input", tolerance)
    for (index, parameter) in fast.network.parameters.enumerated() {
      expectClose(
        gradients.parameters[index], expected.parameters[index], "d \(parameter.name)", tolerance)
    }
    let inference = try fast.run(keeps: false)
    let kept = try fast.output(execution)
    #expect(try fast.output(inference) == kept, "inference differs from training's forward pass")
  }

  /// Relative to the largest value of the array: a sum of many terms has the error of its terms.
  private func expectClose(
    _ a: [Float], _ b: [Double], _ what: String, _ tolerance: Double
  ) {
    #expect(a.count == b.count)
    let scale = b.reduce(0.1) { max($0, abs($1)) }
    let worst = zip(a, b).map { abs(Double($0) - $1) }.max() ?? 0
    #expect(worst <= tolerance * scale, "\(what): off by \(worst), largest value \(scale)")
    #expect(a.allSatisfy { $0.isFinite }, "\(what) is not finite")
  }
}

extension RecurrentCase {
  /// The same case in another size; masks are repeated as far as needed.
  func resized(_ units: Int, _ features: Int, _ batch: Int, _ time: Int) -> RecurrentCase {
    func resize(_ layer: RecurrentDescription) -> RecurrentDescription {
      var layer = layer
      switch layer.cell {
      case .simple(var cell):
        cell.units = units
        layer.cell = .simple(cell)
      case .gru(var cell):
        cell.units = units
        layer.cell = .gru(cell)
      case .lstm(var cell):
        cell.units = units
        if cell.projection != nil { cell.projection = max(units - 3, 1) }
        layer.cell = .lstm(cell)
      }
      return layer
    }
    var copy = self
    switch layer {
    case .recurrent(let layer): copy.layer = .recurrent(resize(layer))
    case .bidirectional(var layer):
      layer.forward = resize(layer.forward)
      layer.backward = resize(layer.backward)
      copy.layer = .bidirectional(layer)
    default: break
    }
    copy.features = features
    copy.batch = batch
    copy.time = time
    if let mask {
      copy.mask = (0..<batch).map { b in
        let row = mask[b % mask.count]
        return (0..<time).map { row[$0 % row.count] }
      }
    }
    copy.name = "\(name), H \(units) I \(features) B \(batch) T \(time)"
    return copy
  }
}
