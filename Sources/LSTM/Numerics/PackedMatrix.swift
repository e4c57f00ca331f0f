import KernelInterface

/// A matrix B (rows x columns) in the order in which the kernels' `product` reads it.
///
/// It remembers the kernels that it was laid out for, so that choosing another instruction set does
/// not disturb networks that exist.
public final class PackedMatrix<S: Scalar>: @unchecked Sendable {
  public let rows: Int
  public let columns: Int
  public let kernels: KernelTable
  public let storage: Buffer<S>

  public init(
    rows: Int, columns: Int, kernels: KernelTable = KernelDispatch.kernels
  ) throws(EngineError) {
    self.rows = rows
    self.columns = columns
    self.kernels = kernels
    storage = try Buffer(count: S.packedCount(rows: rows, columns: columns, kernels: kernels))
  }

  /// Packs `source` (rows x columns, or columns x rows if `transposed`), row stride `stride`.
  public func pack(_ source: UnsafePointer<S>, stride: Int, transposed: Bool = false) {
    S.pack(
      source, stride: stride, transposed: transposed, rows: rows, columns: columns,
      kernels: kernels, into: storage.pointer)
  }
}

/// A weight matrix (`depth` x blocks of `units` columns) in the order in which the kernels' fused steps
/// read it: for each group of `vectorWidth` units its blocks side by side (``PanelLayout``).
public final class PackedGates: @unchecked Sendable {
  public let blocks: Int
  public let units: Int
  public let kernels: KernelTable
  public let layout: PanelLayout
  public let storage: Buffer<Float>

  public init(
    depth: Int, blocks: Int, units: Int, kernels: KernelTable = KernelDispatch.kernels
  ) throws(EngineError) {
    self.blocks = blocks
    self.units = units
    self.kernels = kernels
    let groups = try PackedGates.groups(units: units, kernels: kernels)
    layout = PanelLayout(depth: depth, width: blocks * kernels.vectorWidth, panels: groups)
    storage = try Buffer(count: Memory.product(depth, layout.width, layout.panels))
  }

  /// Groups of `vectorWidth` units.
  public var groups: Int { layout.panels }

  public static func groups(units: Int, kernels: KernelTable) throws(EngineError) -> Int {
    try Memory.sum(units, kernels.vectorWidth - 1) / kernels.vectorWidth
  }

  /// Packs `source`: row k at `k * stride`, block b of a row at `b * blockStride` (the canonical
  /// layout has `blockStride` = units and `stride` = blocks * units).
  public func pack(_ source: UnsafePointer<Float>, stride: Int, blockStride: Int) {
    let lanes = kernels.vectorWidth
    var to = storage.pointer
    for group in 0..<groups {
      let first = group * lanes
      let count = min(lanes, units - first)
      for k in 0..<layout.depth {
        for block in 0..<blocks {
          let from = source + k * stride + block * blockStride + first
          for lane in 0..<lanes { to[lane] = lane < count ? from[lane] : 0 }
          to += lanes
        }
      }
    }
  }
}
