/// How far one network's output is from another's.
public struct OutputError: Sendable {
  /// The largest difference; infinite if one of the two is not a number and the other is.
  public private(set) var largest = 0.0
  public private(set) var largestReference = 0.0
  private var squares = 0.0
  private var reference = 0.0
  private var count = 0

  private mutating func add(_ value: Double, exact: Double) {
    count += 1
    if value.isNaN && exact.isNaN { return }
    let difference = value == exact ? 0 : (value - exact).magnitude
    largest = max(largest, difference.isNaN ? .infinity : difference)
    largestReference = max(largestReference, exact.isNaN ? .infinity : exact.magnitude)
    squares += difference.isNaN ? .infinity : difference * difference
    reference += exact * exact
  }

  public var rootMeanSquare: Double { count > 0 ? (squares / Double(count)).squareRoot() : 0 }
  public var referenceRootMeanSquare: Double {
    count > 0 ? (reference / Double(count)).squareRoot() : 0
  }
  /// `rootMeanSquare` divided by that of the reference; 0 where that is 0.
  public var relative: Double { reference > 0 ? (squares / reference).squareRoot() : 0 }

  /// Runs both networks on the same inputs; one error for each output.
  public static func measure(
    _ network: AnyNetwork, against exact: AnyNetwork, inputs: [TensorView],
    options: ForwardOptions
  ) throws(EngineError) -> [OutputError] {
    let times = try network.outputTimes(inputs.map(\.time))
    let batch = inputs.first?.batch ?? 0
    var buffers: [(Buffer<Double>, Buffer<Double>)] = []
    for (time, shape) in zip(times, network.outputShapes) {
      let count = try Memory.product(batch, time, shape.features)
      buffers.append((try Buffer(count: count), try Buffer(count: count)))
    }
    func views(_ choose: ((Buffer<Double>, Buffer<Double>)) -> Buffer<Double>) -> [TensorView] {
      zip(zip(buffers, times), network.outputShapes).map { item, shape in
        TensorView(
          contiguous: UnsafeMutableRawPointer(choose(item.0).pointer), element: .float64,
          batch: batch, time: item.1, width: shape.features)
      }
    }
    try network.forward(inputs, into: views { $0.0 }, options: options)
    try exact.forward(inputs, into: views { $0.1 }, options: options)
    return buffers.map { own, other in
      var error = OutputError()
      for index in 0..<own.count { error.add(own.pointer[index], exact: other.pointer[index]) }
      return error
    }
  }
}
