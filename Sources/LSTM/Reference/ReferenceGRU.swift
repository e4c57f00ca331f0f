/// One row of a gated recurrent unit (Cho et al. 2014) at one step, in Keras's terms:
///
///     z = σ(W_z x + R_z h(t-1) + b_z)        r = σ(W_r x + R_r h(t-1) + b_r)
///     n = φ(W_h x + b_h + r ⊙ (R_h h(t-1) + b'_h))       reset after (cuDNN, PyTorch, Keras 2 and 3)
///     n = φ(W_h x + b_h + R_h (r ⊙ h(t-1)))              reset before (Cho et al., Keras 1)
///     h(t) = z ⊙ h(t-1) + (1 - z) ⊙ n
///
/// With reset after, z and r too have a second bias b', added to the first.
struct ReferenceGRU<S: Scalar> {
  typealias Math = ReferenceMath<S>

  let cell: GRUDescription
  let inputWidth: Int
  let weights: CellPointers<S>
  let gradients: CellPointers<S>

  private var units: Int { cell.units }
  private var columns: Int { 3 * cell.units }

  func forward(_ row: GRURow<S>) {
    let gates = row.gates
    for j in 0..<columns { gates[j] = weights[.bias]?[j] ?? 0 }
    if let w = weights[.kernel] {
      Math.addProduct(gates, columns, row.input, inputWidth, w, stride: columns)
    }
    if cell.resetAfter, let bias = weights[.bias] {
      for j in 0..<2 * units { gates[j] += bias[columns + j] }
    }
    addRecurrentProduct(row, block: 0, row.recurrentInput(0), to: gates)
    addRecurrentProduct(row, block: 1, row.recurrentInput(1), to: gates + units)
    activate(row, block: 0, cell.recurrentActivation)
    activate(row, block: 1, cell.recurrentActivation)

    let r = gates + units
    let candidate = gates + 2 * units
    let hidden = row.recurrentInput(2)
    let q = row.recurrentCandidate
    if cell.resetAfter {
      for j in 0..<units { q[j] = weights[.bias]?[columns + 2 * units + j] ?? 0 }
      addRecurrentProduct(row, block: 2, hidden, to: q)
      Math.addElementwise(candidate, units, r, q)
    } else {
      for j in 0..<units { q[j] = r[j] * hidden[j] }
      addRecurrentProduct(row, block: 2, q, to: candidate)
    }
    activate(row, block: 2, cell.activation)
    for j in 0..<units {
      row.hidden[j] = gates[j] * row.previousHidden[j] + (1 - gates[j]) * candidate[j]
    }
  }

  /// δz̄ = δh ⊙ (h(t-1) - n) ⊙ σ'(z̄)        δn̄ = δh ⊙ (1 - z) ⊙ φ'(n̄)
  ///
  /// Reset after:  δr̄ = δn̄ ⊙ q ⊙ σ'(r̄), δq = δn̄ ⊙ r, and δq goes through R_h.
  /// Reset before: δ(r ⊙ h) = R_hᵀ δn̄, δr̄ = δ(r ⊙ h) ⊙ h(t-1) ⊙ σ'(r̄).
  func backward(_ row: GRURow<S>, _ gradient: GRURowGradient<S>) {
    let dh = gradient.hidden
    let delta = gradient.deltas
    let recurrentDelta = gradient.recurrentDeltas
    let z = row.gates
    let r = row.gates + units
    let n = row.gates + 2 * units
    let q = row.recurrentCandidate
    for j in 0..<units {
      delta[j] =
        dh[j] * (row.previousHidden[j] - n[j]) * slope(row, j, cell.recurrentActivation)
      delta[2 * units + j] = dh[j] * (1 - z[j]) * slope(row, 2 * units + j, cell.activation)
      dh[j] *= z[j]
    }
    if cell.resetAfter {
      for j in 0..<units {
        delta[units + j] =
          delta[2 * units + j] * q[j] * slope(row, units + j, cell.recurrentActivation)
        recurrentDelta[2 * units + j] = delta[2 * units + j] * r[j]
      }
      addRecurrentGradient(row, block: 2, recurrentDelta + 2 * units, to: dh)
    } else {
      let resetGradient = gradient.resetHidden
      for j in 0..<units { resetGradient[j] = 0 }
      if let w = weights[.recurrentKernel] {
        Math.addTransposedProduct(
          resetGradient, units, w + 2 * units, stride: columns, delta + 2 * units, units)
      }
      let hidden = row.recurrentInput(2)
      let mask = row.dropout?.mask(2)
      for j in 0..<units {
        delta[units + j] =
          resetGradient[j] * hidden[j] * slope(row, units + j, cell.recurrentActivation)
        recurrentDelta[2 * units + j] = delta[2 * units + j]
        dh[j] += resetGradient[j] * r[j] * (mask?[j] ?? 1)
      }
    }
    for j in 0..<2 * units { recurrentDelta[j] = delta[j] }
    addRecurrentGradient(row, block: 0, delta, to: dh)
    addRecurrentGradient(row, block: 1, delta + units, to: dh)
    if let w = weights[.kernel] {
      Math.addTransposedProduct(
        gradient.input, inputWidth, w, stride: columns, delta, columns)
    }
  }

  func addParameterGradients(_ row: GRURow<S>, _ gradient: GRURowGradient<S>) {
    if let w = gradients[.kernel] {
      Math.addOuterProduct(
        w, stride: columns, row.input, inputWidth, gradient.deltas, columns)
    }
    if let r = gradients[.recurrentKernel] {
      for block in 0..<3 {
        let input =
          block == 2 && !cell.resetAfter
          ? UnsafePointer(row.recurrentCandidate) : row.recurrentInput(block)
        Math.addOuterProduct(
          r + block * units, stride: columns, input, units,
          gradient.recurrentDeltas + block * units, units)
      }
    }
    if let bias = gradients[.bias] {
      for j in 0..<columns { bias[j] += gradient.deltas[j] }
      if cell.resetAfter {
        for j in 0..<columns { bias[columns + j] += gradient.recurrentDeltas[j] }
      }
    }
  }

  private func addRecurrentProduct(
    _ row: GRURow<S>, block: Int, _ hidden: UnsafePointer<S>, to out: UnsafeMutablePointer<S>
  ) {
    guard let r = weights[.recurrentKernel] else { return }
    Math.addProduct(out, units, hidden, units, r + block * units, stride: columns)
  }

  private func addRecurrentGradient(
    _ row: GRURow<S>, block: Int, _ delta: UnsafePointer<S>, to dh: UnsafeMutablePointer<S>
  ) {
    guard let r = weights[.recurrentKernel] else { return }
    guard let dropout = row.dropout else {
      Math.addTransposedProduct(dh, units, r + block * units, stride: columns, delta, units)
      return
    }
    let scratch = dropout.cleared(units)
    Math.addTransposedProduct(scratch, units, r + block * units, stride: columns, delta, units)
    Math.addElementwise(dh, units, scratch, dropout.mask(block))
  }

  private func activate(_ row: GRURow<S>, block: Int, _ activation: Activation) {
    for j in block * units..<(block + 1) * units {
      row.preactivations?[j] = row.gates[j]
      row.gates[j] = Math.apply(activation, row.gates[j])
    }
  }

  private func slope(_ row: GRURow<S>, _ j: Int, _ activation: Activation) -> S {
    Math.slope(activation, row.preactivations?[j] ?? 0, row.gates[j])
  }
}

/// One row at one step. Blocks z, r, n of `gates` lie H apart.
struct GRURow<S: Scalar> {
  let input: UnsafePointer<S>
  let previousHidden: UnsafePointer<S>
  /// Pre-activations, then values.
  let gates: UnsafeMutablePointer<S>
  /// Kept if a derivative needs them.
  let preactivations: UnsafeMutablePointer<S>?
  /// Reset after: q = R_h h(t-1) + b'_h. Reset before: r ⊙ h(t-1).
  let recurrentCandidate: UnsafeMutablePointer<S>
  let hidden: UnsafeMutablePointer<S>
  /// Recurrent dropout only.
  let dropout: RecurrentDropoutRow<S>?

  /// h(t-1) as the recurrent product of a block sees it.
  func recurrentInput(_ block: Int) -> UnsafePointer<S> {
    dropout?.dropped(block, previousHidden) ?? previousHidden
  }
}

/// The same row on the way back.
struct GRURowGradient<S: Scalar> {
  /// δz̄ δr̄ δn̄, H apart.
  let deltas: UnsafeMutablePointer<S>
  /// The same as the recurrent products see them: the last block is δq with reset after.
  let recurrentDeltas: UnsafeMutablePointer<S>
  /// δ(r ⊙ h(t-1)), reset before only.
  let resetHidden: UnsafeMutablePointer<S>
  /// δh(t) on entry, δh(t-1) on return.
  let hidden: UnsafeMutablePointer<S>
  /// dL/dx(t), added to.
  let input: UnsafeMutablePointer<S>
}
