/// Which blocks a cell's pre-activation has, and where: block b of a row starts at
/// `b * blockStride`. The stride is a multiple of 16 and at least the number of units; the padding
/// lanes of a block may be read and overwritten.
public struct LSTMBlocks: Sendable, Equatable {
  /// Index of the block, negative if the cell has none: the gate is then constantly 1 (or, for the
  /// forget gate with `couples`, 1 - i).
  public var input: Int
  public var forget: Int
  public var cell: Int
  public var output: Int
  /// f = 1 - i.
  public var couples: Bool
  public var stride: Int

  public init(input: Int, forget: Int, cell: Int, output: Int, couples: Bool, stride: Int) {
    self.input = input
    self.forget = forget
    self.cell = cell
    self.output = output
    self.couples = couples
    self.stride = stride
  }

  /// The usual four, i f g o.
  public static func standard(stride: Int) -> LSTMBlocks {
    LSTMBlocks(input: 0, forget: 1, cell: 2, output: 3, couples: false, stride: stride)
  }

  public var count: Int {
    1 + (input >= 0 ? 1 : 0) + (forget >= 0 ? 1 : 0) + (output >= 0 ? 1 : 0)
  }
}

/// One time step of an LSTM with sigmoid gates and tanh activations, from its inputs to h(t),
/// for some rows of the batch and some groups of `KernelTable.vectorWidth` units:
///
///     z = z0 + x(t) W + h(t-1) R         z0: bias, or the input product that a gemm made
///     i = σ(z_i + p_i c(t-1))   f = σ(z_f + p_f c(t-1))   g = tanh(z_g)
///     c(t) = clip(f c(t-1) + i g)   o = σ(z_o + p_o c(t))   h(t) = o tanh(c(t))
///
/// Each z is one chain of fused multiply-adds (x in ascending k, then h), the same as two calls of
/// `product` would make. Pads: vectors are read and written whole, so rows of c, h, z0, gates
/// and peepholes reach to the next multiple of 16 units. c(t) may overwrite c(t-1); h(t) may
/// overwrite h(t-1) only if ``mayOverwriteHidden``.
public struct LSTMStepArguments {
  public var rows: Int
  public var blocks: LSTMBlocks
  /// Groups of units to compute: `firstGroup ..< endGroup`.
  public var firstGroup: Int
  public var endGroup: Int
  /// Visits the groups from the last to the first. Changes no result; alternating from step to step
  /// finds part of the weights still in the nearer cache.
  public var descends = false

  /// z0: blocks at `blocks.stride`; row r at `r * initialStride` (0: one row for all, the bias).
  public var initial: UnsafePointer<Float>
  public var initialStride: Int

  /// x(t) and W, packed for fused steps; `inputWidth` 0: there is no such product.
  public var inputWidth = 0
  public var input: UnsafePointer<Float>?
  public var inputStride = 0
  public var inputWeights: UnsafePointer<Float>?

  /// h(t-1) and R; `hiddenWidth` is the width of h (the projection's, if there is one).
  public var hiddenWidth: Int
  public var hidden: UnsafePointer<Float>
  public var hiddenStride: Int
  public var recurrentWeights: UnsafePointer<Float>
  /// The last group, if both weights have it in half-width blocks (``PanelLayout``); negative: it is like the others.
  public var narrowGroup = -1

  /// Anything but float32: both weights point to codes (``ReducedLayout``), and the scales are those of
  /// int8. x and h then have at most `ReducedLayout.longestRow` numbers together, rounded up to 16 each.
  public var format = WeightFormat.float32
  public var inputScales: UnsafePointer<Float>?
  public var recurrentScales: UnsafePointer<Float>?

  public var previousCell: UnsafePointer<Float>
  public var previousCellStride: Int
  public var cell: UnsafeMutablePointer<Float>
  public var cellStride: Int
  /// o tanh(c): h(t), or what a projection then makes h(t) of.
  public var output: UnsafeMutablePointer<Float>
  public var outputStride: Int
  /// Receives the activated gates, blocks as in `blocks`; nil: they are not kept.
  public var gates: UnsafeMutablePointer<Float>?
  public var gatesStride = 0

  public var inputPeephole: UnsafePointer<Float>?
  public var forgetPeephole: UnsafePointer<Float>?
  public var outputPeephole: UnsafePointer<Float>?
  /// c is clipped to ± this value; infinity: not at all.
  public var cellClip = Float.infinity

  public init(
    rows: Int, blocks: LSTMBlocks, firstGroup: Int, endGroup: Int,
    initial: UnsafePointer<Float>, initialStride: Int,
    hiddenWidth: Int, hidden: UnsafePointer<Float>, hiddenStride: Int,
    recurrentWeights: UnsafePointer<Float>,
    previousCell: UnsafePointer<Float>, previousCellStride: Int,
    cell: UnsafeMutablePointer<Float>, cellStride: Int,
    output: UnsafeMutablePointer<Float>, outputStride: Int
  ) {
    self.rows = rows
    self.blocks = blocks
    self.firstGroup = firstGroup
    self.endGroup = endGroup
    self.initial = initial
    self.initialStride = initialStride
    self.hiddenWidth = hiddenWidth
    self.hidden = hidden
    self.hiddenStride = hiddenStride
    self.recurrentWeights = recurrentWeights
    self.previousCell = previousCell
    self.previousCellStride = previousCellStride
    self.cell = cell
    self.cellStride = cellStride
    self.output = output
    self.outputStride = outputStride
  }
}

extension LSTMStepArguments {
  /// Groups of one row whose sums are all finished before the first h(t) is written.
  public static var groupsAtOnce: Int { 3 }

  public var mayOverwriteHidden: Bool {
    format == .float32 && rows == 1 && endGroup - firstGroup <= LSTMStepArguments.groupsAtOnce
  }
}

/// The element-wise half of an LSTM step, for any activations, forwards and backwards.
///
/// A step may be taken in two stages, for what must happen between c(t) and o (dense peepholes) or
/// between c(t) and h(t) (layer normalisation). Rows of everything are padded to multiples of 16
/// units, which may be read and written.
///
/// **Forwards** (`lstmForward`). `gates` holds pre-activations and is overwritten by the gates' values.
/// - stage `computesCell`: i, f, g, c(t).
/// - stage `computesOutput`: o, and `output` = o ψ(u), u = `outputSource`, or c(t) if that is nil.
///
/// **Backwards** (`lstmBackward`), `gates` holding the gates' values, `deltas` receiving δz (may be
/// the same memory as `gates`). The stages come in the opposite order:
/// - stage `computesOutput`: from `outputGradient` δ(o ψ(u)): δz_o, and δu, which together with
///   p_o δz_o is added to `cellGradient` (or, with `outputSource`, δu is written to
///   `sourceGradient`, and only p_o δz_o is added to `cellGradient`).
/// - stage `computesCell`: from `cellGradient` = δc(t): the other δz; then `cellGradient` becomes
///   δc(t-1) = f δc(t) + p_i δz_i + p_f δz_f.
/// `cellGradient` on entry: what step t+1 left there (plus anything the caller adds).
public struct LSTMPointwiseArguments {
  public var rows: Int
  public var units: Int
  public var blocks: LSTMBlocks
  public var computesCell = true
  public var computesOutput = true

  /// σ, φ, ψ.
  public var gateActivation = KernelActivation(.sigmoid)
  public var cellActivation = KernelActivation(.tanh)
  public var outputActivation = KernelActivation(.tanh)

  public var gates: UnsafeMutablePointer<Float>
  public var gatesStride: Int
  /// Forwards, if not nil: receives the pre-activations (peepholes added, before `gateClip`).
  /// Backwards they are needed if an activation's derivative needs its input, or with `gateClip`.
  public var preactivations: UnsafeMutablePointer<Float>?
  public var preactivationsStride = 0

  public var previousCell: UnsafePointer<Float>
  public var previousCellStride: Int
  public var cell: UnsafeMutablePointer<Float>
  public var cellStride: Int
  public var outputSource: UnsafePointer<Float>?
  public var outputSourceStride = 0
  /// Forwards only; backwards it may be anything.
  public var output: UnsafeMutablePointer<Float>?
  public var outputStride = 0

  public var inputPeephole: UnsafePointer<Float>?
  public var forgetPeephole: UnsafePointer<Float>?
  public var outputPeephole: UnsafePointer<Float>?
  /// Clips c (before o sees it) and the pre-activations; the gradient is 0 where a clip was hit.
  public var cellClip = Float.infinity
  public var gateClip = Float.infinity

  public var outputGradient: UnsafePointer<Float>?
  public var outputGradientStride = 0
  public var cellGradient: UnsafeMutablePointer<Float>?
  public var cellGradientStride = 0
  public var sourceGradient: UnsafeMutablePointer<Float>?
  public var sourceGradientStride = 0
  public var deltas: UnsafeMutablePointer<Float>?
  public var deltasStride = 0

  public init(
    rows: Int, units: Int, blocks: LSTMBlocks,
    gates: UnsafeMutablePointer<Float>, gatesStride: Int,
    previousCell: UnsafePointer<Float>, previousCellStride: Int,
    cell: UnsafeMutablePointer<Float>, cellStride: Int
  ) {
    self.rows = rows
    self.units = units
    self.blocks = blocks
    self.gates = gates
    self.gatesStride = gatesStride
    self.previousCell = previousCell
    self.previousCellStride = previousCellStride
    self.cell = cell
    self.cellStride = cellStride
  }
}
