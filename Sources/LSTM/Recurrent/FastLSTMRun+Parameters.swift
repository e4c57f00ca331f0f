import KernelInterface

/// The products over a whole block of steps: what goes to the input, and the parameters' gradients.
extension FastLSTMRun {
  func finishBlock(_ block: Range<Int>, _ part: Int, _ parts: Int) {
    guard let backward = tape.backward, let scratch else { return }
    let sums = GradientSums(
      kernels: kernels, panel: scratch.panels.panel(part), part: part, parts: parts,
      descends: frame.sums.descends, blocks: packed.blocks, units: cell.units,
      blockStride: blocks.stride)
    frame.forEachValidRun(ofBlock: block) { step, row, count in
      let inputDeltas = backward.inputDeltas
      frame.addInputGradient(
        step, row, count, deltas: inputDeltas.at(step, row), inputDeltas.stride,
        packed.inputTransposed, part, parts)
      addProducts(step, row, count, backward, sums)
      addPeepholes(step, row, count, backward, sums)
      addNorms(step, row, count, backward, sums)
    }
    if part == 0 { addDroppedRecurrent(block, backward, sums.alone) }
  }

  /// ∂W, ∂R, ∂b, ∂W_p.
  private func addProducts(
    _ step: Int, _ row: Int, _ count: Int, _ backward: LSTMTape<Float>.Backward,
    _ sums: GradientSums
  ) {
    let deltas = backward.deltas
    let inputDeltas = backward.inputDeltas
    let hidden = recurrentFactor(step, row)
    let isShared = !cell.layerNorm
    sums.addMatrix(
      gradients[.kernel], rows: count, depth: frame.inputWidth,
      a: frame.input(step) + row * frame.inputStride, aStride: frame.inputStride,
      d: inputDeltas.at(step, row), dStride: inputDeltas.stride, second: isShared ? hidden : nil)
    sums.addVector(
      gradients[.bias], rows: count, d: deltas.at(step, row), dStride: deltas.stride)
    if let hidden, !isShared {
      let deltas = backward.recurrentDeltas
      sums.addMatrix(
        hidden.c, rows: count, depth: hidden.depth, a: hidden.a, aStride: hidden.aStride,
        d: deltas.at(step, row), dStride: deltas.stride)
    }
    if let w = gradients[.projection] {
      sums.addOuter(
        w, stride: cell.outputWidth, rows: count, depth: cell.units, columns: cell.outputWidth,
        a: tape.blockOutput.at(step, row), aStride: tape.blockOutput.stride,
        d: backward.projected.at(step, row), dStride: backward.projected.stride)
    }
  }

  /// What ∂R is the product of; nil under recurrent dropout.
  private func recurrentFactor(_ step: Int, _ row: Int) -> OuterFactor? {
    guard activeDropout == nil, let r = gradients[.recurrentKernel] else { return nil }
    return OuterFactor(
      depth: cell.outputWidth, a: frame.hidden.at(step - 1, row), aStride: frame.hidden.stride,
      c: r, cStride: blocks.count * cell.units)
  }

  /// ∂R under recurrent dropout: step by step, with the inputs that each block saw.
  private func addDroppedRecurrent(
    _ block: Range<Int>, _ backward: LSTMTape<Float>.Backward, _ sums: GradientSums
  ) {
    guard let dropout = activeDropout, let dropped else { return }
    let deltas = backward.recurrentDeltas
    for step in block.reversed() {
      frame.forEachValidRun(step, 0..<frame.batch) { rows in
        let first = rows.lowerBound
        for gate in 0..<packed.blocks {
          drop(step, rows, gate, dropout, into: dropped)
          sums.addMatrixBlock(
            gradients[.recurrentKernel], gate, rows: rows.count, depth: cell.outputWidth,
            a: dropped.at(gate, first), aStride: dropped.stride, d: deltas.at(step, first),
            dStride: deltas.stride)
        }
      }
    }
  }

  private func addPeepholes(
    _ step: Int, _ row: Int, _ count: Int, _ backward: LSTMTape<Float>.Backward,
    _ sums: GradientSums
  ) {
    addPeephole(.inputPeephole, cell.inputBlock, cells, step - 1, step, row, count, backward, sums)
    addPeephole(
      .forgetPeephole, cell.forgetBlock, cells, step - 1, step, row, count, backward, sums)
    addPeephole(
      .outputPeephole, cell.outputBlock, tape.newCell, step, step, row, count, backward, sums)
  }

  private func addPeephole(
    _ parameter: CellParameter, _ block: Int?, _ c: StepRows<Float>, _ cellStep: Int,
    _ step: Int, _ row: Int, _ count: Int, _ backward: LSTMTape<Float>.Backward,
    _ sums: GradientSums
  ) {
    guard let block, let p = gradients[parameter] else { return }
    let d = UnsafePointer(backward.deltas.at(step, row) + block * blocks.stride)
    switch cell.peepholeKind {
    case .diagonal:
      sums.addSums(
        p, rows: count, columns: cell.units, d: d, dStride: backward.deltas.stride,
        z: UnsafePointer(c.at(cellStep, row)), zStride: c.stride)
    case .dense:
      sums.addOuter(
        p, stride: cell.units, rows: count, depth: cell.units, columns: cell.units,
        a: c.at(cellStep, row), aStride: c.stride, d: d, dStride: backward.deltas.stride)
    }
  }

  private func addNorms(
    _ step: Int, _ row: Int, _ count: Int, _ backward: LSTMTape<Float>.Backward,
    _ sums: GradientSums
  ) {
    guard let norm = tape.norm else { return }
    let deltas = backward.deltas
    sums.addVector(
      gradients[.layerNormInputScale], rows: count, d: deltas.at(step, row),
      dStride: deltas.stride, z: UnsafePointer(norm.input.at(step, row)),
      zStride: norm.input.stride)
    sums.addVector(
      gradients[.layerNormRecurrentScale], rows: count, d: deltas.at(step, row),
      dStride: deltas.stride, z: UnsafePointer(norm.recurrent.at(step, row)),
      zStride: norm.recurrent.stride)
    let squashed = backward.squashed
    if let scale = gradients[.layerNormCellScale] {
      sums.addSums(
        scale, rows: count, columns: cell.units, d: squashed.at(step, row),
        dStride: squashed.stride, z: UnsafePointer(norm.cell.at(step, row)),
        zStride: norm.cell.stride)
    }
    if let offset = gradients[.layerNormCellOffset] {
      sums.addSums(
        offset, rows: count, columns: cell.units, d: squashed.at(step, row),
        dStride: squashed.stride)
    }
  }
}
