/// An execution that keeps for the backward pass, with the targets of its outputs.
final class TrainingRun<S: Scalar> {
  let execution: Execution<S>
  let targets: [TargetRows<S>]
  private let classWeights: [Double]

  init(
    network: Network<S>, weights: WeightSnapshot<S>, options: TrainingOptions, batch: Int,
    times: [Int], mode: ExecutionMode, gradients: UnsafeMutablePointer<S>?, arena: Arena = Arena()
  ) throws(EngineError) {
    execution = try Execution(
      network: network, weights: weights, batch: batch, times: times, mode: mode, arena: arena,
      gradients: gradients)
    var targets: [TargetRows<S>] = []
    for (index, loss) in options.losses.enumerated() {
      targets.append(
        try TargetRows(index, loss: loss, signal: execution.output(index), arena: arena))
    }
    self.targets = targets
    classWeights = options.classWeights
    execution.context.threads = options.threads
  }

  func fits(_ batch: TrainingBatch, mode: ExecutionMode) -> Bool {
    execution.batch == batch.rows.count && execution.times == batch.times && execution.mode == mode
  }

  func load(_ batch: TrainingBatch) throws(EngineError) {
    for (index, view) in batch.data.inputs.enumerated() {
      try execution.setInput(index, batch.view(view))
    }
    setMask(batch)
    for target in targets { try target.load(batch) }
  }

  private func setMask(_ batch: TrainingBatch) {
    let data = batch.data
    guard data.takesMask else { return }
    let first = batch.steps?.lowerBound ?? 0
    for index in data.inputs.indices {
      let signal = execution.input(index)
      guard let mask = signal.mask else { continue }
      for t in 0..<signal.time {
        for (place, row) in batch.rows.enumerated() {
          let ends = data.lengths.map { Int64(first + t) >= $0[row] } ?? false
          let masked =
            data.mask.map {
              $0[row * data.maskBatchStride + (first + t) * data.maskTimeStride] == 0
            } ?? false
          mask[t * signal.batch + place] = ends || masked ? 0 : 1
        }
      }
    }
  }

  /// Counts the positions that the loss is over, after a forward pass.
  func countPositions(into tally: inout Tally) throws(EngineError) {
    for target in targets {
      tally.counts[target.index] += try target.findPositions(classWeights: classWeights)
    }
  }

  /// Adds the losses to `tally` and sets the outputs' gradients: of the mean loss of each output over
  /// `counts` positions times its weight times `share`. No weights: no gradients.
  func evaluate(
    into tally: inout Tally, metrics: [Metric], weights: [Double]? = nil, counts: [Int] = [],
    share: Double = 1
  ) {
    if weights != nil { execution.zeroSignalGradients() }
    for target in targets {
      let scale = weights.map { share * $0[target.index] / Double(max(counts[target.index], 1)) }
      target.evaluate(into: &tally, metrics: metrics, gradientScale: scale)
    }
  }

  /// The first input or layer of which a value is NaN or infinite.
  func firstNonFinite() -> String? {
    for (index, node) in execution.network.description.nodes.enumerated() {
      let signal = execution.signals[index]
      guard signal.ids == nil else { continue }
      for row in 0..<signal.rows {
        let values = signal.values + row * signal.stride
        for j in 0..<signal.width where !values[j].isFinite {
          return "the output of '\(node.layer.name)' at row \(row % signal.batch), step "
            + "\(row / signal.batch)"
        }
      }
    }
    return nil
  }
}
