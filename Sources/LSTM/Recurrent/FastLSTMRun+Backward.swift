import KernelInterface

/// Rows that the way back through a step needs beside the tape's.
struct LSTMBackwardScratch {
  /// dL/dc̃(t), apart from the carried dL/dc(t) where zoneout divides the two.
  let newCell: StepRows<Float>?
  /// What a block sends to h(t-1) before its dropout mask.
  let dropped: StepRows<Float>?
  let panels: GradientPanels

  init(
    _ frame: SequenceFrame<Float>, _ cell: LSTMDescription, _ packed: CellWeights
  ) throws(EngineError) {
    newCell =
      cell.zoneout > 0
      ? try StepRows(frame.plan, batch: frame.batch, width: cell.units, period: 1) : nil
    dropped =
      frame.description.recurrentDropout > 0
      ? try StepRows(frame.plan, batch: frame.batch, width: cell.outputWidth, period: 1) : nil
    panels = try GradientPanels(frame, packed.kernels)
  }
}

/// The way back through time. A step turns δh(t) and δc(t) into deltas and those of step t-1; the
/// products with W and the parameters' gradients follow for a whole block of steps at once.
extension FastLSTMRun {
  func backwardStep(_ step: Int, _ rows: Range<Int>, _ gradient: StateGradients<Float>) {
    guard let backward = tape.backward, gradient.cell != nil else { return }
    let first = rows.lowerBound
    var arguments = backwardArguments(step, rows, gradient, backward)
    backThroughHidden(step, rows, gradient, backward, &arguments)
    if let newCell = scratch?.newCell {
      splitCellGradient(step, rows, gradient, newCell)
      arguments.cellGradient = newCell.at(0, first)
      arguments.cellGradientStride = newCell.stride
    }

    let isDense = cell.peepholeKind == .dense
    if isDense || cell.layerNorm || backward.cell != nil {
      backInStages(step, rows, backward, &arguments, isDense: isDense)
    } else {
      kernels.lstmBackward(&arguments)
    }

    if let newCell = scratch?.newCell { joinCellGradient(rows, gradient, newCell) }
    if cell.layerNorm { backThroughNorms(step, rows, backward) }
    sendToHidden(step, rows, gradient, backward)
  }

  /// Of the element-wise kernel: from δh(t) and δc(t) to deltas, for some rows.
  private func backwardArguments(
    _ step: Int, _ rows: Range<Int>, _ gradient: StateGradients<Float>,
    _ backward: LSTMTape<Float>.Backward
  ) -> LSTMPointwiseArguments {
    let first = rows.lowerBound
    var arguments = pointwise(step, rows)
    arguments.deltas = backward.deltas.at(step, first)
    arguments.deltasStride = backward.deltas.stride
    arguments.cellGradient = gradient.cell.map { $0 + first * gradient.cellStride }
    arguments.cellGradientStride = gradient.cellStride
    arguments.outputGradient = UnsafePointer(gradient.hidden + first * gradient.hiddenStride)
    arguments.outputGradientStride = gradient.hiddenStride
    return arguments
  }

  /// Zoneout and the projection: from δh(t) to δm(t) in `backward.blockOutput`, if there are any.
  private func backThroughHidden(
    _ step: Int, _ rows: Range<Int>, _ gradient: StateGradients<Float>,
    _ backward: LSTMTape<Float>.Backward, _ arguments: inout LSTMPointwiseArguments
  ) {
    guard cell.zoneout > 0 || cell.projection != nil else { return }
    let first = rows.lowerBound
    for row in rows {
      let zoneout = zoneout(step, row)
      let dh = gradient.hidden + row * gradient.hiddenStride
      let projected = backward.projected.at(step, row)
      for j in 0..<cell.outputWidth {
        let kept = zoneout?.hiddenShare(j) ?? 0
        projected[j] = (1 - kept) * dh[j]
        dh[j] *= kept
      }
      guard cell.projectionClip != nil else { continue }
      let h = tape.newHidden.at(step, row)
      for j in 0..<cell.outputWidth {
        projected[j] *= ReferenceMath<Float>.clipSlope(h[j], cell.projectionClip)
      }
    }
    if let matrix = packed.projectionTransposed {
      var product = ProductArguments(
        rows: rows.count, columns: matrix.columns, depth: matrix.rows,
        a: backward.projected.at(step, first), aStride: backward.projected.stride,
        b: matrix.storage.pointer, c: backward.blockOutput.at(step, first),
        cStride: backward.blockOutput.stride)
      kernels.product(&product)
    }
    arguments.outputGradient = UnsafePointer(backward.blockOutput.at(step, first))
    arguments.outputGradientStride = backward.blockOutput.stride
  }

  /// Zoneout of c: what the new cell gets of δc(t) goes to `newCell`, the rest stays.
  private func splitCellGradient(
    _ step: Int, _ rows: Range<Int>, _ gradient: StateGradients<Float>,
    _ newCell: StepRows<Float>
  ) {
    guard let cellGradient = gradient.cell else { return }
    for row in rows {
      guard let zoneout = zoneout(step, row) else { return }
      let dc = cellGradient + row * gradient.cellStride
      let new = newCell.at(0, row)
      for j in 0..<cell.units {
        let kept = zoneout.cellShare(j)
        new[j] = (1 - kept) * dc[j]
        dc[j] *= kept
      }
    }
  }

  private func joinCellGradient(
    _ rows: Range<Int>, _ gradient: StateGradients<Float>, _ newCell: StepRows<Float>
  ) {
    guard let cellGradient = gradient.cell else { return }
    for row in rows {
      kernels.addScaled(
        cell.units, 1, newCell.at(0, row), cellGradient + row * gradient.cellStride)
    }
  }

  /// The element-wise part with what comes between its stages.
  private func backInStages(
    _ step: Int, _ rows: Range<Int>, _ backward: LSTMTape<Float>.Backward,
    _ arguments: inout LSTMPointwiseArguments, isDense: Bool
  ) {
    guard let cellGradient = arguments.cellGradient else { return }
    let first = rows.lowerBound
    let stride = arguments.cellGradientStride
    arguments.computesCell = false
    if cell.layerNorm {
      for row in rows { squash(step, row) }
      arguments.sourceGradient = backward.squashed.at(step, first)
      arguments.sourceGradientStride = backward.squashed.stride
    }
    kernels.lstmBackward(&arguments)
    if cell.layerNorm { backThroughCellNorm(step, rows, backward, cellGradient, stride) }
    if isDense {
      addDensePeephole(step, rows, 2, cell.outputBlock, backward, cellGradient, stride)
    }
    if let trace = backward.cell {
      for row in rows {
        trace.at(step, row).update(
          from: cellGradient + (row - first) * stride, count: cell.units)
      }
    }
    arguments.computesCell = true
    arguments.computesOutput = false
    kernels.lstmBackward(&arguments)
    if isDense {
      addDensePeephole(step, rows, 0, cell.inputBlock, backward, cellGradient, stride)
      addDensePeephole(step, rows, 1, cell.forgetBlock, backward, cellGradient, stride)
    }
  }

  /// dc += γ-scaled way back through LN(c).
  private func backThroughCellNorm(
    _ step: Int, _ rows: Range<Int>, _ backward: LSTMTape<Float>.Backward,
    _ cellGradient: UnsafeMutablePointer<Float>, _ stride: Int
  ) {
    guard let norm = tape.norm, let scale = packed.vector(.layerNormCellScale), let squashed else {
      return
    }
    let layout = BlockedRow(blocks: 1, units: cell.units, stride: blocks.stride)
    for row in rows {
      // The squashed cell of this row is not needed any more.
      let out = squashed.at(0, row)
      layout.standardizeBackward(
        out, dy: backward.squashed.at(step, row), scale: scale,
        standardized: norm.cell.at(step, row), factor: norm.factors.at(step, row)[2])
      kernels.addScaled(cell.units, 1, out, cellGradient + (row - rows.lowerBound) * stride)
    }
  }

  private func addDensePeephole(
    _ step: Int, _ rows: Range<Int>, _ index: Int, _ block: Int?,
    _ backward: LSTMTape<Float>.Backward, _ cellGradient: UnsafeMutablePointer<Float>,
    _ stride: Int
  ) {
    guard let matrix = packed.peepholesTransposed[index], let block else { return }
    matrix.addProduct(
      rows: rows.count,
      a: backward.deltas.at(step, rows.lowerBound) + block * blocks.stride,
      aStride: backward.deltas.stride, c: cellGradient, cStride: stride)
  }

  private func backThroughNorms(
    _ step: Int, _ rows: Range<Int>, _ backward: LSTMTape<Float>.Backward
  ) {
    guard let norm = tape.norm, let inputScale = packed.vector(.layerNormInputScale),
      let recurrentScale = packed.vector(.layerNormRecurrentScale)
    else { return }
    let layout = BlockedRow(blocks: packed.blocks, units: cell.units, stride: blocks.stride)
    for row in rows {
      let dy = UnsafePointer(backward.deltas.at(step, row))
      let factors = norm.factors.at(step, row)
      layout.standardizeBackward(
        backward.inputDeltas.at(step, row), dy: dy, scale: inputScale,
        standardized: norm.input.at(step, row), factor: factors[0])
      layout.standardizeBackward(
        backward.recurrentDeltas.at(step, row), dy: dy, scale: recurrentScale,
        standardized: norm.recurrent.at(step, row), factor: factors[1])
    }
  }

  /// δh(t-1) = Rᵀ δ, beside what zoneout kept; nothing if the gates' errors are cut.
  private func sendToHidden(
    _ step: Int, _ rows: Range<Int>, _ gradient: StateGradients<Float>,
    _ backward: LSTMTape<Float>.Backward
  ) {
    let first = rows.lowerBound
    let hidden = gradient.hidden + first * gradient.hiddenStride
    if activeDropout == nil, !cell.truncatesGates,
      var product = hiddenProduct(step, rows, gradient, backward)
    {
      product.accumulates = cell.zoneout > 0
      kernels.product(&product)
      return
    }
    if cell.zoneout == 0 {
      for row in 0..<rows.count {
        (hidden + row * gradient.hiddenStride).update(repeating: 0, count: gradient.hiddenStride)
      }
    }
    guard !cell.truncatesGates, let dropout = activeDropout, let scratch = scratch?.dropped else {
      return
    }
    let deltas = backward.recurrentDeltas
    for (block, matrix) in packed.recurrentBlocksTransposed.enumerated() {
      for row in rows { scratch.clear(0, row) }
      matrix.addProduct(
        rows: rows.count, a: deltas.at(step, first) + block * blocks.stride,
        aStride: deltas.stride, c: scratch.at(0, first), cStride: scratch.stride)
      for row in rows {
        kernels.multiplyAdd(
          cell.outputWidth, scratch.at(0, row), dropout.masks.at(block, row),
          gradient.hidden + row * gradient.hiddenStride)
      }
    }
  }

  /// Rᵀ δ, which becomes δh(t-1).
  private func hiddenProduct(
    _ step: Int, _ rows: Range<Int>, _ gradient: StateGradients<Float>,
    _ backward: LSTMTape<Float>.Backward
  ) -> ProductArguments? {
    let deltas = backward.recurrentDeltas
    return packed.recurrentTransposed.map {
      ProductArguments(
        rows: rows.count, a: deltas.at(step, rows.lowerBound), aStride: deltas.stride, b: $0,
        c: gradient.hidden + rows.lowerBound * gradient.hiddenStride,
        cStride: gradient.hiddenStride)
    }
  }

  // MARK: Divided by units

  /// The deltas of some units, and what c(t-1) gets from them, of the usual cells.
  func deltasOfUnits(
    _ step: Int, _ rows: Range<Int>, _ units: Range<Int>, _ gradient: StateGradients<Float>
  ) {
    guard !units.isEmpty, let backward = tape.backward else { return }
    let first = units.lowerBound
    var arguments = backwardArguments(step, rows, gradient, backward)
    arguments.units = units.count
    arguments.gates += first
    arguments.previousCell += first
    arguments.cell += first
    arguments.output = nil
    arguments.preactivations = arguments.preactivations.map { $0 + first }
    arguments.inputPeephole = arguments.inputPeephole.map { $0 + first }
    arguments.forgetPeephole = arguments.forgetPeephole.map { $0 + first }
    arguments.outputPeephole = arguments.outputPeephole.map { $0 + first }
    arguments.deltas = arguments.deltas.map { $0 + first }
    arguments.cellGradient = arguments.cellGradient.map { $0 + first }
    arguments.outputGradient = arguments.outputGradient.map { $0 + first }
    kernels.lstmBackward(&arguments)
  }

  /// δh(t-1) = Rᵀ δ at some units.
  func sendToUnits(
    _ step: Int, _ rows: Range<Int>, _ units: Range<Int>, _ gradient: StateGradients<Float>
  ) {
    guard !units.isEmpty, let backward = tape.backward,
      var product = hiddenProduct(step, rows, gradient, backward)
    else { return }
    product.take(columns: units, kernels)
    kernels.product(&product)
  }
}
