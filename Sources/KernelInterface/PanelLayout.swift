/// How a matrix of `depth` rows (k) is laid out for the kernels: panels of `width` neighbouring
/// columns, one after the other; within a panel, row after row. Columns that do not exist are zero.
///
///     canonical (K x N)            packed
///     k=0  | p0     | p1  |        p0,k=0  p0,k=1 … p0,k=K-1 | p1,k=0  p1,k=1 … p1,k=K-1
///     k=1  | p0     | p1  |        `-- width floats --'
///
/// **Products** use panels of `KernelTable.panelWidth` columns of the matrix.
///
/// **Fused steps** use one panel per group of `KernelTable.vectorWidth` = V units, and in it the
/// blocks (gates) side by side, so width = blocks x V:
///
///     group u, row k:   | i: V units | f: V units | g: V units | o: V units |
///
/// so that one row of the panel is what the accumulators of V units of all gates need for one k. The last group of
/// a cell with four blocks, if it has no more than V/2 units, is **narrow**: two blocks in a vector, half as much
/// to read and to multiply.
///
///     narrow, row k:    | i: V/2, f: V/2 | g: V/2, o: V/2 |
public struct PanelLayout: Sendable, Equatable {
  /// K, rows of the matrix.
  public var depth: Int
  /// Floats per row of a panel.
  public var width: Int
  public var panels: Int

  public init(depth: Int, width: Int, panels: Int) {
    self.depth = depth
    self.width = width
    self.panels = panels
  }

  /// Rows that are packed together: few enough to be read side by side, and a line of the cache of a source whose
  /// columns they are.
  public static let rowBlock = 16

  /// Floats from one panel to the next.
  public var panelStride: Int { depth * width }
}
