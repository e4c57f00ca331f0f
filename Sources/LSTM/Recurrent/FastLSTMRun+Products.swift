import KernelInterface

/// Steps that the fused kernel does not cover: products, then element-wise kernels; and what follows either, projection
/// and zoneout.
extension FastLSTMRun {
  /// The pre-activations of a step in `tape.gates`.
  func preactivate(_ step: Int, _ rows: Range<Int>, _ part: Range<Int>) {
    guard let inputProduct else { return }
    let gates = tape.gates
    inputProduct.copy(step, rows, part: part, 0..<cell.units, to: tape.norm?.input ?? gates)
    if let norm = tape.norm {
      for row in rows { norm.recurrent.clear(step, row) }
    }
    multiplyRecurrent(step, rows, to: tape.norm?.recurrent ?? gates)
    guard let norm = tape.norm else { return }
    for row in rows {
      let layout = BlockedRow(blocks: packed.blocks, units: cell.units, stride: blocks.stride)
      let input = norm.input.at(step, row)
      let recurrent = norm.recurrent.at(step, row)
      let factors = norm.factors.at(step, row)
      factors[0] = layout.standardize(input, epsilon: cell.layerNormEpsilon)
      factors[1] = layout.standardize(recurrent, epsilon: cell.layerNormEpsilon)
      let z = gates.at(step, row)
      z.update(from: packed.bias.pointer, count: packed.columns)
      addScaled(.layerNormInputScale, input, to: z)
      addScaled(.layerNormRecurrentScale, recurrent, to: z)
    }
  }

  private func addScaled(
    _ scale: CellParameter, _ x: UnsafePointer<Float>, to z: UnsafeMutablePointer<Float>
  ) {
    guard let scale = packed.vector(scale) else { return }
    kernels.multiplyAdd(packed.columns, scale, x, z)
  }

  /// z += h(t-1) R, by block where dropout gives each block an h of its own.
  private func multiplyRecurrent(
    _ step: Int, _ rows: Range<Int>, to target: StepRows<Float>
  ) {
    let first = rows.lowerBound
    guard let dropout = activeDropout, let dropped else {
      if let matrix = packed.recurrent {
        matrix.addProduct(
          rows: rows.count, a: frame.hidden.at(step - 1, first), aStride: frame.hidden.stride,
          c: target.at(step, first), cStride: target.stride)
      } else {
        for (block, matrix) in packed.recurrentBlocks.enumerated() {
          matrix.addProduct(
            rows: rows.count, a: frame.hidden.at(step - 1, first), aStride: frame.hidden.stride,
            c: target.at(step, first) + block * blocks.stride, cStride: target.stride)
        }
      }
      return
    }
    for (block, matrix) in packed.recurrentBlocks.enumerated() {
      drop(step, rows, block, dropout, into: dropped)
      matrix.addProduct(
        rows: rows.count, a: dropped.at(block, first), aStride: dropped.stride,
        c: target.at(step, first) + block * blocks.stride, cStride: target.stride)
    }
  }

  /// h(t-1) as a block sees it in training.
  func drop(
    _ step: Int, _ rows: Range<Int>, _ block: Int, _ dropout: RecurrentDropout<Float>,
    into dropped: StepRows<Float>
  ) {
    dropout.apply(block, rows, to: frame.hidden, step - 1, into: dropped, kernels)
  }

  func activate(_ step: Int, _ rows: Range<Int>) {
    let first = rows.lowerBound
    let isDense = cell.peepholeKind == .dense
    if isDense {
      addDensePeephole(step, rows, 0, cell.inputBlock, cells.at(step - 1, first), cells.stride)
      addDensePeephole(step, rows, 1, cell.forgetBlock, cells.at(step - 1, first), cells.stride)
    }
    var arguments = pointwise(step, rows)
    if isDense || cell.layerNorm {
      arguments.computesOutput = false
      kernels.lstmForward(&arguments)
      arguments.computesOutput = true
      arguments.computesCell = false
    }
    if isDense {
      addDensePeephole(
        step, rows, 2, cell.outputBlock, tape.newCell.at(step, first), tape.newCell.stride)
    }
    if cell.layerNorm { normalizeCell(step, rows) }
    kernels.lstmForward(&arguments)
  }

  private func addDensePeephole(
    _ step: Int, _ rows: Range<Int>, _ index: Int, _ block: Int?, _ c: UnsafePointer<Float>,
    _ stride: Int
  ) {
    guard let matrix = packed.peepholes[index], let block else { return }
    matrix.addProduct(
      rows: rows.count, a: c, aStride: stride,
      c: tape.gates.at(step, rows.lowerBound) + block * blocks.stride, cStride: tape.gates.stride)
  }

  /// ĉ and what ψ is applied to.
  private func normalizeCell(_ step: Int, _ rows: Range<Int>) {
    guard let norm = tape.norm else { return }
    let layout = BlockedRow(blocks: 1, units: cell.units, stride: blocks.stride)
    for row in rows {
      let normed = norm.cell.at(step, row)
      normed.update(from: tape.newCell.at(step, row), count: cell.units)
      norm.factors.at(step, row)[2] = layout.standardize(normed, epsilon: cell.layerNormEpsilon)
      squash(step, row)
    }
  }

  /// γ_c ĉ + β_c.
  func squash(_ step: Int, _ row: Int) {
    guard let norm = tape.norm, let squashed, let scale = packed.vector(.layerNormCellScale),
      let offset = packed.vector(.layerNormCellOffset)
    else { return }
    let to = squashed.at(0, row)
    to.update(from: offset, count: cell.units)
    kernels.multiplyAdd(cell.units, scale, norm.cell.at(step, row), to)
  }

  /// The arguments of the element-wise kernels for some rows of a step.
  func pointwise(_ step: Int, _ rows: Range<Int>) -> LSTMPointwiseArguments {
    let first = rows.lowerBound
    var arguments = LSTMPointwiseArguments(
      rows: rows.count, units: cell.units, blocks: blocks,
      gates: tape.gates.at(step, first), gatesStride: tape.gates.stride,
      previousCell: cells.at(step - 1, first), previousCellStride: cells.stride,
      cell: tape.newCell.at(step, first), cellStride: tape.newCell.stride)
    arguments.gateActivation = KernelActivation(cell.recurrentActivation)
    arguments.cellActivation = KernelActivation(cell.activation)
    arguments.outputActivation = KernelActivation(cell.outputActivation)
    if let kept = tape.preactivations {
      arguments.preactivations = kept.at(step, first)
      arguments.preactivationsStride = kept.stride
    }
    if let squashed {
      arguments.outputSource = UnsafePointer(squashed.at(0, first))
      arguments.outputSourceStride = squashed.stride
    }
    arguments.output = tape.blockOutput.at(step, first)
    arguments.outputStride = tape.blockOutput.stride
    if cell.peepholeKind == .diagonal {
      arguments.inputPeephole = UnsafePointer(packed.vector(.inputPeephole))
      arguments.forgetPeephole = UnsafePointer(packed.vector(.forgetPeephole))
      arguments.outputPeephole = UnsafePointer(packed.vector(.outputPeephole))
    }
    arguments.cellClip = cell.cellClip.map { Float($0) } ?? .infinity
    arguments.gateClip = cell.gateClip.map { Float($0) } ?? .infinity
    return arguments
  }

  // MARK: After the cell

  func project(_ step: Int, _ rows: Range<Int>, _ matrix: PackedMatrix<Float>) {
    let first = rows.lowerBound
    let out = tape.newHidden
    var arguments = ProductArguments(
      rows: rows.count, a: tape.blockOutput.at(step, first), aStride: tape.blockOutput.stride,
      b: matrix, c: out.at(step, first), cStride: out.stride)
    kernels.product(&arguments)
    guard cell.projectionClip != nil else { return }
    for row in rows {
      let h = out.at(step, row)
      for j in 0..<cell.outputWidth {
        h[j] = ReferenceMath<Float>.clip(h[j], cell.projectionClip)
      }
    }
  }

  func mixWithPrevious(_ step: Int, _ rows: Range<Int>) {
    for row in rows {
      guard let zoneout = zoneout(step, row) else { return }
      let oldCell = cells.at(step - 1, row)
      let newCell = tape.newCell.at(step, row)
      let cell = cells.at(step, row)
      for j in 0..<self.cell.units {
        cell[j] = zoneout.cell(j, kept: oldCell[j], new: newCell[j])
      }
      let oldHidden = frame.hidden.at(step - 1, row)
      let newHidden = tape.newHidden.at(step, row)
      let hidden = frame.hidden.at(step, row)
      for j in 0..<self.cell.outputWidth {
        hidden[j] = zoneout.hidden(j, kept: oldHidden[j], new: newHidden[j])
      }
    }
  }
}
