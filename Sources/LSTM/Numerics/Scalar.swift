import KernelInterface

/// The number type of a network: `Float` runs on the kernels, `Double` on plain loops that follow
/// the textbook (gradient checks, oracles).
///
/// Matrices are row-major with a row stride in elements. Every element of a product is one serial
/// chain of additions in ascending k that begins at its initial value, whatever the number of rows,
/// threads and vector lanes: this is what makes results bit-identical across all of them.
public protocol Scalar: BinaryFloatingPoint, BitwiseCopyable, Sendable {
  static var dataType: DataType { get }

  /// Number of elements that a packed matrix of `rows` x `columns` takes.
  static func packedCount(
    rows: Int, columns: Int, kernels: KernelTable
  ) throws(EngineError) -> Int

  /// Writes B into its packed form; `transposed`: `source` holds Bᵀ (columns x rows).
  static func pack(
    _ source: UnsafePointer<Self>, stride: Int, transposed: Bool, rows: Int, columns: Int,
    kernels: KernelTable, into packed: UnsafeMutablePointer<Self>)

  /// C (rows x b.columns) = initial + A (rows x b.rows) · B. All columns of C's rows up to the next
  /// multiple of `Memory.rowGranularity` may be overwritten.
  static func product(
    rows: Int, a: UnsafePointer<Self>, aStride: Int, b: PackedMatrix<Self>,
    c: UnsafeMutablePointer<Self>, cStride: Int, initial: ProductInitial<Self>, threads: Int)

  /// W (k x n) += Aᵀ · D for A (rows x k), D (rows x n), rows ascending.
  static func addOuterProduct(
    rows: Int, k: Int, n: Int, a: UnsafePointer<Self>, aStride: Int,
    d: UnsafePointer<Self>, dStride: Int, w: UnsafeMutablePointer<Self>, wStride: Int,
    threads: Int)

  /// y += x, n elements.
  static func add(_ n: Int, _ x: UnsafePointer<Self>, to y: UnsafeMutablePointer<Self>)

  /// Applies an activation in place to `rows` rows.
  static func activate(
    _ activation: Activation, rows: Int, width: Int, values: UnsafeMutablePointer<Self>,
    stride: Int)

  /// gradient *= activation'(input), in place. `input` holds the pre-activations, `output` the
  /// activated values; both have `stride`, as has `gradient`.
  static func activationGradient(
    _ activation: Activation, rows: Int, width: Int, input: UnsafePointer<Self>,
    output: UnsafePointer<Self>, gradient: UnsafeMutablePointer<Self>, stride: Int)
}

/// What a product is added to.
public enum ProductInitial<S: Scalar> {
  case zero
  /// One value per column, the same for each row.
  case bias(UnsafePointer<S>)
  /// What C already holds.
  case accumulate
}

public enum DataType: Int32, Sendable {
  case float32 = 0
  case float64 = 1

  public var name: String { self == .float32 ? "float32" : "float64" }
}
