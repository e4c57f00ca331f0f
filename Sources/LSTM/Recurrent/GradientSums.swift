import KernelInterface

/// Scratch for the kernels' outer products, a part of it for each thread.
struct GradientPanels {
  private let base: UnsafeMutablePointer<Float>
  private let count: Int

  /// Threads that have scratch, and so can take part in a backward pass.
  static let parts = min(ThreadPool.shared.limit, 16)

  init(_ frame: SequenceFrame<Float>, _ kernels: KernelTable) throws(EngineError) {
    let cell = frame.description.cell
    let rows = try Memory.product(frame.sums.block, frame.batch)
    // Those of W and R at once, each with whole tiles.
    let matrices = frame.inputWidth + ParallelKernels.rowUnit + cell.outputWidth
    // And the padded sums of a bias of up to four blocks.
    count = try max(
      kernels.outerProductScratch(rows, max(matrices, cell.units)),
      Memory.product(4, Memory.rowStride(cell.units)))
    base = try frame.plan.arena.allocate(
      count: Memory.product(count, GradientPanels.parts), zeroed: false)
  }

  func panel(_ part: Int) -> UnsafeMutableBufferPointer<Float> {
    UnsafeMutableBufferPointer(start: base + part * count, count: count)
  }
}

/// Adds the parameters' gradients of some rows of a block of steps, blocks of columns with padding
/// between them on one side, the canonical layout on the other. A thread adds to its share of each
/// matrix: to some of its columns or rows, so that the order of each sum does not depend on the
/// number of threads.
struct GradientSums {
  let kernels: KernelTable
  /// Scratch of the kernels' outer product, this thread's own.
  let panel: UnsafeMutableBufferPointer<Float>
  let part: Int
  let parts: Int
  /// From the last row to the first (``SumOrder``).
  let descends: Bool
  let blocks: Int
  let units: Int
  let blockStride: Int

  /// The same for one thread that does all.
  var alone: GradientSums {
    GradientSums(
      kernels: kernels, panel: panel, part: 0, parts: 1, descends: descends, blocks: blocks,
      units: units, blockStride: blockStride)
  }

  /// W (depth x blocks·units) += Aᵀ D, and the same for a second matrix with the same D.
  func addMatrix(
    _ w: UnsafeMutablePointer<Float>?, rows: Int, depth: Int, a: UnsafePointer<Float>,
    aStride: Int, d: UnsafePointer<Float>, dStride: Int, second: OuterFactor? = nil
  ) {
    guard let w else { return }
    addOuter(
      w, stride: blocks * units, rows: rows, depth: depth, columns: blocks * units, a: a,
      aStride: aStride, d: d, dStride: dStride, dBlocks: columnBlocks, second: second)
  }

  /// One block of W.
  func addMatrixBlock(
    _ w: UnsafeMutablePointer<Float>?, _ block: Int, rows: Int, depth: Int,
    a: UnsafePointer<Float>, aStride: Int, d: UnsafePointer<Float>, dStride: Int
  ) {
    guard let w else { return }
    addOuter(
      w + block * units, stride: blocks * units, rows: rows, depth: depth, columns: units, a: a,
      aStride: aStride, d: d + block * blockStride, dStride: dStride)
  }

  /// C (depth x columns) += Aᵀ D, without blocks.
  func addOuter(
    _ w: UnsafeMutablePointer<Float>, stride: Int, rows: Int, depth: Int, columns: Int,
    a: UnsafePointer<Float>, aStride: Int, d: UnsafePointer<Float>, dStride: Int,
    dBlocks: ColumnBlocks? = nil, second: OuterFactor? = nil
  ) {
    guard let scratch = panel.baseAddress else { return }
    var arguments = OuterProductArguments(
      rows: rows, depth: depth, columns: columns, a: a, aStride: aStride, d: d,
      dStride: dStride, c: w, cStride: stride, scratch: scratch, scratchCount: panel.count)
    arguments.dBlocks = dBlocks
    arguments.second = second
    if descends {
      turn(&arguments.a, &arguments.aStride, rows)
      turn(&arguments.d, &arguments.dStride, rows)
      if var factor = second {
        turn(&factor.a, &factor.aStride, rows)
        arguments.second = factor
      }
    }
    arguments.takeShare(part, of: parts, kernels)
    kernels.outerProduct(&arguments)
  }

  /// b += the sums of D's columns, times those of Z if it is given.
  func addVector(
    _ b: UnsafeMutablePointer<Float>?, rows: Int, d: UnsafePointer<Float>, dStride: Int,
    z: UnsafePointer<Float>? = nil, zStride: Int = 0
  ) {
    guard let b, let padded = panel.baseAddress else { return }
    let width = blocks * blockStride
    guard units < blockStride else {
      return addSums(b, rows: rows, columns: width, d: d, dStride: dStride, z: z, zStride: zStride)
    }
    let columns = share(of: width)
    /// A block's columns of this thread's share, in b and with padding between the blocks.
    func own(_ block: Int) -> (
      UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>, count: Int
    ) {
      let first = block * blockStride
      let some = columns.clamped(to: first..<first + units)
      return (b + block * units + (some.lowerBound - first), padded + some.lowerBound, some.count)
    }
    for block in 0..<blocks {
      let (sums, copy, count) = own(block)
      copy.update(from: sums, count: count)
    }
    addSums(padded, rows: rows, columns: width, d: d, dStride: dStride, z: z, zStride: zStride)
    for block in 0..<blocks {
      let (sums, copy, count) = own(block)
      sums.update(from: copy, count: count)
    }
  }

  /// The same for one vector of `columns`, without blocks.
  func addSums(
    _ b: UnsafeMutablePointer<Float>, rows: Int, columns: Int, d: UnsafePointer<Float>,
    dStride: Int, z: UnsafePointer<Float>? = nil, zStride: Int = 0
  ) {
    let own = share(of: columns)
    guard !own.isEmpty else { return }
    var arguments = ColumnSumArguments(
      rows: rows, columns: own.count, x: d + own.lowerBound, xStride: dStride,
      z: z.map { $0 + own.lowerBound }, zStride: zStride, sums: b + own.lowerBound)
    if descends {
      turn(&arguments.x, &arguments.xStride, rows)
      if var z = arguments.z {
        turn(&z, &arguments.zStride, rows)
        arguments.z = z
      }
    }
    kernels.addColumnSums(&arguments)
  }

  /// This thread's columns, those of D that it multiplies with, too.
  private func share(of columns: Int) -> Range<Int> {
    ParallelKernels.share(columns, unit: kernels.panelWidth, part, parts)
  }

  /// The same rows from the last to the first.
  private func turn(_ rows: inout UnsafePointer<Float>, _ stride: inout Int, _ count: Int) {
    rows += max(count - 1, 0) * stride
    stride = -stride
  }

  /// nil if there is no padding between the blocks.
  private var columnBlocks: ColumnBlocks? {
    units == blockStride ? nil : ColumnBlocks(width: units, stride: blockStride)
  }
}

extension SequenceFrame where S == Float {
  /// dL/dx += δ Wᵀ for a run of rows; the thread takes its share of them.
  func addInputGradient(
    _ step: Int, _ row: Int, _ count: Int, deltas: UnsafePointer<Float>, _ stride: Int,
    _ matrix: PackedMatrix<Float>?, _ part: Int, _ parts: Int
  ) {
    guard let target = inputGradient(step), let matrix else { return }
    let share = ParallelKernels.share(count, unit: ParallelKernels.rowUnit, part, parts)
    matrix.addProduct(
      rows: share.count, a: deltas + share.lowerBound * stride, aStride: stride,
      c: target + (row + share.lowerBound) * inputGradientStride, cStride: inputGradientStride)
  }
}
