import KernelInterface

/// Two recurrent layers over the same sequence, one from each end, and what becomes of their outputs.
///
/// The backward half is turned round again, so that row t of both belongs to step t. Without
/// `returnSequences` each half gives its own last step (Keras `Bidirectional`).
final class BidirectionalLayer<S: Scalar>: Layer<S> {
  let bidirectional: BidirectionalDescription
  private let parts: [DirectionParts]

  init(
    name: String, inputShapes: [SignalShape], description: BidirectionalDescription
  ) throws(EngineError) {
    bidirectional = description
    let forward = description.forward
    let backward = description.backward
    let inputShape = try InitialStates<S>.check(inputShapes, [forward, backward])
    guard forward.returnSequences == backward.returnSequences else {
      throw EngineError(
        .invalidArgument, "one direction returns sequences and the other does not")
    }
    guard forward.goBackwards != backward.goBackwards else {
      throw EngineError(.invalidArgument, "both directions go the same way")
    }
    guard description.merge == .concat || forward.outputWidth == backward.outputWidth else {
      throw EngineError(
        .shape,
        "the directions have \(forward.outputWidth) and \(backward.outputWidth) outputs: only "
          + "merge 'concat' can join them")
    }
    let first = try DirectionParts(
      forward, inputShape: inputShape, prefix: "forward/", first: 0)
    let second = try DirectionParts(
      backward, inputShape: inputShape, prefix: "backward/", first: first.parameters.count)
    parts = [first, second]
    let width =
      description.merge == .concat
      ? try Memory.sum(forward.outputWidth, backward.outputWidth) : forward.outputWidth
    super.init(
      name: name, inputShapes: inputShapes,
      outputShape: recurrentOutput(
        inputShape, width: width, returnSequences: forward.returnSequences),
      declarations: first.declarations + second.declarations)
  }

  override var stateWidths: [Int] {
    bidirectional.forward.cell.stateWidths + bidirectional.backward.cell.stateWidths
  }
  override var isStateful: Bool {
    bidirectional.forward.isStateful || bidirectional.backward.isStateful
  }
  override var obstacleToStreaming: String? { "it needs the whole sequence" }

  override func makeWeights(forTraining: Bool) throws(EngineError) -> LayerWeights<S>? {
    guard let layer = self as? BidirectionalLayer<Float> else { return nil }
    return try RecurrentWeights(layer, parts, forTraining: forTraining) as? LayerWeights<S>
  }

  /// Of both directions, or of none.
  override func reducedParameters(_ format: WeightFormat) -> [Int] {
    let lists = parts.map { $0.reducedParameters(format) }
    return lists.contains([]) ? [] : lists.flatMap { $0 }
  }

  override func makeReducedWeights(
    _ format: WeightFormat, _ arrays: [ReducedArray]
  ) throws(EngineError) -> LayerWeights<S>? {
    guard let layer = self as? BidirectionalLayer<Float> else { return nil }
    return try RecurrentWeights(layer, parts, forTraining: false, format: format)
      as? LayerWeights<S>
  }

  override func makeRun(
    inputs: [Signal<S>], plan: ExecutionPlan<S>
  ) throws(EngineError) -> LayerRun<S> {
    let input = inputs[0]
    let returnsSequences = bidirectional.forward.returnSequences
    let output = try plan.signal(
      batch: input.batch, time: returnsSequences ? input.time : 1, hasTime: returnsSequences,
      width: outputShape.features, mask: returnsSequences ? input.mask : nil)
    return BidirectionalRun(
      self, output: output, initialStates: Array(inputs.dropFirst()),
      first: try parts[0].makeRun(source: input, layer: self, number: 0, plan: plan),
      second: try parts[1].makeRun(source: input, layer: self, number: 1, plan: plan))
  }
}

/// A bidirectional layer bound to an execution.
final class BidirectionalRun<S: Scalar>: LayerRun<S> {
  private let layer: BidirectionalLayer<S>
  private let first: DirectionRun<S>
  private let second: DirectionRun<S>
  private let initialStates: InitialStates<S>
  private let context: RunContext

  init(
    _ layer: BidirectionalLayer<S>, output: Signal<S>, initialStates: [Signal<S>],
    first: DirectionRun<S>, second: DirectionRun<S>
  ) {
    self.layer = layer
    self.first = first
    self.second = second
    self.initialStates = InitialStates(
      signals: initialStates, slots: first.states + second.states)
    context = first.frame.plan.context
    super.init(output: output, states: first.states + second.states)
  }

  private lazy var halves = Halves(self)

  /// The two directions as work that threads can share.
  private final class Halves: ParallelWork {
    private unowned let run: BidirectionalRun
    var isBackward = false

    init(_ run: BidirectionalRun) { self.run = run }

    override func perform(part: Int, of parts: Int) {
      if part == 0 { walk(run.first) }
      if part == parts - 1 { walk(run.second) }
    }

    private func walk(_ direction: DirectionRun<S>) {
      let maskedOutput = run.maskedOutput(direction)
      if isBackward {
        direction.backward(maskedOutput, learnsStates: !run.hasGivenStates)
      } else {
        direction.forward(maskedOutput)
      }
    }
  }

  /// Two threads take one direction each: then each core has the weights of its own only.
  private var parts: Int { context.threads == 2 && first.splitSize.isWorthwhile ? 2 : 1 }

  private lazy var merging = Merging(self)

  /// From the two outputs to one and from its gradient to theirs, divided between threads by steps.
  private final class Merging: ParallelWork {
    private unowned let run: BidirectionalRun
    var isBackward = false

    init(_ run: BidirectionalRun) { self.run = run }

    @_specialize(where S == Float)
    @_specialize(where S == Double)
    override func perform(part: Int, of parts: Int) {
      for t in ParallelKernels.share(run.output.time, unit: 1, part, parts) {
        for row in 0..<run.output.batch {
          if isBackward { run.splitRow(t, row) } else { run.mergeRow(t, row) }
        }
      }
    }
  }

  private var mergeParts: Int {
    first.splitSize.isWorthwhile ? min(context.threads, output.time) : 1
  }

  private var merge: BidirectionalDescription.Merge { layer.bidirectional.merge }

  private func maskedOutput(_ direction: DirectionRun<S>) -> MaskedOutput {
    context.maskedOutput ?? direction.frame.description.maskedOutput
  }

  override var canBorrow: Bool { true }

  override func borrow(_ rows: BorrowedRows<S>?) {
    first.frame.borrowed = rows
    second.frame.borrowed = rows
  }

  override func setLearnedStates() {
    first.setLearnedStates()
    second.setLearnedStates()
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func forward() {
    if !hasGivenStates {
      setLearnedStates()
      initialStates.set()
    }
    halves.isBackward = false
    halves.performInParallel(parts, independent: true)
    merging.isBackward = false
    merging.performInParallel(mergeParts, independent: true)
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func backward() {
    merging.isBackward = true
    merging.performInParallel(mergeParts, independent: true)
    let parts = second.frame.canDeferInputGradient ? parts : 1
    second.frame.defersInputGradient = parts > 1
    halves.isBackward = true
    halves.performInParallel(parts, independent: true)
    second.frame.finishInputGradient()
    if !hasGivenStates { initialStates.addGradients() }
  }

  /// Where row (t, b) of each half lies: the backward layer's half is turned round.
  private func offsets(_ t: Int, _ row: Int) -> (Int, Int) {
    let turned = output.time - 1 - t
    return (
      (t * output.batch + row) * first.outputStride,
      (turned * output.batch + row) * second.outputStride
    )
  }

  private func mergeRow(_ t: Int, _ row: Int) {
    let (at, turnedAt) = offsets(t, row)
    let a = first.output + at
    let b = second.output + turnedAt
    let y = output.values + (t * output.batch + row) * output.stride
    let width = first.frame.description.outputWidth
    switch merge {
    case .concat:
      y.update(from: a, count: width)
      (y + width).update(from: b, count: output.width - width)
    case .sum: for j in 0..<width { y[j] = a[j] + b[j] }
    case .multiply: for j in 0..<width { y[j] = a[j] * b[j] }
    case .average: for j in 0..<width { y[j] = (a[j] + b[j]) / 2 }
    }
  }

  /// From the gradient of the merged row to those of the halves.
  private func splitRow(_ t: Int, _ row: Int) {
    guard let firstGradient = first.outputGradient, let secondGradient = second.outputGradient,
      let gradient = output.gradient
    else { return }
    let (at, turnedAt) = offsets(t, row)
    let da = firstGradient + at
    let db = secondGradient + turnedAt
    let dy = gradient + (t * output.batch + row) * output.stride
    let width = first.frame.description.outputWidth
    switch merge {
    case .concat:
      da.update(from: dy, count: width)
      db.update(from: dy + width, count: output.width - width)
    case .sum:
      da.update(from: dy, count: width)
      db.update(from: dy, count: width)
    case .multiply:
      let a = first.output + at
      let b = second.output + turnedAt
      for j in 0..<width {
        da[j] = dy[j] * b[j]
        db[j] = dy[j] * a[j]
      }
    case .average:
      for j in 0..<width {
        da[j] = dy[j] / 2
        db[j] = dy[j] / 2
      }
    }
  }

  override func trace(_ field: TraceField, direction number: Int) -> TraceView<S>? {
    switch number {
    case 0: first.trace(field)
    case 1: second.trace(field)
    default: nil
    }
  }
}
