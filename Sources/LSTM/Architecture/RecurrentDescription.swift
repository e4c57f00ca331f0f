/// What a recurrent layer emits at a masked or padded step. The state is kept in either case.
public enum MaskedOutput: Equatable, Sendable {
  /// The previous output again; zero before the first valid step (Keras).
  case hold
  /// Zero (PyTorch's packed sequences, Keras's `zero_output_for_mask`).
  case zero
}

/// One direction of a recurrent layer: a cell and how it walks over the sequence.
public struct RecurrentDescription: Equatable, Sendable {
  public var cell: CellDescription
  /// Every step's output, or only the last one's.
  public var returnSequences = false
  /// Walks from the last step to the first; sequences come out in processing order (Keras).
  public var goBackwards = false
  /// The mask runs against the sequence: the second cell of a stack that goes backwards as a whole
  /// gets a sequence that was turned round, and the mask that was not.
  public var readsMaskBackwards = false
  /// Starts each call from the state in which the previous one ended.
  public var isStateful = false
  public var maskedOutput = MaskedOutput.hold
  /// Probability with which an input feature is dropped in training, one mask per sequence.
  public var dropout = 0.0
  /// Probability with which a unit of h(t-1) is dropped in training, one mask per sequence and gate
  /// (Keras `LSTMCell.call`, implementation 1).
  public var recurrentDropout = 0.0
  /// The state before the first step is a parameter (`initial_h`, `initial_c`) instead of zero.
  public var learnsInitialState = false

  public init(cell: CellDescription, returnSequences: Bool = false, goBackwards: Bool = false) {
    self.cell = cell
    self.returnSequences = returnSequences
    self.goBackwards = goBackwards
  }

  /// Width of h, and so of the layer's output.
  public var outputWidth: Int { cell.outputWidth }
}

public enum CellDescription: Equatable, Sendable {
  case simple(SimpleRNNDescription)
  case lstm(LSTMDescription)
  case gru(GRUDescription)

  public var units: Int {
    switch self {
    case .simple(let cell): cell.units
    case .lstm(let cell): cell.units
    case .gru(let cell): cell.units
    }
  }

  /// Width of h: `units`, or the projection's width.
  public var outputWidth: Int {
    if case .lstm(let cell) = self, let projection = cell.projection { return projection }
    return units
  }

  /// Widths of the state vectors in the order of the public interface: (h) or (h, c).
  public var stateWidths: [Int] {
    if case .lstm(let cell) = self { return [cell.outputWidth, cell.units] }
    return [units]
  }
}

/// Elman network: h(t) = φ(W x(t) + R h(t-1) + b).
public struct SimpleRNNDescription: Equatable, Sendable {
  public var units: Int
  public var activation = Activation.tanh
  public var useBias = true

  public init(units: Int) { self.units = units }
}

/// Gated recurrent unit (Cho et al. 2014), gate order z, r, h as in Keras.
public struct GRUDescription: Equatable, Sendable {
  public var units: Int
  public var activation = Activation.tanh
  public var recurrentActivation = Activation.sigmoid
  public var useBias = true
  /// The reset gate is applied after the recurrent product (cuDNN, PyTorch, Keras since tf.keras 2.0), which
  /// then has a bias of its own; otherwise before it (Cho et al.).
  public var resetAfter = true

  public init(units: Int) { self.units = units }
}

/// The LSTM with every part of its history as a switch; `formulas.md` 4.1 to 4.4.
///
/// Blocks of the pre-activation, in this order, those that exist: input, forget, cell, output.
public struct LSTMDescription: Equatable, Sendable {
  public enum Peepholes: Equatable, Sendable {
    /// One weight per unit (Gers & Schmidhuber 2000).
    case diagonal
    /// Full H x H matrices (Chainer's `StatefulPeepholeLSTM`).
    case dense
  }

  public var units: Int
  /// φ, of the cell input g.
  public var activation = Activation.tanh
  /// ψ, of the cell state on its way to the output.
  public var outputActivation = Activation.tanh
  /// σ, of the gates.
  public var recurrentActivation = Activation.sigmoid
  public var useBias = true

  /// A gate that is switched off is constantly 1 and has no parameters.
  public var hasInputGate = true
  public var hasForgetGate = true
  public var hasOutputGate = true
  /// f = 1 - i; there is then no forget block and no forget peephole.
  public var couplesGates = false

  public var peepholeKind = Peepholes.diagonal
  /// The input and forget gates read c(t-1), the output gate reads c(t).
  public var inputPeephole = false
  public var forgetPeephole = false
  public var outputPeephole = false

  /// Width P of the projected output h = W_p m (Sak et al. 2014), no bias.
  public var projection: Int?
  /// Clips h after the projection to ±value (TF1 `proj_clip`).
  public var projectionClip: Double?
  /// Clips c to ±value before the output gate sees it (TF1 `cell_clip`).
  public var cellClip: Double?
  /// Clips every pre-activation to ±value (ONNX `clip`).
  public var gateClip: Double?

  /// Layer normalisation as in Ba et al. 2016 and Haste:
  /// pre = LN(W x; γ_x) + LN(R h; γ_h) + b, h = o ⊙ ψ(LN(c; γ_c, β_c)); c itself is carried as it is.
  public var layerNorm = false
  public var layerNormEpsilon = 1e-5

  /// Probability with which a unit of c and of h keeps its old value in training; inference uses
  /// the expectation (Krueger et al., arXiv 1606.01305).
  public var zoneout = 0.0
  /// The 1997 algorithm's cut: no error flows back through R, only through c.
  public var truncatesGates = false

  public init(units: Int) { self.units = units }

  public var outputWidth: Int { projection ?? units }
  public var hasForgetBlock: Bool { hasForgetGate && !couplesGates }
  /// Number of blocks in the pre-activation: 1 (cell input) to 4.
  public var blockCount: Int {
    1 + (hasInputGate ? 1 : 0) + (hasForgetBlock ? 1 : 0) + (hasOutputGate ? 1 : 0)
  }
  /// Position of each block in kernel, recurrent kernel and bias; nil if the cell lacks it.
  public var inputBlock: Int? { hasInputGate ? 0 : nil }
  public var forgetBlock: Int? { hasForgetBlock ? (hasInputGate ? 1 : 0) : nil }
  public var cellBlock: Int { (hasInputGate ? 1 : 0) + (hasForgetBlock ? 1 : 0) }
  public var outputBlock: Int? { hasOutputGate ? cellBlock + 1 : nil }
  public var hasPeepholes: Bool { inputPeephole || forgetPeephole || outputPeephole }
}
