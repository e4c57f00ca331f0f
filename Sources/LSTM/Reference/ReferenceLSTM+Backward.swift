/// The way back through one step. With Δ(t) = ∂L/∂h(t) from above already in δh(t):
///
///     δō = δh(t) ⊙ ψ(c(t)) ⊙ σ'(ō)
///     δc = δh(t) ⊙ o ⊙ ψ'(c(t)) + p_o ⊙ δō + (what step t+1 sent)
///     δf̄ = δc ⊙ c(t-1) ⊙ σ'(f̄)      δī = δc ⊙ g ⊙ σ'(ī)      δḡ = δc ⊙ i ⊙ φ'(ḡ)
///     to c(t-1): f ⊙ δc + p_i ⊙ δī + p_f ⊙ δf̄
///     to h(t-1): R_gᵀ δḡ + R_iᵀ δī + R_fᵀ δf̄ + R_oᵀ δō
///     to x(t):   W_gᵀ δḡ + W_iᵀ δī + W_fᵀ δf̄ + W_oᵀ δō
///
/// Coupled gates: δī = δc ⊙ (g - c(t-1)) ⊙ σ'(ī). A clip passes nothing on where it was hit.
/// `truncatesGates` drops what goes to h(t-1), as the algorithm of 1997 does; error then flows back in
/// time through c alone. (Peepholes, which that cell did not have, and x(t) keep their terms.)
extension ReferenceLSTM {
  func backward(_ row: LSTMRow<S>, _ gradient: LSTMRowGradient<S>) {
    let dc = gradient.cell
    backThroughHidden(row, gradient)

    // Output gate and the squashing of the cell.
    let dm = gradient.blockOutput
    for j in 0..<units {
      let u = squashed(row, j)
      let y = Math.apply(cell.outputActivation, u)
      if let block = cell.outputBlock {
        gradient.deltas[block * units + j] =
          dm[j] * y * gateSlope(row, block, j, cell.recurrentActivation)
      }
      gradient.squashed[j] =
        dm[j] * outputGate(row, j) * Math.slope(cell.outputActivation, u, y)
    }
    if let normed = row.normalizedCell, let norm = row.norm,
      let scale = weights[.layerNormCellScale]
    {
      // `blockOutput` has done its duty: it takes what goes on to c.
      Math.standardizeBackward(
        gradient.blockOutput, units, dy: gradient.squashed, scale: scale,
        standardized: normed, factor: norm.factors[2])
    } else {
      gradient.blockOutput.update(from: gradient.squashed, count: units)
    }

    // dL/dc(t), complete: to the carried cell, then to the new one through zoneout.
    for j in 0..<units {
      let kept = row.zoneout?.cellShare(j) ?? 0
      let carried = dc[j]
      dc[j] = kept * carried
      gradient.blockOutput[j] += (1 - kept) * carried
    }
    addPeepholeGradient(gradient.blockOutput, cell.outputBlock, .outputPeephole, gradient)

    gradient.cellTrace?.update(from: gradient.blockOutput, count: units)

    // The gates that made c(t).
    let g = row.gates + cell.cellBlock * units
    for j in 0..<units {
      let d = gradient.blockOutput[j] * Math.clipSlope(row.newCell[j], cell.cellClip)
      let previous = row.previousCell[j]
      if let block = cell.forgetBlock {
        gradient.deltas[block * units + j] =
          d * previous * gateSlope(row, block, j, cell.recurrentActivation)
      }
      if let block = cell.inputBlock {
        let through = cell.couplesGates ? g[j] - previous : g[j]
        gradient.deltas[block * units + j] =
          d * through * gateSlope(row, block, j, cell.recurrentActivation)
      }
      gradient.deltas[cell.cellBlock * units + j] =
        d * inputGate(row, j) * gateSlope(row, cell.cellBlock, j, cell.activation)
      dc[j] += forgetGate(row, j) * d
    }
    addPeepholeGradient(dc, cell.inputBlock, .inputPeephole, gradient)
    addPeepholeGradient(dc, cell.forgetBlock, .forgetPeephole, gradient)
    backThroughProducts(row, gradient)
  }

  /// From δh(t) to dL/dm(t): zoneout, the projection's clip, the projection. What zoneout keeps of
  /// h(t-1) stays in `gradient.hidden`.
  private func backThroughHidden(_ row: LSTMRow<S>, _ gradient: LSTMRowGradient<S>) {
    for j in 0..<outputWidth {
      let kept = row.zoneout?.hiddenShare(j) ?? 0
      gradient.projected[j] = (1 - kept) * gradient.hidden[j]
      gradient.hidden[j] *= kept
    }
    guard let w = weights[.projection] else { return }
    for j in 0..<outputWidth {
      gradient.projected[j] *= Math.clipSlope(row.newHidden[j], cell.projectionClip)
    }
    for j in 0..<units { gradient.blockOutput[j] = 0 }
    Math.addTransposedProduct(
      gradient.blockOutput, units, w, stride: outputWidth, gradient.projected, outputWidth)
  }

  /// Through the products with R and W, and their normalisations.
  private func backThroughProducts(_ row: LSTMRow<S>, _ gradient: LSTMRowGradient<S>) {
    if let norm = row.norm, let inputScale = weights[.layerNormInputScale],
      let recurrentScale = weights[.layerNormRecurrentScale]
    {
      Math.standardizeBackward(
        gradient.inputDeltas, columns, dy: gradient.deltas, scale: inputScale,
        standardized: norm.input, factor: norm.factors[0])
      Math.standardizeBackward(
        gradient.recurrentDeltas, columns, dy: gradient.deltas, scale: recurrentScale,
        standardized: norm.recurrent, factor: norm.factors[1])
    }
    if let w = weights[.kernel] {
      Math.addTransposedProduct(
        gradient.input, inputWidth, w, stride: columns, gradient.inputDeltas, columns)
    }
    guard !cell.truncatesGates, let r = weights[.recurrentKernel] else { return }
    guard let dropout = row.dropout else {
      Math.addTransposedProduct(
        gradient.hidden, outputWidth, r, stride: columns, gradient.recurrentDeltas, columns)
      return
    }
    for block in 0..<cell.blockCount {
      let scratch = dropout.cleared(outputWidth)
      Math.addTransposedProduct(
        scratch, outputWidth, r + block * units, stride: columns,
        gradient.recurrentDeltas + block * units, units)
      Math.addElementwise(gradient.hidden, outputWidth, scratch, dropout.mask(block))
    }
  }

  /// σ' of a block, 0 where the clip of pre-activations was hit.
  private func gateSlope(
    _ row: LSTMRow<S>, _ block: Int, _ j: Int, _ activation: Activation
  ) -> S {
    let at = block * units + j
    guard let z = row.preactivations?[at] else {
      return Math.slope(activation, 0, row.gates[at])
    }
    if let limit = cell.gateClip, abs(z) > S(limit) { return 0 }
    return Math.slope(activation, z, row.gates[at])
  }

  /// dc += p ⊙ δ, or P δ.
  private func addPeepholeGradient(
    _ dc: UnsafeMutablePointer<S>, _ block: Int?, _ parameter: CellParameter,
    _ gradient: LSTMRowGradient<S>
  ) {
    guard let block, let p = weights[parameter] else { return }
    let delta = gradient.deltas + block * units
    switch cell.peepholeKind {
    case .diagonal: Math.addElementwise(dc, units, p, delta)
    case .dense: Math.addTransposedProduct(dc, units, p, stride: units, delta, units)
    }
  }

  // MARK: Parameters

  /// ∂W += δ xᵀ, ∂R += δ h(t-1)ᵀ, ∂b += δ, ∂p_i += δī ⊙ c(t-1), ∂p_f += δf̄ ⊙ c(t-1),
  /// ∂p_o += δō ⊙ c(t), ∂W_p += δh mᵀ, and the scales and offsets of the normalisations.
  func addParameterGradients(_ row: LSTMRow<S>, _ gradient: LSTMRowGradient<S>) {
    if let w = gradients[.kernel] {
      Math.addOuterProduct(
        w, stride: columns, row.input, inputWidth, gradient.inputDeltas, columns)
    }
    if let r = gradients[.recurrentKernel] {
      for block in 0..<cell.blockCount {
        Math.addOuterProduct(
          r + block * units, stride: columns, row.recurrentInput(block), outputWidth,
          gradient.recurrentDeltas + block * units, units)
      }
    }
    if let bias = gradients[.bias] {
      for j in 0..<columns { bias[j] += gradient.deltas[j] }
    }
    addPeepholeParameters(.inputPeephole, cell.inputBlock, row.previousCell, gradient)
    addPeepholeParameters(.forgetPeephole, cell.forgetBlock, row.previousCell, gradient)
    addPeepholeParameters(.outputPeephole, cell.outputBlock, UnsafePointer(row.newCell), gradient)
    if let w = gradients[.projection] {
      Math.addOuterProduct(
        w, stride: outputWidth, row.blockOutput, units, gradient.projected, outputWidth)
    }
    if let norm = row.norm {
      if let scale = gradients[.layerNormInputScale] {
        Math.addElementwise(scale, columns, gradient.deltas, norm.input)
      }
      if let scale = gradients[.layerNormRecurrentScale] {
        Math.addElementwise(scale, columns, gradient.deltas, norm.recurrent)
      }
      if let scale = gradients[.layerNormCellScale], let normed = row.normalizedCell {
        Math.addElementwise(scale, units, gradient.squashed, normed)
      }
      if let offset = gradients[.layerNormCellOffset] {
        for j in 0..<units { offset[j] += gradient.squashed[j] }
      }
    }
  }

  private func addPeepholeParameters(
    _ parameter: CellParameter, _ block: Int?, _ c: UnsafePointer<S>,
    _ gradient: LSTMRowGradient<S>
  ) {
    guard let block, let p = gradients[parameter] else { return }
    let delta = gradient.deltas + block * units
    switch cell.peepholeKind {
    case .diagonal: Math.addElementwise(p, units, delta, c)
    case .dense: Math.addOuterProduct(p, stride: units, c, units, delta, units)
    }
  }
}
