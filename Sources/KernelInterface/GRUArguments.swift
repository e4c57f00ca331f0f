/// The element-wise half of a GRU step, blocks z, r, h at `blockStride`:
///
///     z = σ(z̄)    r = σ(r̄)    n = φ(n̄ + r ⊙ q)    h(t) = z ⊙ h(t-1) + (1 - z) ⊙ n
///
/// z̄ and r̄ contain both products. *Reset after*: n̄ holds the input product, q = h(t-1) R_h + bias
/// (`candidate`), and one call does it all. *Reset before*: `candidate` is nil and the step has two
/// stages: `computesGates` gives z, r and `resetHidden` = r ⊙ h(t-1), whose product with R_h the
/// caller adds to n̄; then `computesOutput`.
///
/// **Backwards** (`gruBackward`; `gates` holds values, `deltas` receives δz̄, δr̄, δn̄; sigmoid and other
/// functions whose derivative needs no input, or `preactivations`):
/// - `computesOutput`: from `hiddenGradient` = δh(t): δz̄, δn̄, and `hiddenGradient` becomes the
///   direct part z ⊙ δh(t) of δh(t-1). Reset after: also δr̄, and `candidateGradient` = δq.
/// - `computesGates` (reset before; the caller has put δ(r ⊙ h(t-1)) = δn̄ R_hᵀ into `resetGradient`):
///   δr̄, and r ⊙ `resetGradient` is added to `hiddenGradient`.
///
/// Rows of everything are padded to multiples of 16 units, which may be read and written.
public struct GRUPointwiseArguments {
  public var rows: Int
  public var units: Int
  public var blockStride: Int
  public var computesGates = true
  public var computesOutput = true
  public var gateActivation = KernelActivation(.sigmoid)
  public var candidateActivation = KernelActivation(.tanh)

  public var gates: UnsafeMutablePointer<Float>
  public var gatesStride: Int
  /// As in ``LSTMPointwiseArguments``: the arguments of σ, σ, φ.
  public var preactivations: UnsafeMutablePointer<Float>?
  public var preactivationsStride = 0
  public var candidate: UnsafePointer<Float>?
  public var candidateStride = 0
  public var previousHidden: UnsafePointer<Float>
  public var previousHiddenStride: Int
  public var resetHidden: UnsafeMutablePointer<Float>?
  public var resetHiddenStride = 0
  public var output: UnsafeMutablePointer<Float>?
  public var outputStride = 0

  public var hiddenGradient: UnsafeMutablePointer<Float>?
  public var hiddenGradientStride = 0
  public var candidateGradient: UnsafeMutablePointer<Float>?
  public var candidateGradientStride = 0
  public var resetGradient: UnsafePointer<Float>?
  public var resetGradientStride = 0
  public var deltas: UnsafeMutablePointer<Float>?
  public var deltasStride = 0

  public init(
    rows: Int, units: Int, blockStride: Int,
    gates: UnsafeMutablePointer<Float>, gatesStride: Int,
    previousHidden: UnsafePointer<Float>, previousHiddenStride: Int
  ) {
    self.rows = rows
    self.units = units
    self.blockStride = blockStride
    self.gates = gates
    self.gatesStride = gatesStride
    self.previousHidden = previousHidden
    self.previousHiddenStride = previousHiddenStride
  }
}
