import KernelInterface

/// An LSTM in single precision on the kernels.
///
/// The usual cells run on the fused step: product with R, gates, cell and output in one pass. What it does
/// not cover (layer normalisation, dense peepholes, other activations, recurrent dropout) runs
/// as products and the element-wise kernels; projection and zoneout follow either.
final class FastLSTMRun: LSTMRun<Float> {
  let packed: CellWeights
  let gradients: CellPointers<Float>
  let blocks: LSTMBlocks
  /// nil where the fused step multiplies with W itself.
  private let inputProduct: InputProduct?
  /// γ_c ĉ + β_c of the present step, layer normalisation only.
  let squashed: StepRows<Float>?
  /// The present step's h(t-1) after recurrent dropout, by block.
  let dropped: StepRows<Float>?
  let scratch: LSTMBackwardScratch?
  /// Steps since the run was made, so that the direction alternates over calls of one step, too.
  private var stepsSoFar = 0

  /// Bytes of weights that the first-level cache holds beside what a step reads and writes.
  private static let nearest = 24 << 10

  init(
    _ frame: SequenceFrame<Float>, _ cell: LSTMDescription, packed: CellWeights,
    weights: CellPointers<Float>, gradients: CellPointers<Float>
  ) throws(EngineError) {
    self.packed = packed
    self.gradients = gradients
    blocks = cell.kernelBlocks(stride: packed.blockStride)
    let drops = frame.description.recurrentDropout > 0
    // Few inputs, and weights that stay in the nearest cache, cost the step less than a product of their own.
    let bytes =
      packed.columns * (frame.inputWidth + cell.outputWidth) * MemoryLayout<Float>.stride
    let multipliesInStep =
      cell.isFused && !drops
      && (frame.steps == 1 || frame.inputWidth <= 4 || bytes <= FastLSTMRun.nearest)
    inputProduct = multipliesInStep ? nil : try InputProduct(frame, columns: packed.columns)
    squashed =
      cell.layerNorm
      ? try StepRows(frame.plan, batch: frame.batch, width: cell.units, period: 1) : nil
    dropped =
      drops
      ? try StepRows(
        frame.plan, batch: frame.batch, width: cell.outputWidth, period: cell.blockCount) : nil
    scratch = frame.keeps ? try LSTMBackwardScratch(frame, cell, packed) : nil
    try super.init(
      frame, cell, weights: weights, gradients: gradients, blockStride: packed.blockStride)
  }

  override var inputBlock: Int { inputProduct?.steps ?? max(frame.steps, 1) }
  var kernels: KernelTable { packed.kernels }
  var cells: StepRows<Float> { frame.cell ?? frame.hidden }
  var activeDropout: RecurrentDropout<Float>? { isTraining ? tape.dropout : nil }

  override func prepareForward() {
    super.prepareForward()
    stepsSoFar &+= frame.steps
  }

  override func beginForward(_ steps: Range<Int>, part: Range<Int>) {
    inputProduct?.compute(
      steps, part: part, frame: frame, weights: packed.input,
      bias: cell.layerNorm ? nil : UnsafePointer(packed.bias.pointer))
  }

  override func forward(_ steps: Range<Int>, part: Range<Int>) {
    guard isFusedOnly, var arguments = stepArguments(part) else {
      return super.forward(steps, part: part)
    }
    for step in steps {
      place(&arguments, step, part.lowerBound, part)
      kernels.lstmStep(&arguments)
    }
  }

  override func forward(_ step: Int, _ rows: Range<Int>, part: Range<Int>) {
    if cell.isFused && activeDropout == nil {
      fusedStep(step, rows, part)
    } else {
      preactivate(step, rows, part)
      activate(step, rows)
    }
    if let projection = packed.projection { project(step, rows, projection) }
    if cell.zoneout > 0 { mixWithPrevious(step, rows) }
  }

  override func backward(
    _ step: Int, _ rows: Range<Int>, _ gradient: StateGradients<Float>
  ) {
    backwardStep(step, rows, gradient)
  }

  override var backwardParts: Int { GradientPanels.parts }

  override func finishBackward(_ block: Range<Int>, part: Int, of parts: Int) {
    finishBlock(block, part, parts)
  }

  /// Nothing follows the fused step.
  private var isFusedOnly: Bool {
    cell.isFused && activeDropout == nil && cell.projection == nil && cell.zoneout == 0
  }

  override var dividesUnits: Bool { isFusedOnly }

  override var backwardUnit: Int {
    dividesUnits && !cell.truncatesGates && tape.backward?.cell == nil ? kernels.panelWidth : 0
  }

  override func backwardUnits(
    _ step: Int, _ units: Range<Int>, _ gradient: StateGradients<Float>
  ) {
    deltasOfUnits(step, units, gradient)
  }

  override func sendToHiddenUnits(
    _ step: Int, _ units: Range<Int>, _ gradient: StateGradients<Float>
  ) {
    sendToUnits(step, units, gradient)
  }

  override func beginForwardUnits(_ steps: Range<Int>, part: Int, of parts: Int) {
    inputProduct?.computeShare(
      steps, part: part, of: parts, frame: frame, weights: packed.input,
      bias: UnsafePointer(packed.bias.pointer))
  }

  override func forwardUnits(_ step: Int, part: Int, of parts: Int) {
    let all = 0..<frame.batch
    guard let recurrent = packed.fusedRecurrent else { return }
    fusedStep(
      step, all, all, groups: ParallelKernels.share(recurrent.groups, unit: 1, part, parts))
  }

  // MARK: The fused step

  private func fusedStep(
    _ step: Int, _ rows: Range<Int>, _ part: Range<Int>, groups: Range<Int>? = nil
  ) {
    guard var arguments = stepArguments(rows, groups: groups) else { return }
    place(&arguments, step, rows.lowerBound, part)
    kernels.lstmStep(&arguments)
  }

  /// The one step of a stream, c in place; nil if more belongs to it.
  func streamStep() -> LSTMStepArguments? {
    guard frame.plan.mode.isStream, frame.steps == 1, cell.isFused, inputProduct == nil,
      cell.projection == nil, cell.zoneout == 0, frame.description.dropout == 0
    else { return nil }
    let all = 0..<frame.batch
    guard var arguments = stepArguments(all) else { return nil }
    place(&arguments, 0, 0, all)
    arguments.cell = cells.at(-1)
    return arguments
  }

  /// What is the same for all steps; `place` has to follow.
  private func stepArguments(_ rows: Range<Int>, groups: Range<Int>? = nil) -> LSTMStepArguments? {
    guard let recurrent = packed.fusedRecurrent else { return nil }
    let groups = groups ?? 0..<recurrent.groups
    let row = tape.blockOutput.base
    var arguments = LSTMStepArguments(
      rows: rows.count, blocks: blocks, firstGroup: groups.lowerBound, endGroup: groups.upperBound,
      initial: packed.bias.pointer, initialStride: inputProduct?.stride ?? 0,
      hiddenWidth: cell.outputWidth, hidden: row, hiddenStride: frame.hidden.stride,
      recurrentWeights: recurrent.weights,
      previousCell: row, previousCellStride: cells.stride,
      cell: row, cellStride: tape.newCell.stride,
      output: row, outputStride: tape.blockOutput.stride)
    if inputProduct == nil, let input = packed.fusedInput {
      arguments.inputWidth = frame.inputWidth
      arguments.inputStride = frame.inputStride
      arguments.inputWeights = input.weights
      arguments.inputScales = input.scales
    }
    arguments.format = packed.format
    arguments.recurrentScales = recurrent.scales
    arguments.narrowGroup = recurrent.narrowGroup
    arguments.gatesStride = tape.gates.stride
    arguments.inputPeephole = UnsafePointer(packed.vector(.inputPeephole))
    arguments.forgetPeephole = UnsafePointer(packed.vector(.forgetPeephole))
    arguments.outputPeephole = UnsafePointer(packed.vector(.outputPeephole))
    arguments.cellClip = cell.cellClip.map { Float($0) } ?? .infinity
    return arguments
  }

  /// Points to what a step reads and writes, from row `first` on.
  @inline(__always)
  private func place(
    _ arguments: inout LSTMStepArguments, _ step: Int, _ first: Int, _ part: Range<Int>
  ) {
    if let inputProduct {
      arguments.initial = UnsafePointer(
        inputProduct.at(offset: step % inputProduct.steps, row: first, part: part))
    } else {
      arguments.input = UnsafePointer(frame.input(step) + first * frame.inputStride)
    }
    arguments.hidden = UnsafePointer(frame.hidden.at(step - 1, first))
    arguments.previousCell = UnsafePointer(cells.at(step - 1, first))
    arguments.cell = tape.newCell.at(step, first)
    arguments.output = tape.blockOutput.at(step, first)
    if frame.keeps { arguments.gates = tape.gates.at(step, first) }
    // Every other step reads the weights from the end, where the last one stopped.
    arguments.descends = (stepsSoFar &+ step) & 1 != 0
  }

  // MARK: Products and element-wise kernels

  /// The pre-activations of a step in `tape.gates`.
  private func preactivate(_ step: Int, _ rows: Range<Int>, _ part: Range<Int>) {
    guard let inputProduct else { return }
    let gates = tape.gates
    for row in rows {
      let z0 = inputProduct.at(offset: step % inputBlock, row: row, part: part)
      let target = tape.norm?.input ?? gates
      target.at(step, row).update(from: z0, count: packed.columns)
      tape.norm?.recurrent.clear(step, row)
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

  private func activate(_ step: Int, _ rows: Range<Int>) {
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

  private func project(_ step: Int, _ rows: Range<Int>, _ matrix: PackedMatrix<Float>) {
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

  private func mixWithPrevious(_ step: Int, _ rows: Range<Int>) {
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

extension PackedMatrix where S == Float {
  /// C += A · self, for `rows` rows.
  func addProduct(
    rows: Int, a: UnsafePointer<Float>, aStride: Int, c: UnsafeMutablePointer<Float>, cStride: Int
  ) {
    var arguments = ProductArguments(
      rows: rows, a: a, aStride: aStride, b: self, c: c, cStride: cStride, accumulates: true)
    kernels.product(&arguments)
  }
}

/// A row of blocks with padding between them: element j of block b is at b · stride + j.
struct BlockedRow {
  let blocks: Int
  let units: Int
  let stride: Int

  private var count: Float { Float(blocks * units) }

  /// As ``ReferenceMath/standardize``; the padding is left alone.
  func standardize(_ x: UnsafeMutablePointer<Float>, epsilon: Double) -> Float {
    var sum: Float = 0
    for block in 0..<blocks {
      let row = x + block * stride
      for j in 0..<units { sum += row[j] }
    }
    let mean = sum / count
    var squares: Float = 0
    for block in 0..<blocks {
      let row = x + block * stride
      for j in 0..<units { squares += (row[j] - mean) * (row[j] - mean) }
    }
    let factor = 1 / (squares / count + Float(epsilon)).squareRoot()
    for block in 0..<blocks {
      let row = x + block * stride
      for j in 0..<units { row[j] = (row[j] - mean) * factor }
    }
    return factor
  }

  /// As ``ReferenceMath/standardizeBackward``.
  func standardizeBackward(
    _ out: UnsafeMutablePointer<Float>, dy: UnsafePointer<Float>, scale: UnsafePointer<Float>,
    standardized x: UnsafePointer<Float>, factor: Float
  ) {
    var sum: Float = 0
    var inner: Float = 0
    for block in 0..<blocks {
      for j in block * stride..<block * stride + units {
        let e = scale[j] * dy[j]
        sum += e
        inner += e * x[j]
      }
    }
    let mean = sum / count
    let slope = inner / count
    for block in 0..<blocks {
      for j in block * stride..<block * stride + units {
        out[j] = factor * (scale[j] * dy[j] - mean - x[j] * slope)
      }
    }
  }
}
