/// The parameters that recurrent cells have, by their part of the public key.
enum CellParameter: Int, CaseIterable {
  case kernel, recurrentKernel, bias
  case inputPeephole, forgetPeephole, outputPeephole
  case projection
  case layerNormInputScale, layerNormRecurrentScale, layerNormCellScale, layerNormCellOffset
  case initialHidden, initialCell

  var key: String {
    switch self {
    case .kernel: "kernel"
    case .recurrentKernel: "recurrent_kernel"
    case .bias: "bias"
    case .inputPeephole: "peephole_input"
    case .forgetPeephole: "peephole_forget"
    case .outputPeephole: "peephole_output"
    case .projection: "projection"
    case .layerNormInputScale: "layer_norm_input_scale"
    case .layerNormRecurrentScale: "layer_norm_recurrent_scale"
    case .layerNormCellScale: "layer_norm_cell_scale"
    case .layerNormCellOffset: "layer_norm_cell_offset"
    case .initialHidden: "initial_h"
    case .initialCell: "initial_c"
    }
  }
}

/// A parameter of one direction, with its shape and how it begins.
struct CellParameterDeclaration {
  let parameter: CellParameter
  let shape: [Int]
  let initializer: Initializer
}

extension RecurrentDescription {
  /// The parameters of one direction that reads `inputWidth` features, in the public order.
  func parameters(inputWidth: Int) throws(EngineError) -> [CellParameterDeclaration] {
    let units = cell.units
    let outputWidth = cell.outputWidth
    var list: [CellParameterDeclaration] = []
    func add(_ parameter: CellParameter, _ shape: [Int], _ initializer: Initializer) {
      list.append(
        CellParameterDeclaration(parameter: parameter, shape: shape, initializer: initializer))
    }
    func addMatrices(_ columns: Int) {
      add(.kernel, [inputWidth, columns], .glorotUniform(fanIn: inputWidth, fanOut: columns))
      add(.recurrentKernel, [outputWidth, columns], .orthogonal)
    }
    switch cell {
    case .simple(let cell):
      addMatrices(units)
      if cell.useBias { add(.bias, [units], .zeros) }
    case .gru(let cell):
      let columns = try Memory.product(3, units)
      addMatrices(columns)
      if cell.useBias { add(.bias, cell.resetAfter ? [2, columns] : [columns], .zeros) }
    case .lstm(let cell):
      let columns = try Memory.product(cell.blockCount, units)
      addMatrices(columns)
      if cell.useBias {
        let initializer = cell.forgetBlock.map {
          Initializer.unitForgetBias(units: units, forgetBlock: $0)
        }
        add(.bias, [columns], initializer ?? .zeros)
      }
      // Peepholes begin at zero: the cell begins as the one without them.
      let shape = cell.peepholeKind == .dense ? [units, units] : [units]
      if cell.inputPeephole { add(.inputPeephole, shape, .zeros) }
      if cell.forgetPeephole { add(.forgetPeephole, shape, .zeros) }
      if cell.outputPeephole { add(.outputPeephole, shape, .zeros) }
      if cell.projection != nil {
        add(
          .projection, [units, outputWidth], .glorotUniform(fanIn: units, fanOut: outputWidth))
      }
      if cell.layerNorm {
        add(.layerNormInputScale, [columns], .ones)
        add(.layerNormRecurrentScale, [columns], .ones)
        add(.layerNormCellScale, [units], .ones)
        add(.layerNormCellOffset, [units], .zeros)
      }
    }
    if learnsInitialState {
      add(.initialHidden, [outputWidth], .zeros)
      if case .lstm = cell { add(.initialCell, [units], .zeros) }
    }
    return list
  }

  /// Refuses what no cell can be made of, by the name of the offending switch.
  func validate() throws(EngineError) {
    func require(_ condition: Bool, _ message: @autoclosure () -> String) throws(EngineError) {
      guard condition else { throw EngineError(.invalidArgument, message()) }
    }
    func requireRate(_ rate: Double, _ name: String) throws(EngineError) {
      try require(rate >= 0 && rate < 1, "\(name) must be at least 0 and below 1, got \(rate)")
    }
    func requireLimit(_ limit: Double?, _ name: String) throws(EngineError) {
      guard let limit else { return }
      try require(limit > 0, "\(name) must be positive, got \(limit)")
    }
    try require(cell.units >= 1, "units must be at least 1, got \(cell.units)")
    try requireRate(dropout, "dropout")
    try requireRate(recurrentDropout, "recurrent_dropout")
    var activations: [Activation]
    switch cell {
    case .simple(let cell): activations = [cell.activation]
    case .gru(let cell): activations = [cell.activation, cell.recurrentActivation]
    case .lstm(let cell):
      activations = [cell.activation, cell.outputActivation, cell.recurrentActivation]
      try requireRate(cell.zoneout, "zoneout")
      try requireLimit(cell.cellClip, "cell_clip")
      try requireLimit(cell.gateClip, "gate_clip")
      try requireLimit(cell.projectionClip, "projection_clip")
      if let projection = cell.projection {
        try require(projection >= 1, "projection_size must be at least 1, got \(projection)")
      }
      try require(
        cell.projection != nil || cell.projectionClip == nil,
        "projection_clip needs a projection")
      try require(
        !cell.couplesGates || cell.hasInputGate, "coupled gates need an input gate")
      try require(
        !cell.inputPeephole || cell.hasInputGate, "an input peephole needs an input gate")
      try require(
        !cell.forgetPeephole || cell.hasForgetBlock,
        "a forget peephole needs a forget gate of its own")
      try require(
        !cell.outputPeephole || cell.hasOutputGate, "an output peephole needs an output gate")
      try require(
        !cell.layerNorm || cell.layerNormEpsilon >= 0, "the epsilon of layer_norm is negative")
    }
    try require(
      activations.allSatisfy { !$0.isRowWise }, "softmax cannot be the activation of a cell")
  }
}

/// Where the parameters of one direction, or their gradients, are; nil where the cell has none.
struct CellPointers<S: Scalar> {
  private var pointers: [UnsafeMutablePointer<S>?]

  init() { pointers = CellParameter.allCases.map { _ in nil } }

  subscript(parameter: CellParameter) -> UnsafeMutablePointer<S>? {
    get { pointers[parameter.rawValue] }
    set { pointers[parameter.rawValue] = newValue }
  }
}
