/// An array of the caller's, seen as (batch, time, width) through strides. Borrowed for one call.
public struct TensorView {
  public enum Element: Int32, Sendable, CaseIterable {
    case float32 = 0
    case float64 = 1
    case int32 = 2
    case int64 = 3

    public init(_ type: DataType) { self = type == .float32 ? .float32 : .float64 }

    /// In bytes.
    var size: Int { self == .float32 || self == .int32 ? 4 : 8 }
  }

  /// May be nil if the array holds no element.
  public var base: UnsafeMutableRawPointer?
  public var element: Element
  public var batch: Int
  /// 1 for arrays without a time axis.
  public var time: Int
  public var width: Int
  /// In elements.
  public var batchStride: Int
  public var timeStride: Int
  public var widthStride: Int
  /// Row b of the view is row `rows[b]` of the array (the shuffled batches of training); nil: row b.
  var rows: UnsafePointer<Int>?

  public init(
    base: UnsafeMutableRawPointer?, element: Element, batch: Int, time: Int, width: Int,
    batchStride: Int, timeStride: Int, widthStride: Int
  ) {
    self.base = base
    self.element = element
    self.batch = batch
    self.time = time
    self.width = width
    self.batchStride = batchStride
    self.timeStride = timeStride
    self.widthStride = widthStride
  }

  /// C order: batch, time, width.
  public init(
    contiguous base: UnsafeMutableRawPointer?, element: Element, batch: Int, time: Int, width: Int
  ) {
    self.init(
      base: base, element: element, batch: batch, time: time, width: width,
      batchStride: time * width, timeStride: width, widthStride: 1)
  }

  /// Elements from `base` to the first feature of a step.
  @inline(__always)
  func offset(batch b: Int, time t: Int) -> Int { (rows?[b] ?? b) * batchStride + t * timeStride }

  /// The rows that `indices` names; they must be rows of this view, which picks none itself.
  func picking(_ indices: UnsafeBufferPointer<Int>) -> TensorView {
    var view = self
    view.rows = indices.baseAddress
    view.batch = indices.count
    return view
  }

  /// Some of the steps.
  func steps(_ range: Range<Int>) -> TensorView {
    var view = self
    view.time = range.count
    if !range.isEmpty {
      view.base = base.map { $0 + range.lowerBound * timeStride * element.size }
    }
    return view
  }

  /// Whether an element of both may be in the same memory.
  func overlaps(_ other: TensorView) -> Bool {
    guard let own = addresses, let others = other.addresses else { return false }
    return own.first <= others.last && others.first <= own.last
  }

  /// Of the first and the last byte; nil: there is none. Sums of absurd strides wrap instead of trapping.
  private var addresses: (first: Int, last: Int)? {
    guard let base, batch > 0, time > 0, width > 0 else { return nil }
    let lastRow = rows.map { rows in (0..<batch).reduce(0) { max($0, rows[$1]) } } ?? batch - 1
    let size = element.size
    var first = Int(bitPattern: base)
    var last = first + size - 1
    for span in [lastRow &* batchStride, (time - 1) &* timeStride, (width - 1) &* widthStride] {
      if span < 0 { first &+= span &* size } else { last &+= span &* size }
    }
    return (first, last)
  }

  /// The array itself as time-major rows, if it is laid out so.
  func timeMajorRows<S: Scalar>(_ type: S.Type) -> BorrowedRows<S>? {
    let stride = batch > 1 ? batchStride : timeStride
    guard let base, element == Element(S.dataType), rows == nil, widthStride == 1, stride >= width,
      batch == 1 || time == 1 || timeStride == batch * batchStride,
      UInt(bitPattern: base) % UInt(MemoryLayout<S>.alignment) == 0
    else { return nil }
    return BorrowedRows(values: base.assumingMemoryBound(to: S.self), stride: stride)
  }

  /// Copies into time-major rows.
  func read<S: Scalar>(into rows: UnsafeMutablePointer<S>, stride: Int, threads: Int = 1) {
    guard let base else { return }
    if self.rows == nil, let size = sizeOfPlainRows(S.self) {
      let copy = RowCopy(
        target: rows, source: base, batch: batch, time: time, bytes: width * size,
        targetBatch: stride * size, targetTime: batch * stride * size,
        sourceBatch: batchStride * size, sourceTime: timeStride * size)
      return copy.run(threads: threads)
    }
    switch element {
    case .float32: copy(from: base.assumingMemoryBound(to: Float.self), rows, stride)
    case .float64: copy(from: base.assumingMemoryBound(to: Double.self), rows, stride)
    case .int32: copy(integers: base.assumingMemoryBound(to: Int32.self), rows, stride)
    case .int64: copy(integers: base.assumingMemoryBound(to: Int64.self), rows, stride)
    }
  }

  /// Copies from time-major rows; integers are not written to.
  func write<S: Scalar>(from rows: UnsafePointer<S>, stride: Int, threads: Int = 1) {
    guard let base else { return }
    if let size = sizeOfPlainRows(S.self) {
      let copy = RowCopy(
        target: base, source: rows, batch: batch, time: time, bytes: width * size,
        targetBatch: batchStride * size, targetTime: timeStride * size,
        sourceBatch: stride * size, sourceTime: batch * stride * size)
      return copy.run(threads: threads)
    }
    switch element {
    case .float32: copy(rows, stride, to: base.assumingMemoryBound(to: Float.self))
    case .float64: copy(rows, stride, to: base.assumingMemoryBound(to: Double.self))
    case .int32, .int64: break
    }
  }

  /// Bytes of an element, if a step's features can be copied as they are.
  private func sizeOfPlainRows<S: Scalar>(_ type: S.Type) -> Int? {
    element == Element(S.dataType) && widthStride == 1 ? MemoryLayout<S>.stride : nil
  }

  private func copy<T: BinaryFloatingPoint, S: Scalar>(
    from source: UnsafePointer<T>, _ rows: UnsafeMutablePointer<S>, _ stride: Int
  ) {
    for t in 0..<time {
      for b in 0..<batch {
        let from = source + offset(batch: b, time: t)
        let to = rows + (t * batch + b) * stride
        for j in 0..<width { to[j] = S(from[j * widthStride]) }
      }
    }
  }

  private func copy<T: FixedWidthInteger, S: Scalar>(
    integers source: UnsafePointer<T>, _ rows: UnsafeMutablePointer<S>, _ stride: Int
  ) {
    for t in 0..<time {
      for b in 0..<batch {
        let from = source + offset(batch: b, time: t)
        let to = rows + (t * batch + b) * stride
        for j in 0..<width { to[j] = S(from[j * widthStride]) }
      }
    }
  }

  private func copy<S: Scalar, T: BinaryFloatingPoint>(
    _ rows: UnsafePointer<S>, _ stride: Int, to target: UnsafeMutablePointer<T>
  ) {
    for t in 0..<time {
      for b in 0..<batch {
        let from = rows + (t * batch + b) * stride
        let to = target + (b * batchStride + t * timeStride)
        for j in 0..<width { to[j * widthStride] = T(from[j]) }
      }
    }
  }

  /// The id at a place, or nil if it is not a whole number that fits.
  func id(batch b: Int, time t: Int) -> Int32? {
    guard let base else { return nil }
    let index = offset(batch: b, time: t)
    switch element {
    case .float32: return Int32(exactly: base.assumingMemoryBound(to: Float.self)[index])
    case .float64: return Int32(exactly: base.assumingMemoryBound(to: Double.self)[index])
    case .int32: return base.assumingMemoryBound(to: Int32.self)[index]
    case .int64: return Int32(exactly: base.assumingMemoryBound(to: Int64.self)[index])
    }
  }
}
