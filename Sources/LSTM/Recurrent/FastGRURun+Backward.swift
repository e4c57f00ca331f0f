import KernelInterface

extension FastGRURun {
  func backwardStep(_ step: Int, _ rows: Range<Int>, _ gradient: StateGradients<Float>) {
    let all = 0..<cell.units
    if cell.resetAfter {
      deltasAfterReset(step, rows, all, gradient)
      if activeDropout == nil { return sendAfterReset(step, rows, all, gradient) }
    } else {
      deltasBeforeReset(step, rows, gradient)
    }
    sendByBlocks(step, rows, gradient)
  }

  private func backwardArguments(
    _ step: Int, _ rows: Range<Int>, _ units: Range<Int>, _ gradient: StateGradients<Float>,
    _ deltas: StepRows<Float>
  ) -> GRUPointwiseArguments {
    let first = units.lowerBound
    var arguments = pointwise(step, rows, units)
    arguments.hiddenGradient = gradient.hidden + rows.lowerBound * gradient.hiddenStride + first
    arguments.hiddenGradientStride = gradient.hiddenStride
    arguments.deltas = deltas.at(step, rows.lowerBound) + first
    arguments.deltasStride = deltas.stride
    return arguments
  }

  /// δz̄, δr̄, δn̄ and δq of some units; what the recurrent products see of them: δz̄, δr̄, δq.
  func deltasAfterReset(
    _ step: Int, _ rows: Range<Int>, _ units: Range<Int>, _ gradient: StateGradients<Float>
  ) {
    guard !units.isEmpty, let deltas, let recurrentDeltas else { return }
    var arguments = backwardArguments(step, rows, units, gradient, deltas)
    arguments.candidateGradient =
      recurrentDeltas.at(step, rows.lowerBound) + 2 * blockStride + units.lowerBound
    arguments.candidateGradientStride = recurrentDeltas.stride
    kernels.gruBackward(&arguments)
    copyDeltas(step, rows, units, blocks: 2)
  }

  private func deltasBeforeReset(
    _ step: Int, _ rows: Range<Int>, _ gradient: StateGradients<Float>
  ) {
    guard let deltas else { return }
    let all = 0..<cell.units
    var arguments = backwardArguments(step, rows, all, gradient, deltas)
    arguments.computesGates = false
    kernels.gruBackward(&arguments)
    backThroughReset(step, rows, &arguments)
    copyDeltas(step, rows, all, blocks: 3)
  }

  private func copyDeltas(_ step: Int, _ rows: Range<Int>, _ units: Range<Int>, blocks: Int) {
    guard let deltas, let recurrentDeltas else { return }
    for row in rows {
      for block in 0..<blocks {
        let first = block * blockStride + units.lowerBound
        (recurrentDeltas.at(step, row) + first).update(
          from: deltas.at(step, row) + first, count: units.count)
      }
    }
  }

  /// Reset before: δ(r ⊙ h) = R_hᵀ δn̄, and through it to r and h.
  private func backThroughReset(
    _ step: Int, _ rows: Range<Int>, _ arguments: inout GRUPointwiseArguments
  ) {
    guard let deltas, let resetGradient, let matrix = packed.recurrentBlocksTransposed.last else {
      return
    }
    let first = rows.lowerBound
    var product = ProductArguments(
      rows: rows.count, columns: matrix.columns, depth: matrix.rows,
      a: deltas.at(step, first) + 2 * blockStride, aStride: deltas.stride,
      b: matrix.storage.pointer, c: resetGradient.at(0, first), cStride: resetGradient.stride)
    kernels.product(&product)
    if let dropout = activeDropout {
      // r met mask ⊙ h: the mask may as well stand with the gradient.
      for row in rows {
        let d = resetGradient.at(0, row)
        let mask = dropout.masks.at(2, row)
        for j in 0..<cell.units { d[j] *= mask[j] }
      }
    }
    arguments.computesGates = true
    arguments.computesOutput = false
    arguments.resetGradient = UnsafePointer(resetGradient.at(0, first))
    arguments.resetGradientStride = resetGradient.stride
    kernels.gruBackward(&arguments)
  }

  /// δh(t-1) += Rᵀ δ at some units.
  func sendAfterReset(
    _ step: Int, _ rows: Range<Int>, _ units: Range<Int>, _ gradient: StateGradients<Float>
  ) {
    guard let recurrentDeltas else { return }
    packed.recurrentTransposed?.addProduct(
      rows: rows.count, a: recurrentDeltas.at(step, rows.lowerBound),
      aStride: recurrentDeltas.stride,
      c: gradient.hidden + rows.lowerBound * gradient.hiddenStride, cStride: gradient.hiddenStride,
      columns: units)
  }

  /// The same block by block; the candidate's only with reset after, where it saw h itself.
  private func sendByBlocks(
    _ step: Int, _ rows: Range<Int>, _ gradient: StateGradients<Float>
  ) {
    guard let recurrentDeltas else { return }
    let first = rows.lowerBound
    let hidden = gradient.hidden + first * gradient.hiddenStride
    let d = recurrentDeltas.at(step, first)
    for block in 0..<(cell.resetAfter ? 3 : 2) {
      let matrix = packed.recurrentBlocksTransposed[block]
      guard let dropout = activeDropout, let dropped else {
        matrix.addProduct(
          rows: rows.count, a: d + block * blockStride, aStride: recurrentDeltas.stride,
          c: hidden, cStride: gradient.hiddenStride)
        continue
      }
      for row in rows { dropped.clear(block, row) }
      matrix.addProduct(
        rows: rows.count, a: d + block * blockStride, aStride: recurrentDeltas.stride,
        c: dropped.at(block, first), cStride: dropped.stride)
      for row in rows {
        kernels.multiplyAdd(
          cell.units, dropped.at(block, row), dropout.masks.at(block, row),
          gradient.hidden + row * gradient.hiddenStride)
      }
    }
  }

  func finishBlock(_ block: Range<Int>, _ part: Int, _ parts: Int) {
    guard let deltas, let recurrentDeltas, let panels else { return }
    let sums = GradientSums(
      kernels: kernels, panel: panels.panel(part), part: part, parts: parts,
      descends: frame.sums.descends, blocks: 3, units: cell.units, blockStride: blockStride)
    let columns = 3 * cell.units
    frame.forEachValidRun(ofBlock: block) { step, row, count in
      let d = UnsafePointer(deltas.at(step, row))
      let r = UnsafePointer(recurrentDeltas.at(step, row))
      frame.addInputGradient(
        step, row, count, deltas: d, deltas.stride, packed.inputTransposed, part, parts)
      sums.addMatrix(
        gradients[.kernel], rows: count, depth: frame.inputWidth,
        a: frame.input(step) + row * frame.inputStride, aStride: frame.inputStride, d: d,
        dStride: deltas.stride)
      sums.addVector(gradients[.bias], rows: count, d: d, dStride: deltas.stride)
      if cell.resetAfter {
        sums.addVector(
          gradients[.bias].map { $0 + columns }, rows: count, d: r,
          dStride: recurrentDeltas.stride)
      }
      addRecurrent(step, row, count, r, recurrentDeltas.stride, sums)
    }
    if activeDropout != nil, part == 0 { addDroppedRecurrent(block, recurrentDeltas, sums.alone) }
  }

  /// ∂R; without dropout, whose masks are not the same from step to step of a run, for all blocks.
  private func addRecurrent(
    _ step: Int, _ row: Int, _ count: Int, _ r: UnsafePointer<Float>, _ stride: Int,
    _ sums: GradientSums
  ) {
    let w = gradients[.recurrentKernel]
    let h = UnsafePointer(frame.hidden.at(step - 1, row))
    for block in 0..<3 {
      let readsReset = block == 2 && !cell.resetAfter
      guard readsReset || activeDropout == nil else { continue }
      sums.addMatrixBlock(
        w, block, rows: count, depth: cell.units,
        a: readsReset ? UnsafePointer(candidates.at(step, row)) : h,
        aStride: readsReset ? candidates.stride : frame.hidden.stride, d: r, dStride: stride)
    }
  }

  private func addDroppedRecurrent(
    _ block: Range<Int>, _ recurrentDeltas: StepRows<Float>, _ sums: GradientSums
  ) {
    guard let dropout = activeDropout, let dropped else { return }
    for step in block.reversed() {
      frame.forEachValidRun(step, 0..<frame.batch) { rows in
        let first = rows.lowerBound
        for gate in 0..<(cell.resetAfter ? 3 : 2) {
          dropout.apply(gate, rows, to: frame.hidden, step - 1, into: dropped, kernels)
          sums.addMatrixBlock(
            gradients[.recurrentKernel], gate, rows: rows.count, depth: cell.units,
            a: dropped.at(gate, first), aStride: dropped.stride,
            d: recurrentDeltas.at(step, first), dStride: recurrentDeltas.stride)
        }
      }
    }
  }
}
