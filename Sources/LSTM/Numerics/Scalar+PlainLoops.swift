import KernelInterface

extension Double: Scalar {
  public static var dataType: DataType { .float64 }
}

/// Plain loops unless a type brings kernels of its own.
extension Scalar {
  public static func packedCount(
    rows: Int, columns: Int, kernels: KernelTable
  ) throws(EngineError) -> Int {
    try Memory.product(rows, columns)
  }

  public static func pack(
    _ source: UnsafePointer<Self>, stride: Int, transposed: Bool, rows: Int, columns: Int,
    kernels: KernelTable, into packed: UnsafeMutablePointer<Self>
  ) {
    PlainLoops.pack(
      source, stride: stride, transposed: transposed, rows: rows, columns: columns, into: packed)
  }

  public static func product(
    rows: Int, a: UnsafePointer<Self>, aStride: Int, b: PackedMatrix<Self>,
    c: UnsafeMutablePointer<Self>, cStride: Int, initial: ProductInitial<Self>, threads: Int
  ) {
    PlainLoops.product(
      rows: rows, a: a, aStride: aStride, b: b, c: c, cStride: cStride, initial: initial)
  }

  public static func addOuterProduct(
    rows: Int, k: Int, n: Int, a: UnsafePointer<Self>, aStride: Int,
    d: UnsafePointer<Self>, dStride: Int, w: UnsafeMutablePointer<Self>, wStride: Int,
    threads: Int
  ) {
    PlainLoops.addOuterProduct(
      rows: rows, k: k, n: n, a: a, aStride: aStride, d: d, dStride: dStride, w: w,
      wStride: wStride)
  }

  public static func add(_ n: Int, _ x: UnsafePointer<Self>, to y: UnsafeMutablePointer<Self>) {
    for i in 0..<n { y[i] += x[i] }
  }

  public static func activate(
    _ activation: Activation, rows: Int, width: Int, values: UnsafeMutablePointer<Self>,
    stride: Int
  ) {
    PlainLoops.activate(activation, rows: rows, width: width, values: values, stride: stride)
  }

  public static func activationGradient(
    _ activation: Activation, rows: Int, width: Int, input: UnsafePointer<Self>,
    output: UnsafePointer<Self>, gradient: UnsafeMutablePointer<Self>, stride: Int
  ) {
    PlainLoops.activationGradient(
      activation, rows: rows, width: width, input: input, output: output, gradient: gradient,
      stride: stride)
  }
}
