import CCarousel
import LSTM

@_cdecl("carousel_builder_add_simple_rnn") @implementation
public func carousel_builder_add_simple_rnn(
  _ builder: OpaquePointer?, _ name: UnsafePointer<CChar>?,
  _ options: UnsafePointer<carousel_simple_rnn_options>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let builder = try Builder.of(builder)
    let options = try Versioned.require(options, "options")
    var cell = SimpleRNNDescription(units: try Argument.size(options.units, "options->units"))
    cell.activation = try options.activation.cell("options->activation", default: .tanh)
    cell.useBias = options.no_bias == 0
    try builder.add(name, options.recurrent.layer(of: .simple(cell)))
  }
}

@_cdecl("carousel_builder_add_gru") @implementation
public func carousel_builder_add_gru(
  _ builder: OpaquePointer?, _ name: UnsafePointer<CChar>?,
  _ options: UnsafePointer<carousel_gru_options>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let builder = try Builder.of(builder)
    let options = try Versioned.require(options, "options")
    var cell = GRUDescription(units: try Argument.size(options.units, "options->units"))
    cell.activation = try options.activation.cell("options->activation", default: .tanh)
    cell.recurrentActivation = try options.recurrent_activation.cell(
      "options->recurrent_activation", default: .sigmoid)
    cell.useBias = options.no_bias == 0
    cell.resetAfter = options.reset_before == 0
    try builder.add(name, options.recurrent.layer(of: .gru(cell)))
  }
}

@_cdecl("carousel_builder_add_lstm") @implementation
public func carousel_builder_add_lstm(
  _ builder: OpaquePointer?, _ name: UnsafePointer<CChar>?,
  _ options: UnsafePointer<carousel_lstm_options>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let builder = try Builder.of(builder)
    let options = try Versioned.require(options, "options")
    try builder.add(name, options.recurrent.layer(of: .lstm(options.cell())))
  }
}

@_cdecl("carousel_builder_add_final_state") @implementation
public func carousel_builder_add_final_state(
  _ builder: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ state: Int32
) -> carousel_status {
  entry { () throws(EngineError) in
    let state = try Argument.size(Int64(state), "state", from: 0, to: 3)
    try Builder.of(builder).add(name, .finalState(state))
  }
}

extension carousel_lstm_options {
  func cell() throws(EngineError) -> LSTMDescription {
    var cell = LSTMDescription(units: try Argument.size(units, "options->units"))
    cell.activation = try activation.cell("options->activation", default: .tanh)
    cell.outputActivation = try output_activation.cell(
      "options->output_activation", default: .tanh)
    cell.recurrentActivation = try recurrent_activation.cell(
      "options->recurrent_activation", default: .sigmoid)
    cell.useBias = no_bias == 0
    cell.hasInputGate = no_input_gate == 0
    cell.hasForgetGate = no_forget_gate == 0
    cell.hasOutputGate = no_output_gate == 0
    cell.couplesGates = couple_gates != 0
    if cell.couplesGates, !cell.hasInputGate || !cell.hasForgetGate {
      throw EngineError(
        .invalidArgument, "options->couple_gates needs both the input and the forget gate")
    }
    try setPeepholes(of: &cell)
    cell.layerNorm = layer_norm != 0
    cell.layerNormEpsilon = try positive(layer_norm_epsilon, "options->layer_norm_epsilon") ?? 1e-5
    if projection_size != 0 {
      cell.projection = try Argument.size(projection_size, "options->projection_size")
    }
    cell.projectionClip = try positive(projection_clip, "options->projection_clip")
    cell.cellClip = try positive(cell_clip, "options->cell_clip")
    cell.gateClip = try positive(gate_clip, "options->gate_clip")
    cell.zoneout = try Argument.number(zoneout, "options->zoneout", in: 0...1)
    cell.truncatesGates = truncate_gates != 0
    return cell
  }

  private func setPeepholes(of cell: inout LSTMDescription) throws(EngineError) {
    let all =
      CAROUSEL_PEEPHOLE_INPUT.rawValue | CAROUSEL_PEEPHOLE_FORGET.rawValue
      | CAROUSEL_PEEPHOLE_OUTPUT.rawValue
    let bits = UInt32(bitPattern: peepholes)
    guard bits & ~all == 0 else {
      throw EngineError(
        .invalidArgument, "options->peepholes is \(peepholes), expected a sum of 1, 2 and 4")
    }
    cell.peepholeKind = dense_peepholes == 0 ? .diagonal : .dense
    cell.inputPeephole = bits & CAROUSEL_PEEPHOLE_INPUT.rawValue != 0
    // A gate that the cell computes from another one, or lacks, has nothing to look through.
    cell.forgetPeephole = bits & CAROUSEL_PEEPHOLE_FORGET.rawValue != 0
    cell.outputPeephole = bits & CAROUSEL_PEEPHOLE_OUTPUT.rawValue != 0
    guard
      !(cell.inputPeephole && !cell.hasInputGate), !(cell.forgetPeephole && !cell.hasForgetBlock),
      !(cell.outputPeephole && !cell.hasOutputGate)
    else {
      throw EngineError(
        .invalidArgument,
        "options->peepholes is \(peepholes): a peephole of a gate that the cell does not have")
    }
  }
}

extension carousel_recurrent_options {
  /// The layer around a cell: one direction or two.
  func layer(of cell: CellDescription) throws(EngineError) -> LayerKind {
    var forward = RecurrentDescription(
      cell: cell, returnSequences: return_sequences != 0, goBackwards: go_backwards != 0)
    forward.isStateful = stateful != 0
    forward.maskedOutput =
      try MaskedOutput.given(padding, "options->recurrent.padding", default: .hold) ?? .hold
    forward.learnsInitialState = learn_initial_state != 0
    forward.dropout = try Argument.number(dropout, "options->recurrent.dropout", in: 0...1)
    forward.recurrentDropout = try Argument.number(
      recurrent_dropout, "options->recurrent.recurrent_dropout", in: 0...1)
    let merge: BidirectionalDescription.Merge
    switch bidirectional {
    case CAROUSEL_ONE_DIRECTION: return .recurrent(forward)
    case CAROUSEL_BIDIRECTIONAL_CONCAT: merge = .concat
    case CAROUSEL_BIDIRECTIONAL_SUM: merge = .sum
    case CAROUSEL_BIDIRECTIONAL_MULTIPLY: merge = .multiply
    case CAROUSEL_BIDIRECTIONAL_AVERAGE: merge = .average
    default:
      throw Argument.unknown(bidirectional.rawValue, "options->recurrent.bidirectional")
    }
    var backward = forward
    backward.goBackwards.toggle()
    return .bidirectional(.init(forward: forward, backward: backward, merge: merge))
  }
}

/// A limit or small number of which 0 means that there is none.
func positive(_ value: Double, _ name: StaticString) throws(EngineError) -> Double? {
  if value == 0 { return nil }
  guard value > 0, value.isFinite else {
    throw EngineError(.invalidArgument, "\(name) is \(value), expected 0 or a positive number")
  }
  return value
}
