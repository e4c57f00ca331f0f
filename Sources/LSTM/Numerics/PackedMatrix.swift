import KernelInterface

/// A matrix B (rows x columns) in the order in which the kernels' `product` reads it.
///
/// It remembers the kernels that it was laid out for, so that choosing another instruction set does
/// not disturb networks that exist.
public final class PackedMatrix<S: Scalar>: @unchecked Sendable {
  public let rows: Int
  public let columns: Int
  public let kernels: KernelTable
  /// Empty if the matrix is `reduced`.
  public let storage: Buffer<S>
  /// The matrix in reduced precision; for single precision only.
  let reduced: PackedCodes?

  public init(
    rows: Int, columns: Int, kernels: KernelTable = KernelDispatch.kernels,
    format: WeightFormat = .float32
  ) throws(EngineError) {
    self.rows = rows
    self.columns = columns
    self.kernels = kernels
    guard format != .float32 else {
      reduced = nil
      storage = try Buffer(count: S.packedCount(rows: rows, columns: columns, kernels: kernels))
      return
    }
    let width = kernels.panelWidth(format)
    storage = try Buffer(count: 0)
    reduced = try PackedCodes(
      format, depth: rows, panels: Memory.sum(columns, width - 1) / width, kernels: kernels)
  }

  /// Packs `source` (rows x columns, or columns x rows if `transposed`), row stride `stride`.
  public func pack(_ source: UnsafePointer<S>, stride: Int, transposed: Bool = false) {
    if let reduced {
      let columns = columns
      let width = kernels.vectorWidth
      // Only single precision is reduced.
      let source = UnsafeRawPointer(source).assumingMemoryBound(to: Float.self)
      reduced.pack { k, panel, vector, lane in
        let column = (panel * ReducedLayout.vectors + vector) * width + lane
        guard column < columns else { return 0 }
        return transposed ? source[column * stride + k] : source[k * stride + column]
      }
      return
    }
    S.pack(
      source, stride: stride, transposed: transposed, rows: rows, columns: columns,
      kernels: kernels, into: storage.pointer)
  }
}

extension PackedMatrix where S == Float {
  /// C += A · self, for `rows` rows, and for all or some columns, from the first of a panel on.
  func addProduct(
    rows: Int, a: UnsafePointer<Float>, aStride: Int, c: UnsafeMutablePointer<Float>, cStride: Int,
    columns: Range<Int>? = nil
  ) {
    var arguments = ProductArguments(
      rows: rows, a: a, aStride: aStride, b: self, c: c, cStride: cStride, accumulates: true)
    if let columns { arguments.take(columns: columns, kernels) }
    kernels.product(&arguments)
  }
}

/// A weight matrix (`depth` x blocks of `units` columns) in the order in which the kernels' fused steps
/// read it: for each group of `vectorWidth` units its blocks side by side (``PanelLayout``).
public final class PackedGates: @unchecked Sendable {
  public let blocks: Int
  public let units: Int
  public let kernels: KernelTable
  public let layout: PanelLayout
  /// The last group, if it is narrow; otherwise -1.
  public let narrowGroup: Int
  /// Empty if the matrix is `reduced`.
  public let storage: Buffer<Float>
  let reduced: PackedCodes?

  public init(
    depth: Int, blocks: Int, units: Int, kernels: KernelTable = KernelDispatch.kernels,
    format: WeightFormat = .float32
  ) throws(EngineError) {
    self.blocks = blocks
    self.units = units
    self.kernels = kernels
    let groups = try PackedGates.groups(units: units, kernels: kernels)
    layout = PanelLayout(depth: depth, width: blocks * kernels.vectorWidth, panels: groups)
    let isReduced = format != .float32
    let rest = units % kernels.vectorWidth
    let isNarrow = blocks == 4 && rest > 0 && rest <= kernels.vectorWidth / 2 && !isReduced
    narrowGroup = isNarrow ? groups - 1 : -1
    storage = try Buffer(
      count: isReduced
        ? 0
        : Memory.product(depth, layout.width, layout.panels)
          - (isNarrow ? depth * layout.width / 2 : 0))
    reduced =
      isReduced ? try PackedCodes(format, depth: depth, panels: groups, kernels: kernels) : nil
  }

  /// The weights as the kernels' arguments want them, and the scales of int8.
  public var weights: UnsafePointer<Float> { reduced?.weights ?? UnsafePointer(storage.pointer) }
  public var scales: UnsafePointer<Float>? { reduced.map { UnsafePointer($0.scales.pointer) } }

  /// Groups of `vectorWidth` units.
  public var groups: Int { layout.panels }

  public static func groups(units: Int, kernels: KernelTable) throws(EngineError) -> Int {
    try Memory.sum(units, kernels.vectorWidth - 1) / kernels.vectorWidth
  }

  /// Packs `source`: row k at `k * stride`, block b of a row at `b * blockStride` (the canonical
  /// layout has `blockStride` = units and `stride` = blocks * units).
  public func pack(_ source: UnsafePointer<Float>, stride: Int, blockStride: Int) {
    let lanes = kernels.vectorWidth
    if let reduced {
      let (blocks, units) = (blocks, units)
      reduced.pack { k, group, block, lane in
        let unit = group * lanes + lane
        guard block < blocks, unit < units else { return 0 }
        return source[k * stride + block * blockStride + unit]
      }
      return
    }
    for row in Swift.stride(from: 0, to: layout.depth, by: PanelLayout.rowBlock) {
      let rows = row..<min(row + PanelLayout.rowBlock, layout.depth)
      for group in 0..<groups {
        packRows(rows, group, source, stride: stride, blockStride: blockStride)
      }
    }
  }

  private func packRows(
    _ rows: Range<Int>, _ group: Int, _ source: UnsafePointer<Float>, stride: Int, blockStride: Int
  ) {
    let first = group * kernels.vectorWidth
    let lanes = group == narrowGroup ? kernels.vectorWidth / 2 : kernels.vectorWidth
    let count = min(lanes, units - first)
    var to = storage.pointer + group * layout.panelStride + rows.lowerBound * blocks * lanes
    for k in rows {
      for block in 0..<blocks {
        to.update(from: source + k * stride + block * blockStride + first, count: count)
        (to + count).update(repeating: 0, count: lanes - count)
        to += lanes
      }
    }
  }
}
