import KernelInterface

/// One direction's weights as the kernels read them. Columns of blocks (gates) lie `blockStride` apart,
/// units rounded up to 16, with zeros between.
final class CellWeights {
  let kernels = KernelDispatch.kernels
  let description: RecurrentDescription
  /// Of all matrices.
  let format: WeightFormat
  let inputWidth: Int
  let blocks: Int
  let units: Int
  let outputWidth: Int
  let blockStride: Int
  /// G · blockStride.
  var columns: Int { blocks * blockStride }

  /// W and R for the fused step; LSTM only.
  let fusedInput: PackedGates?
  let fusedRecurrent: PackedGates?
  /// W (I x columns), R (P x columns).
  let input: PackedMatrix<Float>
  let recurrent: PackedMatrix<Float>?
  /// R by block (P x H), where the blocks see different inputs.
  let recurrentBlocks: [PackedMatrix<Float>]
  let projection: PackedMatrix<Float>?
  /// H x H matrices of dense peepholes: input, forget, output.
  let peepholes: [PackedMatrix<Float>?]

  /// For the way back: Wᵀ (columns x I), Rᵀ (columns x P), its blocks (H x P), W_pᵀ (P x H), P_*ᵀ.
  let inputTransposed: PackedMatrix<Float>?
  let recurrentTransposed: PackedMatrix<Float>?
  let recurrentBlocksTransposed: [PackedMatrix<Float>]
  let projectionTransposed: PackedMatrix<Float>?
  let peepholesTransposed: [PackedMatrix<Float>?]

  /// b (columns), GRU's second bias, and the vectors of a row's width, all padded with zeros.
  let bias: Buffer<Float>
  let recurrentBias: Buffer<Float>?
  /// Padded copies of the cell's other vectors, by parameter.
  private var vectors: [Buffer<Float>?]
  /// A matrix with the padding of its columns written out, before it is packed.
  private let expanded: Buffer<Float>?

  private static let peepholeParameters: [CellParameter] = [
    .inputPeephole, .forgetPeephole, .outputPeephole,
  ]

  init(
    _ description: RecurrentDescription, inputWidth: Int, forTraining: Bool,
    format: WeightFormat = .float32
  ) throws(EngineError) {
    self.description = description
    self.format = format
    self.inputWidth = inputWidth
    units = description.cell.units
    outputWidth = description.cell.outputWidth
    blockStride = try Memory.rowStride(units)
    var splitsBlocks = description.recurrentDropout > 0
    var lstm: LSTMDescription?
    var isFused = false
    var needsProduct = false
    var hasSecondBias = false
    switch description.cell {
    case .simple:
      blocks = 1
      needsProduct = true
    case .gru(let cell):
      blocks = 3
      splitsBlocks = true
      hasSecondBias = cell.resetAfter
    case .lstm(let cell):
      blocks = cell.blockCount
      lstm = cell
      isFused = cell.isFused
      needsProduct = !isFused
    }
    let width = try Memory.product(blocks, blockStride)
    let units = units
    let outputWidth = outputWidth
    let kernels = kernels
    func matrix(_ rows: Int, _ columns: Int, _ exists: Bool = true) throws(EngineError)
      -> PackedMatrix<Float>?
    {
      exists
        ? try PackedMatrix(rows: rows, columns: columns, kernels: kernels, format: format) : nil
    }
    func matrices(_ count: Int, _ rows: Int, _ columns: Int) throws(EngineError)
      -> [PackedMatrix<Float>]
    {
      var list: [PackedMatrix<Float>] = []
      for _ in 0..<count {
        list.append(
          try PackedMatrix(rows: rows, columns: columns, kernels: kernels, format: format))
      }
      return list
    }
    input = try PackedMatrix(
      rows: inputWidth, columns: width, kernels: kernels, format: format)
    recurrent = try matrix(outputWidth, width, needsProduct)
    fusedInput =
      isFused
      ? try PackedGates(
        depth: inputWidth, blocks: blocks, units: units, kernels: kernels, format: format) : nil
    fusedRecurrent =
      isFused
      ? try PackedGates(
        depth: outputWidth, blocks: blocks, units: units, kernels: kernels, format: format) : nil
    recurrentBlocks = try matrices(splitsBlocks ? blocks : 0, outputWidth, units)
    let projects = lstm?.projection != nil
    projection = try matrix(units, outputWidth, projects)
    let isDense = lstm?.peepholeKind == .dense
    let hasPeephole = [lstm?.inputPeephole, lstm?.forgetPeephole, lstm?.outputPeephole]
    var dense: [PackedMatrix<Float>?] = []
    var denseTransposed: [PackedMatrix<Float>?] = []
    for exists in hasPeephole {
      dense.append(try matrix(units, units, isDense && exists == true))
      denseTransposed.append(
        try matrix(units, units, isDense && exists == true && forTraining))
    }
    peepholes = dense
    peepholesTransposed = denseTransposed
    inputTransposed = try matrix(width, inputWidth, forTraining)
    recurrentTransposed = try matrix(width, outputWidth, forTraining)
    recurrentBlocksTransposed = try matrices(
      forTraining && splitsBlocks ? blocks : 0, units, outputWidth)
    projectionTransposed = try matrix(outputWidth, units, forTraining && projects)
    bias = try Buffer(count: width)
    recurrentBias = hasSecondBias ? try Buffer(count: width) : nil
    vectors = CellParameter.allCases.map { _ in nil }
    for declaration in try description.parameters(inputWidth: inputWidth)
    where declaration.shape.count == 1 && declaration.parameter != .bias {
      let isWide = declaration.shape[0] == blocks * units && blocks > 1
      vectors[declaration.parameter.rawValue] = try Buffer(
        count: isWide ? width : Memory.rowStride(declaration.shape[0]))
    }
    let depth = max(inputWidth, outputWidth)
    expanded = units == blockStride ? nil : try Buffer(count: Memory.product(depth, width))
  }

  /// A vector of the cell (peephole, scale, offset), padded with zeros; nil if there is none.
  func vector(_ parameter: CellParameter) -> UnsafeMutablePointer<Float>? {
    vectors[parameter.rawValue]?.pointer
  }

  /// Packs the parameters anew.
  func refresh(_ parameters: CellPointers<Float>) {
    guard let w = parameters[.kernel], let r = parameters[.recurrentKernel] else { return }
    let canonicalColumns = blocks * units
    fusedInput?.pack(w, stride: canonicalColumns, blockStride: units)
    fusedRecurrent?.pack(r, stride: canonicalColumns, blockStride: units)
    let wide = expand(w, rows: inputWidth)
    input.pack(wide, stride: wideStride)
    inputTransposed?.pack(wide, stride: wideStride, transposed: true)
    let wideRecurrent = expand(r, rows: outputWidth)
    recurrent?.pack(wideRecurrent, stride: wideStride)
    recurrentTransposed?.pack(wideRecurrent, stride: wideStride, transposed: true)
    for (block, matrix) in recurrentBlocks.enumerated() {
      matrix.pack(r + block * units, stride: canonicalColumns)
    }
    for (block, matrix) in recurrentBlocksTransposed.enumerated() {
      matrix.pack(r + block * units, stride: canonicalColumns, transposed: true)
    }
    if let p = parameters[.projection] {
      projection?.pack(p, stride: outputWidth)
      projectionTransposed?.pack(p, stride: outputWidth, transposed: true)
    }
    for (index, parameter) in CellWeights.peepholeParameters.enumerated() {
      guard let p = parameters[parameter] else { continue }
      peepholes[index]?.pack(p, stride: units)
      peepholesTransposed[index]?.pack(p, stride: units, transposed: true)
    }
    refreshVectors(parameters)
  }

  private func refreshVectors(_ parameters: CellPointers<Float>) {
    if let b = parameters[.bias] {
      copyBlocks(b, to: bias.pointer)
      if let recurrentBias {
        // The gates' two biases are one; the candidate's second belongs to its recurrent product.
        let second = b + blocks * units
        copyBlocks(second, to: recurrentBias.pointer)
        for block in 0..<blocks - 1 {
          for j in 0..<units {
            bias.pointer[block * blockStride + j] += second[block * units + j]
          }
        }
      }
    }
    for parameter in CellParameter.allCases {
      guard let from = parameters[parameter], let buffer = vectors[parameter.rawValue] else {
        continue
      }
      switch parameter {
      case .layerNormInputScale, .layerNormRecurrentScale: copyBlocks(from, to: buffer.pointer)
      case .initialHidden: buffer.pointer.update(from: from, count: outputWidth)
      default: buffer.pointer.update(from: from, count: units)
      }
    }
  }

  private func copyBlocks(_ from: UnsafePointer<Float>, to: UnsafeMutablePointer<Float>) {
    for block in 0..<blocks {
      (to + block * blockStride).update(from: from + block * units, count: units)
    }
  }

  private var wideStride: Int { expanded == nil ? blocks * units : columns }

  /// A canonical matrix (rows x G·H) with the padding of its blocks.
  private func expand(_ matrix: UnsafePointer<Float>, rows: Int) -> UnsafePointer<Float> {
    guard let expanded else { return matrix }
    for row in 0..<rows {
      copyBlocks(matrix + row * blocks * units, to: expanded.pointer + row * columns)
    }
    return UnsafePointer(expanded.pointer)
  }
}

extension LSTMDescription {
  /// The kernels' fused step computes this cell, if no recurrent dropout is active.
  var isFused: Bool {
    recurrentActivation == .sigmoid && activation == .tanh && outputActivation == .tanh
      && !layerNorm && gateClip == nil && !(hasPeepholes && peepholeKind == .dense)
  }

  /// The blocks in the kernels' terms.
  func kernelBlocks(stride: Int) -> LSTMBlocks {
    LSTMBlocks(
      input: inputBlock ?? -1, forget: forgetBlock ?? -1, cell: cellBlock,
      output: outputBlock ?? -1, couples: couplesGates, stride: stride)
  }
}

/// The packed weights of a recurrent layer: one direction, or two.
final class RecurrentWeights: LayerWeights<Float> {
  let directions: [CellWeights]
  private let layer: Layer<Float>
  private let parts: [DirectionParts]

  init(
    _ layer: Layer<Float>, _ parts: [DirectionParts], forTraining: Bool,
    format: WeightFormat = .float32
  ) throws(EngineError) {
    self.layer = layer
    self.parts = parts
    var directions: [CellWeights] = []
    for part in parts {
      directions.append(
        try CellWeights(
          part.description, inputWidth: part.inputWidth, forTraining: forTraining,
          format: format))
    }
    self.directions = directions
    super.init()
  }

  override func refresh(_ parameters: UnsafePointer<Float>) {
    for (part, weights) in zip(parts, directions) {
      var pointers = CellPointers<Float>()
      for (index, declaration) in part.parameters.enumerated() {
        pointers[declaration.parameter] = UnsafeMutablePointer(
          mutating: parameters + layer.offsets[part.first + index])
      }
      weights.refresh(pointers)
    }
  }
}
