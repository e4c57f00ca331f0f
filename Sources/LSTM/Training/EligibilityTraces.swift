/// Derivatives of a layer's cells by the weights that made them, carried forwards in time: the part of real-time
/// recurrent learning that is left where no error flows back through the gates (Hochreiter & Schmidhuber
/// 1997, appendix A.1; with forget gates Gers, Schmidhuber & Cummins 2000, section 3.2).
///
/// For cell j and a weight w into its input gate, forget gate or cell input, e = ∂c_j/∂w, and with s(t) for what the
/// weight multiplies, which is x(t), h(t-1), 1 or c(t-1):
///
///     e(t) = (f + p_i λ_i + p_f λ_f) e(t-1) + λ s(t)
///     λ_i = g σ'(ī)     λ_f = c(t-1) σ'(f̄)     λ_g = i φ'(ḡ)     (coupled gates: λ_i = (g - c(t-1)) σ'(ī))
///
/// A loss after t0 depends on what came before through c(t0) alone, so that ∂L/∂c_j(t0) e(t0) is what
/// back-propagation through all those steps would add. The memory is that of the weights for each row of the
/// batch, however long the sequence.
final class EligibilityTraces<S: Scalar> {
  let batch: Int
  let arena: Arena
  let place: TracedLayer<S>
  private let matrices: [Matrix]
  /// Scalars of a row of the batch.
  private let count: Int
  private let values: UnsafeMutablePointer<S>
  /// Of one row, by column: what e is multiplied by from step to step, and λ.
  private let decay: UnsafeMutablePointer<S>
  private let local: UnsafeMutablePointer<S>

  /// The traces of one parameter, laid out as the parameter.
  private struct Matrix {
    enum Source { case input, hidden, one, previousCell }
    let source: Source
    /// Of the parameter in the network's buffer.
    let parameter: Int
    /// Of the traces among those of a row.
    let first: Int
    let rows: Int
    /// The columns of the cell that it has: all, or those of one gate.
    let columns: Range<Int>
  }

  init(
    _ network: Network<S>, batch: Int, arena: Arena = Arena()
  ) throws(EngineError) {
    let place = try TracedLayer(network)
    self.place = place
    self.batch = batch
    self.arena = arena
    let cell = place.cell
    let columns = try Memory.product(cell.blockCount, cell.units)
    var matrices: [Matrix] = []
    var count = 0
    func add(_ key: CellParameter, _ source: Matrix.Source, _ columns: Range<Int>)
      throws(EngineError)
    {
      guard let index = place.layer.declarations.firstIndex(where: { $0.name == key.key }) else {
        return
      }
      let size = place.layer.declarations[index].shape.reduce(1, *)
      matrices.append(
        Matrix(
          source: source, parameter: place.layer.offsets[index], first: count,
          rows: size / columns.count, columns: columns))
      count = try Memory.sum(count, size)
    }
    try add(.kernel, .input, 0..<columns)
    try add(.recurrentKernel, .hidden, 0..<columns)
    try add(.bias, .one, 0..<columns)
    try add(.inputPeephole, .previousCell, cell.columns(cell.inputBlock))
    try add(.forgetPeephole, .previousCell, cell.columns(cell.forgetBlock))
    self.matrices = matrices
    self.count = count
    values = try arena.allocate(count: try Memory.product(batch, count))
    decay = try arena.allocate(count: columns)
    local = try arena.allocate(count: columns)
  }

  /// No step has been taken yet.
  func reset() { values.update(repeating: 0, count: batch * count) }

  /// Adds to the parameters' gradients what the steps before those of `execution` have to do with its loss; after its
  /// backward pass.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  func addGradients(_ execution: Execution<S>, to gradients: UnsafeMutablePointer<S>) {
    guard let cells = execution.runs[place.node]?.states[1], let error = cells.initialGradient
    else { return }
    let units = place.cell.units
    for row in 0..<batch {
      let dc = error + row * cells.stride
      for matrix in matrices {
        let traces = values + row * count + matrix.first
        let width = matrix.columns.count
        for index in 0..<matrix.rows {
          let from = traces + index * width
          let to = gradients + matrix.parameter + index * width
          for block in Swift.stride(from: 0, to: width, by: units) {
            for j in 0..<units { to[block + j] += dc[j] * from[block + j] }
          }
        }
      }
    }
  }

  /// Takes the steps of `execution`.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  func advance(_ execution: Execution<S>) {
    guard let steps = TracedSteps(execution, place) else { return }
    for step in 0..<steps.count {
      for row in 0..<batch where steps.isValid(step, row) {
        setFactors(steps, step, row, execution.weights.parameters.pointer)
        let traces = values + row * count
        for matrix in matrices { advance(matrix, traces + matrix.first, steps, step, row) }
      }
    }
  }

  private func advance(
    _ matrix: Matrix, _ traces: UnsafeMutablePointer<S>, _ steps: TracedSteps<S>, _ step: Int,
    _ row: Int
  ) {
    let width = matrix.columns.count
    let decay = decay + matrix.columns.lowerBound
    let local = local + matrix.columns.lowerBound
    switch matrix.source {
    case .previousCell:
      let c = steps.previousCell(step, row)
      for j in 0..<width { traces[j] = decay[j] * traces[j] + local[j] * c[j] }
    case .one:
      for j in 0..<width { traces[j] = decay[j] * traces[j] + local[j] }
    case .input, .hidden:
      let source =
        matrix.source == .input ? steps.input(step, row) : steps.previousHidden(step, row)
      for index in 0..<matrix.rows {
        let to = traces + index * width
        let s = source[index]
        for j in 0..<width { to[j] = decay[j] * to[j] + local[j] * s }
      }
    }
  }

  /// `decay` and `local` of a step; both are 0 in the columns of the output gate, whose weights change nothing in c.
  private func setFactors(
    _ steps: TracedSteps<S>, _ step: Int, _ row: Int, _ parameters: UnsafePointer<S>
  ) {
    let cell = place.cell
    let units = cell.units
    let inputPeephole = place.offset(.inputPeephole).map { parameters + $0 }
    let forgetPeephole = place.offset(.forgetPeephole).map { parameters + $0 }
    let c = steps.previousCell(step, row)
    for j in 0..<units {
      let g = steps.cellInput[step * batch + row, j]
      let i = steps.inputGate?[step * batch + row, j] ?? 1
      let inputSlope = ReferenceMath<S>.slope(cell.recurrentActivation, 0, i)
      var kept: S = 1
      if cell.couplesGates {
        kept = 1 - i
        local[units * (cell.inputBlock ?? 0) + j] = (g - c[j]) * inputSlope
      } else if let block = cell.inputBlock {
        local[units * block + j] = g * inputSlope
      }
      if let block = cell.forgetBlock, let gate = steps.forgetGate {
        kept = gate[step * batch + row, j]
        local[units * block + j] = c[j] * ReferenceMath<S>.slope(cell.recurrentActivation, 0, kept)
        if let p = forgetPeephole { kept += p[j] * local[units * block + j] }
      }
      if let p = inputPeephole, let block = cell.inputBlock {
        kept += p[j] * local[units * block + j]
      }
      local[units * cell.cellBlock + j] = i * ReferenceMath<S>.slope(cell.activation, 0, g)
      for block in 0..<cell.blockCount where block != cell.outputBlock {
        decay[units * block + j] = kept
      }
    }
  }
}

extension LSTMDescription {
  fileprivate func columns(_ block: Int?) -> Range<Int> {
    block.map { $0 * units..<($0 + 1) * units } ?? 0..<units
  }
}
