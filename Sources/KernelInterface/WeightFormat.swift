/// How the kernels find the weights of a product or step.
public enum WeightFormat: UInt8, Sendable, CaseIterable {
  /// Panels as ``PanelLayout`` draws them.
  case float32
  /// The upper half of a float32. Arithmetic is that of float32 with the rounded weights, bit for bit; but
  /// kernels that multiply pairs (`KernelTable.pairsBrainFloats`) round the activations, too.
  case bfloat16
  /// Whole numbers from -127 to 127, times one scale for each column. The other factor, a row of
  /// activations, becomes 16-bit whole numbers times one scale for each row; sums are exact.
  case int8
}

/// How a matrix of `depth` rows (k) is laid out in reduced precision: panels of four vectors, one after
/// the other; in a panel row after row (V = `KernelTable.vectorWidth`).
///
///     bfloat16   a row is one k:        2 V words of 32 bits: | column j of vectors 0 and 1 | ... 2 and 3 |
///                or in pairs, two ks:   4 V words: | j: k, k+1 | of vector 0, then 1, 2, 3
///     int8       a row is two ks:       8 V bytes: | j: k, k+1 | of vector 0, then 1, 2, 3
///
/// A word has the even vector's number, or the even k's, in its lower half. For **products** the vectors of a panel are 4 V
/// neighbouring columns; for **fused steps** vector n is block (gate) n of V units. What does not exist
/// (columns, blocks, the last k of an odd depth) is zero. Scales lie in the panels' order, 4 V for each.
public struct ReducedLayout: Sendable, Equatable {
  public static let vectors = 4

  public var format: WeightFormat
  public var depth: Int
  public var vectorWidth: Int
  /// A row is two ks.
  public var isPaired: Bool

  public init(format: WeightFormat, depth: Int, kernels: KernelTable) {
    self.format = format
    self.depth = depth
    vectorWidth = kernels.vectorWidth
    isPaired = format == .int8 || kernels.pairsBrainFloats
  }

  public var columns: Int { ReducedLayout.vectors * vectorWidth }
  public var rows: Int { isPaired ? (depth + 1) / 2 : depth }
  public var rowBytes: Int { (isPaired && format == .bfloat16 ? 16 : 8) * vectorWidth }
  /// Bytes from one panel to the next.
  public var panelStride: Int { rows * rowBytes }

  /// Most int8 codes of a row of activations, x and h together, that the fused step has room for.
  public static let longestRow = 1 << 14
}
