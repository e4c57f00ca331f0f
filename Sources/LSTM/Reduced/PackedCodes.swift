import KernelInterface

/// A matrix in reduced precision in the order in which the kernels read it (``ReducedLayout``).
///
/// It is packed from numbers that have been rounded already (``ReducedArray``): each comes out as its code, and
/// int8 columns find their scales again.
final class PackedCodes: @unchecked Sendable {
  let layout: ReducedLayout
  let codes: Buffer<UInt8>
  /// int8 only, in the panels' order.
  let scales: Buffer<Float>
  private let panels: Int

  init(
    _ format: WeightFormat, depth: Int, panels: Int, kernels: KernelTable
  ) throws(EngineError) {
    self.panels = panels
    layout = ReducedLayout(format: format, depth: depth, kernels: kernels)
    let rows = try Memory.sum(depth, 1)
    codes = try Buffer(count: Memory.product(rows, layout.rowBytes, panels))
    scales = try Buffer(count: format == .int8 ? Memory.product(panels, layout.columns) : 0)
  }

  /// The codes, as the kernels' arguments want them.
  var weights: UnsafePointer<Float> {
    UnsafePointer(UnsafeMutableRawPointer(codes.pointer).assumingMemoryBound(to: Float.self))
  }

  /// - Parameter element: the number at row k, for a panel, one of its four vectors, and a lane of it.
  func pack(_ element: (_ k: Int, _ panel: Int, _ vector: Int, _ lane: Int) -> Float) {
    for panel in 0..<panels {
      for vector in 0..<ReducedLayout.vectors {
        for lane in 0..<layout.vectorWidth {
          let column = { (k: Int) in element(k, panel, vector, lane) }
          if layout.format == .int8 {
            packIntegers(panel, vector, lane, column)
          } else {
            packBrainFloats(panel, vector, lane, column)
          }
        }
      }
    }
  }

  private func packIntegers(
    _ panel: Int, _ vector: Int, _ lane: Int, _ column: (Int) -> Float
  ) {
    var largest: Float = 0
    for k in 0..<layout.depth { largest = max(largest, column(k).magnitude) }
    let scale = WeightRounding.scale(largest: largest)
    let place = vector * layout.vectorWidth + lane
    scales.pointer[panel * layout.columns + place] = scale
    let to = codes.pointer + panel * layout.panelStride + 2 * place
    for k in 0..<layout.depth {
      to[k / 2 * layout.rowBytes + k % 2] = UInt8(
        bitPattern: WeightRounding.int8(column(k), scale: scale))
    }
  }

  private func packBrainFloats(
    _ panel: Int, _ vector: Int, _ lane: Int, _ column: (Int) -> Float
  ) {
    let word = (layout.isPaired ? vector : vector / 2) * layout.vectorWidth + lane
    let half = layout.isPaired ? 0 : vector % 2
    let to = codes.pointer + panel * layout.panelStride + 4 * word + 2 * half
    for k in 0..<layout.depth {
      let place = layout.isPaired ? k / 2 * layout.rowBytes + k % 2 * 2 : k * layout.rowBytes
      let code = WeightRounding.bfloat16(column(k))
      to[place] = UInt8(truncatingIfNeeded: code)
      to[place + 1] = UInt8(truncatingIfNeeded: code >> 8)
    }
  }
}

extension ProductArguments {
  /// A product with a packed matrix of any format.
  public init(
    rows: Int, a: UnsafePointer<Float>, aStride: Int, b: PackedMatrix<Float>,
    c: UnsafeMutablePointer<Float>, cStride: Int, bias: UnsafePointer<Float>? = nil,
    accumulates: Bool = false
  ) {
    self.init(
      rows: rows, columns: b.columns, depth: b.rows, a: a, aStride: aStride,
      b: b.reduced?.weights ?? UnsafePointer(b.storage.pointer), c: c, cStride: cStride,
      bias: bias, accumulates: accumulates)
    guard let reduced = b.reduced else { return }
    format = reduced.layout.format
    scales = UnsafePointer(reduced.scales.pointer)
  }

  /// Some columns of B and C only, from the first of a panel on.
  mutating func take(columns some: Range<Int>, _ kernels: KernelTable) {
    let first = some.lowerBound
    columns = some.count
    if format == .float32 {
      b += first * depth
    } else {
      let layout = ReducedLayout(format: format, depth: depth, kernels: kernels)
      // In steps of four bytes.
      b += first / layout.columns * layout.panelStride / 4
    }
    c += first
    bias = bias.map { $0 + first }
    scales = scales.map { $0 + first }
  }
}

extension KernelTable {
  /// Columns of a panel of a matrix in this format.
  func panelWidth(_ format: WeightFormat) -> Int {
    format == .float32 ? panelWidth : ReducedLayout.vectors * vectorWidth
  }
}
