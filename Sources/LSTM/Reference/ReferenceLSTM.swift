/// One row of an LSTM at one step, as Greff et al. (arXiv 1503.04069, section II) write it, with every
/// switch of ``LSTMDescription``. `⊙` is element-wise, σ, φ and ψ are the cell's activations:
///
///     ḡ = W_g x(t) + R_g h(t-1) + b_g                       g = φ(ḡ)
///     ī = W_i x(t) + R_i h(t-1) + p_i ⊙ c(t-1) + b_i        i = σ(ī)
///     f̄ = W_f x(t) + R_f h(t-1) + p_f ⊙ c(t-1) + b_f        f = σ(f̄)
///     c(t) = f ⊙ c(t-1) + i ⊙ g
///     ō = W_o x(t) + R_o h(t-1) + p_o ⊙ c(t) + b_o          o = σ(ō)
///     m(t) = o ⊙ ψ(c(t))                                    h(t) = m(t), or W_p m(t)
///
/// A gate that the cell lacks is 1; a coupled forget gate is 1 - i.
struct ReferenceLSTM<S: Scalar> {
  typealias Math = ReferenceMath<S>

  let cell: LSTMDescription
  let inputWidth: Int
  let weights: CellPointers<S>
  let gradients: CellPointers<S>

  /// H.
  var units: Int { cell.units }
  /// Width of h: P, or H.
  var outputWidth: Int { cell.outputWidth }
  /// G·H, the columns of W, R and b.
  var columns: Int { cell.blockCount * cell.units }

  func forward(_ row: LSTMRow<S>) {
    preactivate(row)
    addPeephole(row, cell.inputBlock, .inputPeephole, from: row.previousCell)
    addPeephole(row, cell.forgetBlock, .forgetPeephole, from: row.previousCell)
    activate(row, cell.inputBlock, cell.recurrentActivation)
    activate(row, cell.forgetBlock, cell.recurrentActivation)
    activate(row, cell.cellBlock, cell.activation)

    let g = row.gates + cell.cellBlock * units
    for j in 0..<units {
      let sum = forgetGate(row, j) * row.previousCell[j] + inputGate(row, j) * g[j]
      row.newCell[j] = Math.clip(sum, cell.cellClip)
    }

    addPeephole(row, cell.outputBlock, .outputPeephole, from: row.newCell)
    activate(row, cell.outputBlock, cell.recurrentActivation)
    for j in 0..<units {
      row.blockOutput[j] = outputGate(row, j)
    }
    if let normed = row.normalizedCell { normalizeCell(row, normed) }
    for j in 0..<units {
      row.blockOutput[j] *= Math.apply(cell.outputActivation, squashed(row, j))
    }
    project(row)
    mixWithPrevious(row)
  }

  // MARK: The gates of a row, 1 where the cell has none

  func inputGate(_ row: LSTMRow<S>, _ j: Int) -> S {
    cell.inputBlock.map { row.gates[$0 * units + j] } ?? 1
  }

  func forgetGate(_ row: LSTMRow<S>, _ j: Int) -> S {
    if cell.couplesGates { return 1 - inputGate(row, j) }
    return cell.forgetBlock.map { row.gates[$0 * units + j] } ?? 1
  }

  func outputGate(_ row: LSTMRow<S>, _ j: Int) -> S {
    cell.outputBlock.map { row.gates[$0 * units + j] } ?? 1
  }

  /// What ψ is applied to: c(t), or its normalised form γ_c ĉ + β_c.
  func squashed(_ row: LSTMRow<S>, _ j: Int) -> S {
    guard let normed = row.normalizedCell else { return row.newCell[j] }
    return (weights[.layerNormCellScale]?[j] ?? 1) * normed[j]
      + (weights[.layerNormCellOffset]?[j] ?? 0)
  }

  // MARK: The parts of the forward pass

  /// W x + R h + b for all blocks; with layer normalisation LN(W x; γ_x) + LN(R h; γ_h) + b.
  private func preactivate(_ row: LSTMRow<S>) {
    let z = row.gates
    for j in 0..<columns { z[j] = weights[.bias]?[j] ?? 0 }
    guard let norm = row.norm else {
      addInputProduct(row, z)
      addRecurrentProduct(row, z)
      return
    }
    for j in 0..<columns {
      norm.input[j] = 0
      norm.recurrent[j] = 0
    }
    addInputProduct(row, norm.input)
    addRecurrentProduct(row, norm.recurrent)
    norm.factors[0] = Math.standardize(norm.input, columns, epsilon: cell.layerNormEpsilon)
    norm.factors[1] = Math.standardize(norm.recurrent, columns, epsilon: cell.layerNormEpsilon)
    if let scale = weights[.layerNormInputScale] {
      Math.addElementwise(z, columns, scale, norm.input)
    }
    if let scale = weights[.layerNormRecurrentScale] {
      Math.addElementwise(z, columns, scale, norm.recurrent)
    }
  }

  private func addInputProduct(_ row: LSTMRow<S>, _ out: UnsafeMutablePointer<S>) {
    guard let w = weights[.kernel] else { return }
    Math.addProduct(out, columns, row.input, inputWidth, w, stride: columns)
  }

  private func addRecurrentProduct(_ row: LSTMRow<S>, _ out: UnsafeMutablePointer<S>) {
    guard let r = weights[.recurrentKernel] else { return }
    for block in 0..<cell.blockCount {
      Math.addProduct(
        out + block * units, units, row.recurrentInput(block), outputWidth, r + block * units,
        stride: columns)
    }
  }

  /// p ⊙ c, or P c, into the block's pre-activation.
  private func addPeephole(
    _ row: LSTMRow<S>, _ block: Int?, _ parameter: CellParameter, from c: UnsafePointer<S>
  ) {
    guard let block, let p = weights[parameter] else { return }
    let z = row.gates + block * units
    switch cell.peepholeKind {
    case .diagonal: Math.addElementwise(z, units, p, c)
    case .dense: Math.addProduct(z, units, c, units, p, stride: units)
    }
  }

  private func activate(_ row: LSTMRow<S>, _ block: Int?, _ activation: Activation) {
    guard let block else { return }
    let z = row.gates + block * units
    let kept = row.preactivations.map { $0 + block * units }
    for j in 0..<units {
      kept?[j] = z[j]
      z[j] = Math.apply(activation, Math.clip(z[j], cell.gateClip))
    }
  }

  private func normalizeCell(_ row: LSTMRow<S>, _ normed: UnsafeMutablePointer<S>) {
    normed.update(from: row.newCell, count: units)
    row.norm?.factors[2] = Math.standardize(normed, units, epsilon: cell.layerNormEpsilon)
  }

  private func project(_ row: LSTMRow<S>) {
    guard let w = weights[.projection] else { return }
    for j in 0..<outputWidth { row.newHidden[j] = 0 }
    Math.addProduct(
      row.newHidden, outputWidth, row.blockOutput, units, w, stride: outputWidth)
    for j in 0..<outputWidth {
      row.newHidden[j] = Math.clip(row.newHidden[j], cell.projectionClip)
    }
  }

  /// Zoneout: a part of c and h keeps its old value. h is computed from the new c, as the paper has
  /// it (Krueger et al., arXiv 1606.01305).
  private func mixWithPrevious(_ row: LSTMRow<S>) {
    guard let zoneout = row.zoneout else { return }
    for j in 0..<units {
      row.cell[j] = zoneout.cell(j, kept: row.previousCell[j], new: row.newCell[j])
    }
    for j in 0..<outputWidth {
      row.hidden[j] = zoneout.hidden(j, kept: row.previousHidden[j], new: row.newHidden[j])
    }
  }
}

/// The memory of one row at one step.
///
/// Blocks of `gates` lie H apart. `newHidden` is `blockOutput` unless there is a projection; `newCell`
/// and `newHidden` are `cell` and `hidden` unless there is zoneout.
struct LSTMRow<S: Scalar> {
  let input: UnsafePointer<S>
  let previousHidden: UnsafePointer<S>
  let previousCell: UnsafePointer<S>
  /// Pre-activations, then the gates' values.
  let gates: UnsafeMutablePointer<S>
  /// Pre-activations with peepholes, kept if a derivative needs them.
  let preactivations: UnsafeMutablePointer<S>?
  let newCell: UnsafeMutablePointer<S>
  let cell: UnsafeMutablePointer<S>
  let blockOutput: UnsafeMutablePointer<S>
  let newHidden: UnsafeMutablePointer<S>
  let hidden: UnsafeMutablePointer<S>
  /// Layer normalisation only.
  let norm: Norm?
  /// ĉ, layer normalisation only.
  let normalizedCell: UnsafeMutablePointer<S>?
  /// Zoneout only.
  let zoneout: Zoneout<S>?
  /// Recurrent dropout only.
  let dropout: RecurrentDropoutRow<S>?

  struct Norm {
    /// x̂ of W x and of R h.
    let input: UnsafeMutablePointer<S>
    let recurrent: UnsafeMutablePointer<S>
    /// 1 / deviation of W x, R h, c.
    let factors: UnsafeMutablePointer<S>
  }

  /// h(t-1) as the recurrent product of a block sees it.
  func recurrentInput(_ block: Int) -> UnsafePointer<S> {
    dropout?.dropped(block, previousHidden) ?? previousHidden
  }
}

/// The same row on the way back.
struct LSTMRowGradient<S: Scalar> {
  /// δi δf δg δo of the existing blocks, H apart.
  let deltas: UnsafeMutablePointer<S>
  /// The same before the layer normalisations of W x and R h; equal to `deltas` without them.
  let inputDeltas: UnsafeMutablePointer<S>
  let recurrentDeltas: UnsafeMutablePointer<S>
  /// dL/dm(t), H.
  let blockOutput: UnsafeMutablePointer<S>
  /// dL/dh̃(t) before the projection's clip took its part; P.
  let projected: UnsafeMutablePointer<S>
  /// dL/d(γ ĉ + β); layer normalisation only.
  let squashed: UnsafeMutablePointer<S>
  /// Receives dL/dc(t) if it is recorded.
  let cellTrace: UnsafeMutablePointer<S>?
  /// δh(t) on entry, δh(t-1) on return.
  let hidden: UnsafeMutablePointer<S>
  /// What step t+1 sends to c(t) on entry, what step t sends to c(t-1) on return.
  let cell: UnsafeMutablePointer<S>
  /// dL/dx(t), added to.
  let input: UnsafeMutablePointer<S>
}
