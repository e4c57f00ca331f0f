import KernelInterface

/// A recurrent layer of one direction: a cell walking over (batch, time, features).
final class RecurrentLayer<S: Scalar>: Layer<S> {
  let recurrent: RecurrentDescription
  private let parts: DirectionParts

  init(
    name: String, inputShapes: [SignalShape], description: RecurrentDescription
  ) throws(EngineError) {
    recurrent = description
    let inputShape = try InitialStates<S>.check(inputShapes, [description])
    parts = try DirectionParts(description, inputShape: inputShape, prefix: "", first: 0)
    super.init(
      name: name, inputShapes: inputShapes,
      outputShape: recurrentOutput(
        inputShape, width: description.outputWidth, returnSequences: description.returnSequences),
      declarations: parts.declarations)
  }

  override var stateWidths: [Int] { recurrent.cell.stateWidths }
  override var isStateful: Bool { recurrent.isStateful }

  override var obstacleToStreaming: String? {
    if inputShapes.count > 1 { return InitialStates<S>.obstacleToStreaming }
    return recurrent.goBackwards ? "it goes backwards, so it needs the whole sequence" : nil
  }

  override func makeWeights(forTraining: Bool) throws(EngineError) -> LayerWeights<S>? {
    guard let layer = self as? RecurrentLayer<Float> else { return nil }
    return try RecurrentWeights(layer, [parts], forTraining: forTraining) as? LayerWeights<S>
  }

  override func reducedParameters(_ format: WeightFormat) -> [Int] {
    parts.reducedParameters(format)
  }

  override func makeReducedWeights(
    _ format: WeightFormat, _ arrays: [ReducedArray]
  ) throws(EngineError) -> LayerWeights<S>? {
    guard let layer = self as? RecurrentLayer<Float> else { return nil }
    return try RecurrentWeights(layer, [parts], forTraining: false, format: format)
      as? LayerWeights<S>
  }

  override func makeRun(
    inputs: [Signal<S>], plan: ExecutionPlan<S>
  ) throws(EngineError) -> LayerRun<S> {
    let direction = try parts.makeRun(source: inputs[0], layer: self, number: 0, plan: plan)
    return RecurrentRun(self, inputs: inputs, direction: direction)
  }
}

/// Shape of what a recurrent layer returns.
func recurrentOutput(
  _ inputShape: SignalShape, width: Int, returnSequences: Bool
) -> SignalShape {
  returnSequences
    ? .sequence(time: inputShape.time, features: width) : .vector(features: width)
}

/// One direction of a layer before it is bound to memory: its parameters and their place in the layer's
/// list.
struct DirectionParts {
  let description: RecurrentDescription
  let inputWidth: Int
  let parameters: [CellParameterDeclaration]
  let prefix: String
  /// Index of the first parameter in the layer's list.
  let first: Int

  init(
    _ description: RecurrentDescription, inputShape: SignalShape, prefix: String, first: Int
  ) throws(EngineError) {
    guard case .sequence(_, let features) = inputShape else {
      throw EngineError(
        .shape, "takes a sequence (batch, time, features), got \(inputShape)")
    }
    try description.validate()
    self.description = description
    self.prefix = prefix
    self.first = first
    inputWidth = features
    parameters = try description.parameters(inputWidth: features)
  }

  var declarations: [ParameterDeclaration] {
    parameters.map { ParameterDeclaration(prefix + $0.parameter.key, $0.shape, $0.initializer) }
  }

  /// The matrices, by their place in the layer's list; none if the kernels' step has no room for rows
  /// as long as the cell's.
  func reducedParameters(_ format: WeightFormat) -> [Int] {
    func padded(_ width: Int) -> Int { (width + 15) / 16 * 16 }
    let width = description.cell.outputWidth
    guard format != .int8 || width <= ReducedLayout.longestRow,
      format != .int8 || inputWidth <= ReducedLayout.longestRow,
      format != .int8 || padded(inputWidth) + padded(width) <= ReducedLayout.longestRow
    else { return [] }
    return parameters.indices
      .filter { parameters[$0].shape.count == 2 && parameters[$0].parameter != .bias }
      .map { first + $0 }
  }

  func makeRun<S: Scalar>(
    source: Signal<S>, layer: Layer<S>, number: Int, plan: ExecutionPlan<S>
  ) throws(EngineError) -> DirectionRun<S> {
    var weights = CellPointers<S>()
    var gradients = CellPointers<S>()
    for (index, declaration) in parameters.enumerated() {
      weights[declaration.parameter] = UnsafeMutablePointer(
        mutating: plan.parameter(layer, first + index))
      gradients[declaration.parameter] = plan.gradient(layer, first + index)
    }
    let frame = try SequenceFrame(
      description, source: source, purpose: 2 * layer.node + number, follows: number > 0,
      plan: plan)
    if let fast = try makeFastCell(
      frame, weights: weights, gradients: gradients, layer: layer, number: number)
    {
      return try DirectionRun(
        frame: frame, cell: fast, weights: weights, gradients: gradients)
    }
    let cell: CellRun<S>
    switch description.cell {
    case .simple(let description):
      cell = try SimpleRNNRun(frame, description, weights: weights, gradients: gradients)
    case .lstm(let description):
      cell = try LSTMRun(frame, description, weights: weights, gradients: gradients)
    case .gru(let description):
      cell = try GRURun(frame, description, weights: weights, gradients: gradients)
    }
    return try DirectionRun(frame: frame, cell: cell, weights: weights, gradients: gradients)
  }

  /// The cell on the kernels, for single precision; nil for other numbers.
  private func makeFastCell<S: Scalar>(
    _ frame: SequenceFrame<S>, weights: CellPointers<S>, gradients: CellPointers<S>,
    layer: Layer<S>, number: Int
  ) throws(EngineError) -> CellRun<S>? {
    guard let frame = frame as? SequenceFrame<Float>, let layer = layer as? Layer<Float>,
      let weights = weights as? CellPointers<Float>,
      let gradients = gradients as? CellPointers<Float>
    else { return nil }
    guard !frame.keeps || frame.plan.weights.isForTraining else {
      throw EngineError(
        .state, "a backward pass needs weights that were packed for training")
    }
    let packed = try frame.plan.weights.packed(RecurrentWeights.self, of: layer)
      .directions[number]
    let cell: CellRun<Float>
    switch description.cell {
    case .lstm(let description):
      cell = try FastLSTMRun(
        frame, description, packed: packed, weights: weights, gradients: gradients)
    case .gru(let description):
      cell = try FastGRURun(
        frame, description, packed: packed, weights: weights, gradients: gradients)
    case .simple(let description):
      cell = try FastSimpleRNNRun(
        frame, description, packed: packed, weights: weights, gradients: gradients)
    }
    return cell as? CellRun<S>
  }
}

/// A recurrent layer of one direction, bound to an execution.
final class RecurrentRun<S: Scalar>: LayerRun<S> {
  private let layer: RecurrentLayer<S>
  let direction: DirectionRun<S>
  private let initialStates: InitialStates<S>
  private let context: RunContext
  /// What goes back through time, while it does within a stack.
  private var gradient: StateGradients<S>?

  init(_ layer: RecurrentLayer<S>, inputs: [Signal<S>], direction: DirectionRun<S>) {
    let input = inputs[0]
    self.layer = layer
    self.direction = direction
    initialStates = InitialStates(signals: Array(inputs.dropFirst()), slots: direction.states)
    context = direction.frame.plan.context
    let returnsSequences = layer.recurrent.returnSequences
    super.init(
      output: Signal(
        batch: input.batch, time: returnsSequences ? input.time : 1, hasTime: returnsSequences,
        width: layer.recurrent.outputWidth, stride: direction.outputStride,
        values: direction.output, gradient: direction.outputGradient,
        // As Keras passes it on: in the order of time, even where the output is not.
        mask: returnsSequences ? input.mask : nil, ids: nil),
      states: direction.states)
  }

  private var maskedOutput: MaskedOutput {
    context.maskedOutput ?? layer.recurrent.maskedOutput
  }

  override func setLearnedStates() { direction.setLearnedStates() }

  override var canBorrow: Bool { true }
  override func borrow(_ rows: BorrowedRows<S>?) { direction.frame.borrowed = rows }
  @discardableResult
  override func writeOutput(to rows: BorrowedRows<S>?) -> Bool {
    direction.frame.returnHidden(in: rows)
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func forward() {
    setInitialStates()
    direction.forward(maskedOutput)
  }

  private func setInitialStates() {
    guard !hasGivenStates else { return }
    direction.setLearnedStates()
    initialStates.set()
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func backward() {
    direction.backward(maskedOutput, learnsStates: !hasGivenStates)
    if !hasGivenStates { initialStates.addGradients() }
  }

  // MARK: In a stack of layers

  /// Steps can be walked over before the layer above has its own.
  var canBeginStack: Bool { direction.frame.canWalkInBlocks }

  /// Also while the layer below is still at later steps.
  var canContinueStack: Bool { canBeginStack && direction.frame.readsSourceInPlace }

  func beginForward() {
    setInitialStates()
    direction.beginForward()
  }

  /// Some steps, after those before them.
  func walk(_ steps: Range<Int>) {
    direction.walk(steps, direction.allRows, maskedOutput)
  }
  func endForward() { direction.endForward() }

  func beginBackward() { gradient = direction.beginBackward() }

  /// Some steps, after those behind them.
  func walkBack(_ steps: Range<Int>) {
    if let gradient { direction.walkBack(steps, 0, 1, maskedOutput, gradient, byUnits: false) }
  }

  func endBackward() {
    direction.endBackward(learnsStates: !hasGivenStates)
    if !hasGivenStates { initialStates.addGradients() }
  }

  override func fusedStep() -> (LSTMStepArguments, KernelTable)? {
    guard output.mask == nil, let cell = direction.cell as? FastLSTMRun,
      let arguments = cell.streamStep()
    else { return nil }
    return (arguments, cell.kernels)
  }

  override func trace(_ field: TraceField, direction number: Int) -> TraceView<S>? {
    number == 0 ? direction.trace(field) : nil
  }
}
