import KernelInterface

/// `Float` runs on the kernels of the processor's instruction set.
extension Float: Scalar {
  public static var dataType: DataType { .float32 }

  public static func packedCount(
    rows: Int, columns: Int, kernels: KernelTable
  ) throws(EngineError) -> Int {
    let width = kernels.panelWidth
    let panels = try Memory.sum(columns, width - 1) / width
    return try Memory.product(panels, rows, width)
  }

  public static func pack(
    _ source: UnsafePointer<Float>, stride: Int, transposed: Bool, rows: Int, columns: Int,
    kernels: KernelTable, into packed: UnsafeMutablePointer<Float>
  ) {
    let width = kernels.panelWidth
    let blocks = Swift.stride(from: 0, to: rows, by: PanelLayout.rowBlock)
    let panels = Swift.stride(from: 0, to: columns, by: width)
    func packBlock(_ row: Int, _ column: Int) {
      let (height, count) = (min(PanelLayout.rowBlock, rows - row), min(width, columns - column))
      let to = packed + column * rows + row * width
      if transposed {
        let from = source + column * stride + row
        for j in 0..<count {
          for r in 0..<height { to[r * width + j] = from[j * stride + r] }
        }
      } else {
        let from = source + row * stride + column
        for r in 0..<height { (to + r * width).update(from: from + r * stride, count: count) }
      }
      guard count < width else { return }
      for r in 0..<height { (to + r * width + count).update(repeating: 0, count: width - count) }
    }
    // Along the rows of the source, which are the columns of the transposed.
    if transposed {
      for column in panels { for row in blocks { packBlock(row, column) } }
    } else {
      for row in blocks { for column in panels { packBlock(row, column) } }
    }
  }

  public static func product(
    rows: Int, a: UnsafePointer<Float>, aStride: Int, b: PackedMatrix<Float>,
    c: UnsafeMutablePointer<Float>, cStride: Int, initial: ProductInitial<Float>, threads: Int
  ) {
    var arguments = ProductArguments(
      rows: rows, a: a, aStride: aStride, b: b, c: c, cStride: cStride)
    switch initial {
    case .zero: break
    case .bias(let bias): arguments.bias = bias
    case .accumulate: arguments.accumulates = true
    }
    ParallelKernels.product(arguments, b.kernels, threads: threads)
  }

  public static func addOuterProduct(
    rows: Int, k: Int, n: Int, a: UnsafePointer<Float>, aStride: Int,
    d: UnsafePointer<Float>, dStride: Int, w: UnsafeMutablePointer<Float>, wStride: Int,
    threads: Int
  ) {
    let kernels = KernelDispatch.kernels
    ParallelKernels.withOuterProductScratch(depth: k, kernels) { scratch, count in
      let arguments = OuterProductArguments(
        rows: rows, depth: k, columns: n, a: a, aStride: aStride, d: d, dStride: dStride,
        c: w, cStride: wStride, scratch: scratch, scratchCount: count)
      ParallelKernels.outerProduct(arguments, kernels, threads: threads)
    }
  }

  public static func add(_ n: Int, _ x: UnsafePointer<Float>, to y: UnsafeMutablePointer<Float>) {
    KernelDispatch.kernels.addScaled(n, 1, x, y)
  }

  public static func activate(
    _ activation: Activation, rows: Int, width: Int, values: UnsafeMutablePointer<Float>,
    stride: Int
  ) {
    if activation == .linear { return }
    var arguments = ActivationArguments(
      function: KernelActivation(activation), rows: rows, columns: width,
      input: values, inputStride: stride, output: values, outputStride: stride)
    KernelDispatch.kernels.activate(&arguments)
  }

  public static func activationGradient(
    _ activation: Activation, rows: Int, width: Int, input: UnsafePointer<Float>,
    output: UnsafePointer<Float>, gradient: UnsafeMutablePointer<Float>, stride: Int
  ) {
    if activation == .linear { return }
    var arguments = ActivationArguments(
      function: KernelActivation(activation), rows: rows, columns: width,
      input: input, inputStride: stride, output: UnsafeMutablePointer(mutating: output),
      outputStride: stride, gradient: gradient, gradientStride: stride)
    KernelDispatch.kernels.activateBackward(&arguments)
  }
}

extension KernelActivation {
  /// The engine's activation in the kernels' terms.
  public init(_ activation: Activation) {
    switch activation {
    case .linear: self.init(ActivationCode.linear)
    case .tanh: self.init(ActivationCode.tanh)
    case .sigmoid: self.init(ActivationCode.sigmoid)
    case .hardSigmoid: self.init(ActivationCode.hardSigmoid, a: 1.0 / 6, b: 0.5)
    case .hardSigmoidKeras2: self.init(ActivationCode.hardSigmoid, a: 0.2, b: 0.5)
    case .relu(let slope, let maximum, let threshold):
      self.init(
        ActivationCode.relu, a: Float(slope), b: maximum.map { Float($0) } ?? .infinity,
        c: Float(threshold))
    case .elu(let alpha): self.init(ActivationCode.elu, a: Float(alpha), b: 1)
    case .selu:
      self.init(
        ActivationCode.elu, a: Float(ActivationMath.seluAlpha), b: Float(ActivationMath.seluScale))
    case .gelu(let approximate): self.init(approximate ? ActivationCode.geluTanh : .gelu)
    case .silu: self.init(ActivationCode.silu)
    case .softplus: self.init(ActivationCode.softplus)
    case .softsign: self.init(ActivationCode.softsign)
    case .exponential: self.init(ActivationCode.exponential)
    case .softmax: self.init(ActivationCode.softmax)
    }
  }
}
