import CCarousel
import LSTM

/// The caller's arrays as the engine's views.
extension carousel_array {
  /// Views an input or output of a network.
  ///
  /// - Parameters:
  ///   - shape: what the network has there.
  ///   - timeMajor: the first two extents of a sequence are (time, batch).
  ///   - isOneStep: the time axis may be left out (streams).
  func view(
    of shape: SignalShape, timeMajor: Bool = false, isOneStep: Bool = false,
    isWritten: Bool = false, _ name: @autoclosure () -> String
  ) throws(EngineError) -> TensorView {
    var extents = Extents(self)
    let rank: Int
    switch shape {
    case .vector: rank = 2
    case .sequence:
      rank = 3
      if isOneStep, extents.rank == 2 { extents.insertUnit(at: 1) }
    case .ids:
      rank = 2
      if isOneStep, extents.rank == 1 { extents.insertUnit(at: 1) }
      // (batch, time, 1), as some frameworks have it.
      if extents.rank == 3, extents.shape.2 == 1 { extents.rank = 2 }
    }
    guard extents.rank == rank else {
      throw EngineError(
        .shape,
        "\(name()) has rank \(self.rank), expected \(rank): \(expectation(shape, timeMajor))")
    }
    if timeMajor, shape.hasTime { extents.swapFirstTwo() }
    let element = try element(isWritten: isWritten, name())
    try extents.check(element, data, name())
    return switch shape {
    case .vector:
      TensorView(
        base: data, element: element, batch: extents.shape.0, time: 1, width: extents.shape.1,
        batchStride: extents.strides.0, timeStride: 0, widthStride: extents.strides.1)
    case .sequence:
      TensorView(
        base: data, element: element, batch: extents.shape.0, time: extents.shape.1,
        width: extents.shape.2, batchStride: extents.strides.0, timeStride: extents.strides.1,
        widthStride: extents.strides.2)
    case .ids:
      TensorView(
        base: data, element: element, batch: extents.shape.0, time: extents.shape.1, width: 1,
        batchStride: extents.strides.0, timeStride: extents.strides.1, widthStride: 1)
    }
  }

  /// Views a state, (batch, width).
  func stateView(
    isWritten: Bool, _ name: @autoclosure () -> String
  ) throws(EngineError) -> TensorView {
    try view(of: .vector(features: 0), isWritten: isWritten, name())
  }

  /// Views a vector (count) as `count` steps of one value.
  func seriesView(_ name: @autoclosure () -> String) throws(EngineError) -> TensorView {
    var extents = Extents(self)
    guard extents.rank == 1 else {
      throw EngineError(.shape, "\(name()) has rank \(rank), expected 1: (time)")
    }
    extents.insertUnit(at: 0)
    let element = try element(isWritten: true, name())
    try extents.check(element, data, name())
    return TensorView(
      base: data, element: element, batch: 1, time: extents.shape.1, width: 1, batchStride: 0,
      timeStride: extents.strides.1, widthStride: 1)
  }

  private func element(
    isWritten: Bool, _ name: @autoclosure () -> String
  ) throws(EngineError) -> TensorView.Element {
    guard let element = TensorView.Element(rawValue: Int32(bitPattern: dtype.rawValue)) else {
      throw EngineError(
        .invalidArgument,
        "\(name()).dtype has the unknown value \(Int32(bitPattern: dtype.rawValue))")
    }
    guard !isWritten || element == .float32 || element == .float64 else {
      throw EngineError(
        .invalidArgument, "\(name()).dtype is an integer type, expected a float type")
    }
    return element
  }

  private func expectation(_ shape: SignalShape, _ timeMajor: Bool) -> StaticString {
    switch (shape, timeMajor) {
    case (.vector, _): "(batch, features)"
    case (.sequence, false): "(batch, time, features)"
    case (.sequence, true): "(time, batch, features)"
    case (.ids, false): "(batch, time)"
    case (.ids, true): "(time, batch)"
    }
  }
}

/// Extents and strides of up to three dimensions, small enough for registers.
private struct Extents {
  var rank: Int
  var shape = (1, 1, 1)
  var strides = (0, 0, 0)

  init(_ array: carousel_array) {
    rank = Int(array.rank)
    // What lies beyond the rank may never have been set.
    if rank >= 1 { (shape.0, strides.0) = (Int(array.shape.0), Int(array.strides.0)) }
    if rank >= 2 { (shape.1, strides.1) = (Int(array.shape.1), Int(array.strides.1)) }
    if rank >= 3 { (shape.2, strides.2) = (Int(array.shape.2), Int(array.strides.2)) }
    guard strides == (0, 0, 0) else { return }
    // C order. Wrapping: `check` refuses shapes of which the product does not fit.
    switch rank {
    case 1: strides = (1, 0, 0)
    case 2: strides = (shape.1, 1, 0)
    default: strides = (shape.1 &* shape.2, shape.2, 1)
    }
  }

  mutating func insertUnit(at position: Int) {
    if position == 0 {
      shape = (1, shape.0, shape.1)
      strides = (0, strides.0, strides.1)
    } else {
      shape = (shape.0, 1, shape.1)
      strides = (strides.0, 0, strides.1)
    }
    rank += 1
  }

  mutating func swapFirstTwo() {
    shape = (shape.1, shape.0, shape.2)
    strides = (strides.1, strides.0, strides.2)
  }

  /// Refuses extents and strides with which an address could not be computed.
  func check(
    _ element: TensorView.Element, _ data: UnsafeMutableRawPointer?,
    _ name: @autoclosure () -> String
  ) throws(EngineError) {
    let limit = Int.max / 16
    var elements = 1
    var reach = 0
    func add(_ extent: Int, _ stride: Int) -> Bool {
      let (product, isLarge) = elements.multipliedReportingOverflow(by: extent)
      let (span, isFar) = max(extent - 1, 0).multipliedReportingOverflow(by: stride)
      guard !isLarge, product <= limit, !isFar, span.magnitude <= UInt(limit) else { return false }
      elements = product
      reach += Int(span.magnitude)
      return true
    }
    guard shape.0 >= 0, shape.1 >= 0, shape.2 >= 0 else {
      throw EngineError(.shape, "\(name()) has a negative extent: \(shape)")
    }
    guard add(shape.0, strides.0), add(shape.1, strides.1), add(shape.2, strides.2) else {
      throw EngineError(
        .shape, "\(name()) has extents \(shape) and strides \(strides), more than memory can hold")
    }
    guard data != nil || elements == 0 else {
      throw EngineError(.invalidArgument, "\(name()).data is NULL")
    }
  }
}
