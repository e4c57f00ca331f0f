import KernelInterface

/// `lstmStep` for weights in pairs of ks, and for other bfloat16 ones and a few rows.
func reducedStep(_ s: UnsafePointer<LSTMStepArguments>) {
  let panel = ReducedPanel(s.pointee.format)
  let rows = rowBlock(s, panel)
  let bytes = panel.isPaired ? 2 * rows * rowCodes(s) + scaleBytes : 0
  // A row alone has the sums of two groups.
  let sumBytes = (rows < 2 ? 2 : rows) * 4 * reducedColumns
  withScratch(bytes: bytes + sumBytes) { scratch in
    let z = scratch.assumingMemoryBound(to: Float.self)
    var step = ReducedStep(s, panel, rowBlock: rows, z: z, scratch: scratch + sumBytes)
    var row = 0
    while row < s.pointee.rows {
      let rest = s.pointee.rows - row
      let count = rest < step.rowBlock ? rest : step.rowBlock
      step.begin(row, count)
      step.compute()
      row += count
    }
  }
}

/// Most rows whose activations are encoded at a time.
private let stepRows = 48
/// Most codes of all these rows together.
private let stepCodes = 4 * ReducedLayout.longestRow
/// Two scales for each row.
private let scaleBytes = 8 * stepRows

/// Codes of a row: of x and of h.
private func rowCodes(_ s: UnsafePointer<LSTMStepArguments>) -> Int {
  codeCount(s.pointee.inputWidth) + codeCount(s.pointee.hiddenWidth)
}

/// Rows of the batch that are computed one group of units after another.
private func rowBlock(_ s: UnsafePointer<LSTMStepArguments>, _ panel: ReducedPanel) -> Int {
  guard panel.isPaired else { return s.pointee.rows }
  let width = rowCodes(s)
  let room = width * stepRows > stepCodes ? stepCodes / width : stepRows
  let most = room < 1 ? 1 : room
  return s.pointee.rows < most ? s.pointee.rows : most
}

/// Some rows of a step.
private struct ReducedStep {
  let s: UnsafePointer<LSTMStepArguments>
  let panel: ReducedPanel
  /// Sums of a group's rows, or of a row's groups, [member][block][lane].
  let z: MutableFloats
  let rowBlock: Int
  var input: ReducedOperands
  var hidden: ReducedOperands
  private let codes: Codes
  private let inputScales: MutableFloats
  private let hiddenScales: MutableFloats
  var row = 0
  var rows = 0

  init(
    _ s: UnsafePointer<LSTMStepArguments>, _ panel: ReducedPanel, rowBlock: Int,
    z: MutableFloats, scratch: UnsafeMutableRawPointer
  ) {
    self.s = s
    self.panel = panel
    self.z = z
    self.rowBlock = rowBlock
    // Two scales for each row, then the codes.
    let scales = scratch.assumingMemoryBound(to: Float.self)
    inputScales = scales
    hiddenScales = scales + stepRows
    codes = (scratch + scaleBytes).assumingMemoryBound(to: Int16.self)
    func operands(
      _ depth: Int, _ a: Floats, _ stride: Int, _ weights: Floats, _ scales: Floats?
    ) -> ReducedOperands {
      let rows = panel.isPaired ? (depth + 1) / 2 : depth
      return ReducedOperands(
        a: Bytes(a), aStride: 4 * stride, rowScales: a, weights: Bytes(weights),
        panelStride: rows * panel.rowBytes, scales: scales ?? a, depth: rows)
    }
    hidden = operands(
      s.pointee.hiddenWidth, s.pointee.hidden, s.pointee.hiddenStride, s.pointee.recurrentWeights,
      s.pointee.recurrentScales)
    input = hidden
    input.depth = 0
    if let x = s.pointee.input, let weights = s.pointee.inputWeights {
      input = operands(
        s.pointee.inputWidth, x, s.pointee.inputStride, weights, s.pointee.inputScales)
    }
  }

  /// Takes the next rows, and encodes what they multiply the weights with.
  mutating func begin(_ first: Int, _ count: Int) {
    row = first
    rows = count
    if input.depth > 0, let x = s.pointee.input {
      take(x, s.pointee.inputStride, s.pointee.inputWidth, codes, inputScales, &input)
    }
    take(
      s.pointee.hidden, s.pointee.hiddenStride, s.pointee.hiddenWidth,
      codes + count * codeCount(s.pointee.inputWidth), hiddenScales, &hidden)
  }

  private func take(
    _ values: Floats, _ stride: Int, _ width: Int, _ codes: Codes, _ scales: MutableFloats,
    _ operands: inout ReducedOperands
  ) {
    guard panel.isPaired else {
      operands.a = Bytes(values + row * stride)
      return
    }
    for r in 0..<rows {
      let (x, own) = (values + (row + r) * stride, codes + r * codeCount(width))
      if panel == .int8 { scales[r] = rowScale(width, x) }
      encode(panel, width, x, panel == .int8 ? scales[r] : 0, own)
    }
    operands.a = Bytes(codes)
    operands.aStride = 2 * codeCount(width)
    operands.rowScales = Floats(scales)
  }

  /// All groups of units.
  func compute() {
    let groups = s.pointee.endGroup - s.pointee.firstGroup
    var visited = 0
    while visited < groups {
      let count = rows == 1 && groups - visited > 1 ? 2 : 1
      let group =
        s.pointee.descends
        ? s.pointee.endGroup - visited - count : s.pointee.firstGroup + visited
      if rows == 1 {
        multiply(rows: 1, panels: count, first: 0, group)
        finishStep(s, row: row, group: group, count, byRow: false, Floats(z))
      } else {
        computeRows(group)
      }
      visited += count
    }
  }

  /// One group, tile by tile; the gates of all of them follow, whose chains of operations overlap.
  private func computeRows(_ group: Int) {
    let tiles = Tiles(rows, most: panel.tileRows)
    let next = groupAfter(group)
    var ahead = BytesAhead(
      next.map { hidden.weights + $0 * hidden.panelStride }, hidden.panelStride,
      tiles: tiles.count, depth: hidden.depth)
    var r = 0
    for tile in 0..<tiles.count {
      let height = tiles.height(tile)
      if let next {
        // Each line is on a page of its own.
        for member in r..<r + height {
          ask(
            initial(row + member, next), s.pointee.blocks.stride, rows: s.pointee.blocks.count,
            lanes)
        }
      }
      let request = ahead.take()
      multiply(rows: height, panels: 1, first: r, group, request)
      r += height
    }
    finishStep(s, row: row, group: group, rows, byRow: true, Floats(z))
  }

  /// Whose weights are needed next and may be far away.
  private func groupAfter(_ group: Int) -> Int? {
    let groups = s.pointee.firstGroup..<s.pointee.endGroup
    let next = group + (s.pointee.descends ? -1 : 1)
    return groups.contains(next) && groups.count * hidden.panelStride > nearBytes ? next : nil
  }

  /// What the sums of a row's group start from, its first block.
  @inline(always) private func initial(_ row: Int, _ group: Int) -> Floats {
    s.pointee.initial + row * s.pointee.initialStride + group * lanes
  }

  @inline(always) private func multiply(
    rows: Int, panels: Int, first: Int, _ group: Int,
    _ request: (start: UnsafeRawPointer, bytes: Int)? = nil
  ) {
    var hidden = hidden
    if let request { (hidden.next, hidden.nextBytes) = request }
    var operands = input.depth > 0 ? input : hidden
    start(&operands, rows: rows, panels: panels, first: first, group)
    add(operands, rows: rows, panels: panels, first: first, group)
    if input.depth > 0 { add(hidden, rows: rows, panels: panels, first: first, group) }
  }

  /// Says what a tile's sums start from. A cell with fewer than four blocks has it put into z, zeros where it lacks one.
  @inline(always) private func start(
    _ t: inout ReducedOperands, rows: Int, panels: Int, first: Int, _ group: Int
  ) {
    let blocks = s.pointee.blocks.count
    let stride = s.pointee.blocks.stride
    let from = initial(row + first, group)
    let next = panels > 1 ? lanes : s.pointee.initialStride
    if blocks == 4 {
      (t.start, t.startNext, t.startBlock) = (from, next, stride)
      return
    }
    for member in 0..<rows * panels {
      let to = z + (first + member) * reducedColumns
      for b in 0..<4 {
        store(b < blocks ? load(from + member * next + b * stride) : splat(0), to + b * lanes)
      }
    }
  }

  @inline(always) private func add(
    _ operands: ReducedOperands, rows: Int, panels: Int, first: Int, _ group: Int
  ) {
    var t = operands
    t.a += first * t.aStride
    t.weights += group * t.panelStride
    if panel == .int8 {
      t.rowScales += first
      t.scales += group * reducedColumns
    }
    let z = z + first * reducedColumns
    multiplyReduced(panel, rows: rows, panels: panels, t, z, reducedColumns)
  }
}
