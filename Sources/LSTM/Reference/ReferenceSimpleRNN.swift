/// One row of a simple recurrent network (Elman 1990) at one step:
///
///     a(t) = W x(t) + R h(t-1) + b        h(t) = φ(a(t))
struct ReferenceSimpleRNN<S: Scalar> {
  let cell: SimpleRNNDescription
  let inputWidth: Int
  let weights: CellPointers<S>
  let gradients: CellPointers<S>

  private var units: Int { cell.units }

  func forward(_ row: SimpleRNNRow<S>) {
    let a = row.preactivation
    for j in 0..<units { a[j] = weights[.bias]?[j] ?? 0 }
    if let w = weights[.kernel] {
      ReferenceMath.addProduct(a, units, row.input, inputWidth, w, stride: units)
    }
    if let r = weights[.recurrentKernel] {
      ReferenceMath.addProduct(a, units, row.recurrentInput, units, r, stride: units)
    }
    for j in 0..<units { row.hidden[j] = ReferenceMath.apply(cell.activation, a[j]) }
  }

  /// δa(t) = δh(t) ⊙ φ'(a(t)), then δh(t-1) = Rᵀ δa(t), in the place of δh(t).
  func backward(_ row: SimpleRNNRow<S>, _ gradient: SimpleRNNRowGradient<S>) {
    let delta = gradient.delta
    let dh = gradient.hidden
    for j in 0..<units {
      delta[j] =
        dh[j] * ReferenceMath.slope(cell.activation, row.preactivation[j], row.hidden[j])
      dh[j] = 0
    }
    if let r = weights[.recurrentKernel] {
      ReferenceMath.addTransposedProduct(dh, units, r, stride: units, delta, units)
    }
    if let mask = row.recurrentMask { for j in 0..<units { dh[j] *= mask[j] } }
    if let w = weights[.kernel] {
      ReferenceMath.addTransposedProduct(
        gradient.input, inputWidth, w, stride: units, delta, units)
    }
  }

  /// ∂W += δa xᵀ, ∂R += δa h(t-1)ᵀ, ∂b += δa.
  func addParameterGradients(_ row: SimpleRNNRow<S>, delta: UnsafePointer<S>) {
    if let bias = gradients[.bias] { for j in 0..<units { bias[j] += delta[j] } }
    if let w = gradients[.kernel] {
      ReferenceMath.addOuterProduct(w, stride: units, row.input, inputWidth, delta, units)
    }
    if let r = gradients[.recurrentKernel] {
      ReferenceMath.addOuterProduct(r, stride: units, row.recurrentInput, units, delta, units)
    }
  }
}

/// One row at one step.
struct SimpleRNNRow<S: Scalar> {
  let input: UnsafePointer<S>
  /// h(t-1), after recurrent dropout.
  let recurrentInput: UnsafePointer<S>
  /// The scaled recurrent dropout mask; nil: no dropout.
  let recurrentMask: UnsafePointer<S>?
  let preactivation: UnsafeMutablePointer<S>
  let hidden: UnsafeMutablePointer<S>
}

/// The same row on the way back.
struct SimpleRNNRowGradient<S: Scalar> {
  let delta: UnsafeMutablePointer<S>
  /// δh(t) on entry, δh(t-1) on return.
  let hidden: UnsafeMutablePointer<S>
  /// dL/dx(t), added to.
  let input: UnsafeMutablePointer<S>
}
