/// The kernels of one instruction set: functions and the sizes that their callers must know.
///
/// Contract of all of them: no allocation, no locks, no global state; sizes may be 0; memory need not
/// be aligned (64-byte alignment is faster); outputs do not overlap inputs unless it is said.
/// **The result of an element depends on its own inputs only**, never on the number of rows, its
/// position in a vector, or how the work was split; and the AVX2 and AVX-512 kernels give the
/// same bits. The baseline multiplies and adds in two roundings, so its bits differ from theirs.
public final class KernelTable: Sendable {
  /// `baseline`, `avx2`, `avx512`, `avx512_bf16`: values of CAROUSEL_INSTRUCTION_SET.
  public let name: StaticString
  /// Floats per vector register: units per group in fused steps.
  public let vectorWidth: Int
  /// Columns per panel of a packed matrix in `product`.
  public let panelWidth: Int
  /// bfloat16 weights are multiplied in pairs of ks, with activations in bfloat16 (``ReducedLayout``).
  public let pairsBrainFloats: Bool
  /// Batch rows at which the fused steps work best: split batches at multiples of it.
  public let rowTile: Int
  /// Floats of scratch with which `outerProduct` is fastest for so many rows of A and D, and columns of A.
  public let outerProductScratch: @Sendable (_ rows: Int, _ depth: Int) -> Int

  public typealias Kernel<Arguments> = @Sendable (UnsafePointer<Arguments>) -> Void

  public let product: Kernel<ProductArguments>
  public let outerProduct: Kernel<OuterProductArguments>
  public let lstmStep: Kernel<LSTMStepArguments>
  public let lstmForward: Kernel<LSTMPointwiseArguments>
  public let lstmBackward: Kernel<LSTMPointwiseArguments>
  public let gruForward: Kernel<GRUPointwiseArguments>
  public let gruBackward: Kernel<GRUPointwiseArguments>
  public let activate: Kernel<ActivationArguments>
  public let activateBackward: Kernel<ActivationArguments>
  /// y[i] += a x[i], i < n.
  public let addScaled:
    @Sendable (
      _ n: Int, _ a: Float, _ x: UnsafePointer<Float>, _ y: UnsafeMutablePointer<Float>
    ) -> Void
  /// y[i] = y[i] a.
  public let scale: @Sendable (_ n: Int, _ a: Float, _ y: UnsafeMutablePointer<Float>) -> Void
  /// y[i] += x[i] z[i].
  public let multiplyAdd:
    @Sendable (
      _ n: Int, _ x: UnsafePointer<Float>, _ z: UnsafePointer<Float>,
      _ y: UnsafeMutablePointer<Float>
    ) -> Void
  /// sum of x[i]², in an order that depends on n only (16 partial sums, added pairwise).
  public let sumOfSquares: @Sendable (_ n: Int, _ x: UnsafePointer<Float>) -> Float
  /// sums[j] += sum over rows r, ascending, of x[r, j] (times z[r, j] if z is not nil).
  public let addColumnSums: Kernel<ColumnSumArguments>

  public init(
    name: StaticString, vectorWidth: Int, panelWidth: Int, pairsBrainFloats: Bool, rowTile: Int,
    outerProductScratch: @escaping @Sendable (Int, Int) -> Int,
    product: @escaping Kernel<ProductArguments>,
    outerProduct: @escaping Kernel<OuterProductArguments>,
    lstmStep: @escaping Kernel<LSTMStepArguments>,
    lstmForward: @escaping Kernel<LSTMPointwiseArguments>,
    lstmBackward: @escaping Kernel<LSTMPointwiseArguments>,
    gruForward: @escaping Kernel<GRUPointwiseArguments>,
    gruBackward: @escaping Kernel<GRUPointwiseArguments>,
    activate: @escaping Kernel<ActivationArguments>,
    activateBackward: @escaping Kernel<ActivationArguments>,
    addScaled:
      @escaping @Sendable (
        Int, Float, UnsafePointer<Float>, UnsafeMutablePointer<Float>
      ) -> Void,
    scale: @escaping @Sendable (Int, Float, UnsafeMutablePointer<Float>) -> Void,
    multiplyAdd:
      @escaping @Sendable (
        Int, UnsafePointer<Float>, UnsafePointer<Float>, UnsafeMutablePointer<Float>
      ) -> Void,
    sumOfSquares: @escaping @Sendable (Int, UnsafePointer<Float>) -> Float,
    addColumnSums: @escaping Kernel<ColumnSumArguments>
  ) {
    self.name = name
    self.vectorWidth = vectorWidth
    self.panelWidth = panelWidth
    self.pairsBrainFloats = pairsBrainFloats
    self.rowTile = rowTile
    self.outerProductScratch = outerProductScratch
    self.product = product
    self.outerProduct = outerProduct
    self.lstmStep = lstmStep
    self.lstmForward = lstmForward
    self.lstmBackward = lstmBackward
    self.gruForward = gruForward
    self.gruBackward = gruBackward
    self.activate = activate
    self.activateBackward = activateBackward
    self.addScaled = addScaled
    self.scale = scale
    self.multiplyAdd = multiplyAdd
    self.sumOfSquares = sumOfSquares
    self.addColumnSums = addColumnSums
  }
}

/// Arguments of `addColumnSums`, the gradient of a bias (or, with z, of a diagonal weight).
public struct ColumnSumArguments {
  public var rows: Int
  public var columns: Int
  public var x: UnsafePointer<Float>
  public var xStride: Int
  public var z: UnsafePointer<Float>?
  public var zStride: Int
  public var sums: UnsafeMutablePointer<Float>

  public init(
    rows: Int, columns: Int, x: UnsafePointer<Float>, xStride: Int,
    z: UnsafePointer<Float>? = nil, zStride: Int = 0, sums: UnsafeMutablePointer<Float>
  ) {
    self.rows = rows
    self.columns = columns
    self.x = x
    self.xStride = xStride
    self.z = z
    self.zStride = zStride
    self.sums = sums
  }
}
