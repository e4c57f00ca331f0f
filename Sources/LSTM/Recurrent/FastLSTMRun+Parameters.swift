import KernelInterface

/// The products over a whole block of steps: what goes to the input, and the parameters' gradients.
extension FastLSTMRun {
  func finishBlock(_ block: Range<Int>) {
    guard let backward = tape.backward, let scratch else { return }
    let sums = GradientSums(
      kernels: kernels, panel: scratch.panel, blocks: packed.blocks, units: cell.units,
      blockStride: blocks.stride)
    frame.forEachValidRun(ofBlock: block) { step, row, count in
      addInputGradient(step, row, count, backward)
      addProducts(step, row, count, backward, sums)
      addPeepholes(step, row, count, backward, sums)
      addNorms(step, row, count, backward, sums)
    }
  }

  private func addInputGradient(
    _ step: Int, _ row: Int, _ count: Int, _ backward: LSTMTape<Float>.Backward
  ) {
    guard let target = frame.inputGradient(step), let matrix = packed.inputTransposed else {
      return
    }
    matrix.addProduct(
      rows: count, a: backward.inputDeltas.at(step, row), aStride: backward.inputDeltas.stride,
      c: target + row * frame.inputGradientStride, cStride: frame.inputGradientStride)
  }

  /// ∂W, ∂R, ∂b, ∂W_p.
  private func addProducts(
    _ step: Int, _ row: Int, _ count: Int, _ backward: LSTMTape<Float>.Backward,
    _ sums: GradientSums
  ) {
    let deltas = backward.deltas
    let inputDeltas = backward.inputDeltas
    sums.addMatrix(
      gradients[.kernel], rows: count, depth: frame.inputWidth,
      a: frame.input(step) + row * frame.inputStride, aStride: frame.inputStride,
      d: inputDeltas.at(step, row), dStride: inputDeltas.stride)
    sums.addVector(
      gradients[.bias], rows: count, d: deltas.at(step, row), dStride: deltas.stride)
    addRecurrent(step, row, count, backward, sums)
    if let w = gradients[.projection] {
      sums.addOuter(
        w, stride: cell.outputWidth, rows: count, depth: cell.units, columns: cell.outputWidth,
        a: tape.blockOutput.at(step, row), aStride: tape.blockOutput.stride,
        d: backward.projected.at(step, row), dStride: backward.projected.stride)
    }
  }

  private func addRecurrent(
    _ step: Int, _ row: Int, _ count: Int, _ backward: LSTMTape<Float>.Backward,
    _ sums: GradientSums
  ) {
    let deltas = backward.recurrentDeltas
    guard let dropout = activeDropout, let dropped else {
      sums.addMatrix(
        gradients[.recurrentKernel], rows: count, depth: cell.outputWidth,
        a: frame.hidden.at(step - 1, row), aStride: frame.hidden.stride,
        d: deltas.at(step, row), dStride: deltas.stride)
      return
    }
    // The rows of a run may belong to several steps; the masks do not.
    for index in 0..<count {
      let at = row + index
      let present = step + at / frame.batch
      let b = at % frame.batch
      for block in 0..<packed.blocks {
        drop(present, b..<b + 1, block, dropout, into: dropped)
        sums.addMatrixBlock(
          gradients[.recurrentKernel], block, rows: 1, depth: cell.outputWidth,
          a: dropped.at(block, b), aStride: dropped.stride, d: deltas.at(present, b),
          dStride: deltas.stride)
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
