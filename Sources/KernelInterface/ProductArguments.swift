/// C[m, n] = C0[m, n] + sum over k of A[m, k] B[k, n], each element one chain of fused multiply-adds
/// in ascending k that starts from C0: what C holds (`accumulates`), the bias of the column, or 0.
///
/// B is packed in panels of `KernelTable.panelWidth` columns (see ``PanelLayout``). Nothing outside
/// rows x columns of C is written; the bias is read up to the next multiple of 16 columns.
public struct ProductArguments {
  public var rows: Int
  public var columns: Int
  public var depth: Int
  /// Element (m, k) is at `m * aStride + k`.
  public var a: UnsafePointer<Float>
  public var aStride: Int
  public var b: UnsafePointer<Float>
  /// Anything but float32: `b` points to codes (``ReducedLayout``), and `scales` to those of int8.
  public var format = WeightFormat.float32
  public var scales: UnsafePointer<Float>?
  public var c: UnsafeMutablePointer<Float>
  public var cStride: Int
  public var bias: UnsafePointer<Float>?
  public var accumulates: Bool

  public init(
    rows: Int, columns: Int, depth: Int, a: UnsafePointer<Float>, aStride: Int,
    b: UnsafePointer<Float>, c: UnsafeMutablePointer<Float>, cStride: Int,
    bias: UnsafePointer<Float>? = nil, accumulates: Bool = false
  ) {
    self.rows = rows
    self.columns = columns
    self.depth = depth
    self.a = a
    self.aStride = aStride
    self.b = b
    self.c = c
    self.cStride = cStride
    self.bias = bias
    self.accumulates = accumulates
  }
}

/// C[k, n] += sum over rows m of A[m, k] D[m, n], each element one chain of fused multiply-adds in
/// ascending m: the gradient of a weight matrix from its input A and the deltas D of its output.
///
/// Nothing outside `depth` x `columns` of C is written. To split the work over threads, split k or
/// n, never m: the sums then do not depend on the number of threads.
public struct OuterProductArguments {
  /// M, over which is summed.
  public var rows: Int
  /// K, the rows of C and columns of A.
  public var depth: Int
  /// N, the columns of C and D.
  public var columns: Int
  public var a: UnsafePointer<Float>
  public var aStride: Int
  public var d: UnsafePointer<Float>
  public var dStride: Int
  /// Where D's columns are, if not side by side.
  public var dBlocks: ColumnBlocks?
  public var c: UnsafeMutablePointer<Float>
  public var cStride: Int
  /// Another A and C for the same D, which then is packed once for both.
  public var second: OuterFactor?
  /// 64-byte aligned, of the calling thread alone: at least `KernelTable.outerProductScratch(256, 1)` floats (or that for
  /// `rows`, if they are fewer), fastest with `outerProductScratch(rows, depth)`.
  public var scratch: UnsafeMutablePointer<Float>
  public var scratchCount: Int

  public init(
    rows: Int, depth: Int, columns: Int, a: UnsafePointer<Float>, aStride: Int,
    d: UnsafePointer<Float>, dStride: Int, c: UnsafeMutablePointer<Float>, cStride: Int,
    scratch: UnsafeMutablePointer<Float>, scratchCount: Int
  ) {
    self.rows = rows
    self.depth = depth
    self.columns = columns
    self.a = a
    self.aStride = aStride
    self.d = d
    self.dStride = dStride
    self.c = c
    self.cStride = cStride
    self.scratch = scratch
    self.scratchCount = scratchCount
  }
}

/// Columns in blocks (a cell's gates) with padding between them.
public struct ColumnBlocks {
  /// Columns of a block, and floats from one block to the next: at least `width`, and whole vectors.
  public var width: Int
  public var stride: Int
  /// The column that is meant by column 0.
  public var first: Int

  public init(width: Int, stride: Int, first: Int = 0) {
    self.width = width
    self.stride = stride
    self.first = first
  }
}

/// What an outer product multiplies D with, and the sums that this adds to.
public struct OuterFactor {
  public var depth: Int
  public var a: UnsafePointer<Float>
  public var aStride: Int
  public var c: UnsafeMutablePointer<Float>
  public var cStride: Int

  public init(
    depth: Int, a: UnsafePointer<Float>, aStride: Int, c: UnsafeMutablePointer<Float>, cStride: Int
  ) {
    self.depth = depth
    self.a = a
    self.aStride = aStride
    self.c = c
    self.cStride = cStride
  }
}
