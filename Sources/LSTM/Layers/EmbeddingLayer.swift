import KernelInterface

/// Ids (batch, time) to rows of a table (batch, time, dimension).
final class EmbeddingLayer<S: Scalar>: Layer<S> {
  /// Id 0 is padding: its steps are masked.
  let masksZero: Bool

  init(
    name: String, inputShape: SignalShape, vocabulary: Int, dimension: Int, masksZero: Bool
  ) throws(EngineError) {
    try LayerCheck.positive(vocabulary, "the vocabulary")
    try LayerCheck.positive(dimension, "the embedding's dimension")
    guard case .ids(let time) = inputShape else {
      throw EngineError(.shape, "an Embedding reads ids (batch, time), got \(inputShape)")
    }
    self.masksZero = masksZero
    super.init(
      name: name, inputShapes: [inputShape],
      outputShape: .sequence(time: time, features: dimension),
      declarations: [
        ParameterDeclaration("embeddings", [vocabulary, dimension], .uniform(limit: 0.05))
      ])
  }

  override func reducedParameters(_ format: WeightFormat) -> [Int] { [0] }
  override var scalesRows: Bool { true }

  override func makeReducedWeights(
    _ format: WeightFormat, _ arrays: [ReducedArray]
  ) throws(EngineError) -> LayerWeights<S>? { ReducedTable(arrays[0]) }

  override func makeRun(
    inputs: [Signal<S>], plan: ExecutionPlan<S>
  ) throws(EngineError) -> LayerRun<S> {
    try EmbeddingRun(self, input: Self.only(inputs), plan: plan)
  }
}

/// The table in reduced precision.
private final class ReducedTable<S: Scalar>: LayerWeights<S> {
  let array: ReducedArray

  init(_ array: ReducedArray) { self.array = array }
}

private final class EmbeddingRun<S: Scalar>: LayerRun<S> {
  private let input: Signal<S>
  private let ids: UnsafeMutablePointer<Int32>
  /// The output's mask, if the layer makes it.
  private let ownMask: UnsafeMutablePointer<UInt8>?
  private let table: UnsafePointer<S>
  private let reducedTable: ReducedArray?
  private let tableGradient: UnsafeMutablePointer<S>?

  init(_ layer: EmbeddingLayer<S>, input: Signal<S>, plan: ExecutionPlan<S>) throws(EngineError) {
    guard let ids = input.ids else {
      throw EngineError(.shape, "an Embedding reads an input of ids")
    }
    self.input = input
    self.ids = ids
    ownMask = layer.masksZero ? try plan.arena.allocate(count: input.rows) : nil
    table = plan.parameter(layer, 0)
    reducedTable =
      plan.weights.isReduced ? try plan.weights.packed(ReducedTable.self, of: layer).array : nil
    tableGradient = plan.gradient(layer, 0)
    super.init(
      output: try plan.signal(
        batch: input.batch, time: input.time, hasTime: true, width: layer.outputShape.features,
        mask: ownMask ?? input.mask))
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func forward() {
    let width = output.width
    if let reducedTable, S.self == Float.self {
      for row in 0..<output.rows {
        let to = UnsafeMutableRawPointer(output.values + row * output.stride)
        reducedTable.read(row: Int(ids[row]), into: to.assumingMemoryBound(to: Float.self))
      }
      return writeMask()
    }
    for row in 0..<output.rows {
      (output.values + row * output.stride).update(
        from: table + Int(ids[row]) * width, count: width)
    }
    writeMask()
  }

  private func writeMask() {
    guard let ownMask else { return }
    for row in 0..<output.rows {
      ownMask[row] = ids[row] != 0 && input.mask?[row] != 0 ? 1 : 0
    }
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func backward() {
    guard let delta = output.gradient, let tableGradient else { return }
    let width = output.width
    WeightGradient<S>.forEachBlock(of: 0..<output.time) { block in
      for row in block.lowerBound * output.batch..<block.upperBound * output.batch {
        let from = delta + row * output.stride
        let to = tableGradient + Int(ids[row]) * width
        for j in 0..<width { to[j] += from[j] }
      }
    }
  }
}
