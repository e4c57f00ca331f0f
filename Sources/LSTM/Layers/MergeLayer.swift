/// One output of several inputs: side by side (`concatenate`, along the features), or element by
/// element. In the latter an input of one feature, of one step, or without a time axis counts for
/// all features or steps, as in Keras. Masks: see ``MergedMask``.
final class MergeLayer<S: Scalar>: Layer<S> {
  let kind: MergeKind
  let masks: MergedMask

  init(
    _ kind: MergeKind, masks: MergedMask, name: String, inputShapes: [SignalShape]
  ) throws(EngineError) {
    guard inputShapes.count >= 1, kind != .subtract || inputShapes.count == 2 else {
      throw EngineError(
        .shape,
        "\(kind) takes \(kind == .subtract ? "two inputs" : "inputs"), got \(inputShapes.count)")
    }
    self.kind = kind
    self.masks = masks
    var features = kind == .concatenate ? 0 : 1
    for shape in inputShapes {
      let width = try shape.featureCount()
      if kind == .concatenate {
        guard shape.hasTime == inputShapes[0].hasTime else {
          throw Self.mismatch(kind, inputShapes)
        }
        features = try Memory.sum(features, width)
      } else {
        guard width == features || width == 1 || features == 1 else {
          throw Self.mismatch(kind, inputShapes)
        }
        features = max(features, width)
      }
    }
    guard inputShapes.contains(where: \.hasTime) else {
      super.init(
        name: name, inputShapes: inputShapes, outputShape: .vector(features: features))
      return
    }
    // Inputs of a single step say nothing about the others' number unless they must be equal.
    var time: Int?
    let moving = inputShapes.filter { Self.moves($0, kind) }
    for shape in moving {
      guard let steps = shape.time else { continue }
      guard time == nil || time == steps else { throw Self.mismatch(kind, inputShapes) }
      time = steps
    }
    super.init(
      name: name, inputShapes: inputShapes,
      outputShape: .sequence(time: moving.isEmpty ? 1 : time, features: features))
  }

  private static func mismatch(_ kind: MergeKind, _ shapes: [SignalShape]) -> EngineError {
    EngineError(
      .shape,
      "\(kind) cannot join the shapes " + shapes.map(\.description).joined(separator: ", "))
  }

  /// The input has a step for each step of the output (rather than one for all).
  private static func moves(_ shape: SignalShape, _ kind: MergeKind) -> Bool {
    shape.hasTime && (kind == .concatenate || shape.time != 1)
  }

  override func outputTime(_ inputTimes: [Int]) throws(EngineError) -> Int {
    var time: Int?
    for (steps, shape) in zip(inputTimes, inputShapes) where Self.moves(shape, kind) {
      guard time == nil || time == steps else {
        throw EngineError(
          .shape,
          "\(kind) needs inputs of equally many steps, got "
            + inputTimes.map(String.init).joined(separator: ", "))
      }
      time = steps
    }
    return time ?? 1
  }

  override func makeRun(
    inputs: [Signal<S>], plan: ExecutionPlan<S>
  ) throws(EngineError) -> LayerRun<S> {
    guard let first = inputs.first, inputs.count == inputShapes.count else {
      throw EngineError(.shape, "takes \(inputShapes.count) inputs, got \(inputs.count)")
    }
    let time = try outputTime(inputs.map(\.time))
    let rows = try Memory.product(first.batch, time)
    let hasMask =
      switch masks {
      case .any: inputs.allSatisfy { $0.mask != nil }
      case .all: inputs.contains { $0.mask != nil }
      }
    let mask: UnsafeMutablePointer<UInt8>? =
      outputShape.hasTime && hasMask
      ? try plan.arena.allocate(count: rows) : nil
    let output = try plan.signal(
      batch: first.batch, time: time, hasTime: outputShape.hasTime, width: outputShape.features,
      mask: mask)
    let operands = inputs.map { MergeOperand($0, output: output, masks: masks) }
    return kind == .concatenate
      ? ConcatenationRun(operands, masks, output: output)
      : ElementwiseMergeRun(kind, operands, masks, output: output)
  }
}

/// One input of a merge, addressed by the rows of the output.
private struct MergeOperand<S: Scalar> {
  let signal: Signal<S>
  private let isOneStep: Bool
  /// Masked steps take no part.
  private let honoursMask: Bool
  /// 0 if one feature counts for all of the output's.
  let featureStep: Int

  init(_ signal: Signal<S>, output: Signal<S>, masks: MergedMask) {
    self.signal = signal
    honoursMask = masks == .any
    isOneStep = signal.time == 1 && output.time != 1
    featureStep = signal.width == 1 && output.width != 1 ? 0 : 1
  }

  @inline(__always)
  func row(_ outputRow: Int) -> Int { isOneStep ? outputRow % signal.batch : outputRow }
  @inline(__always)
  func values(_ outputRow: Int) -> UnsafeMutablePointer<S> {
    signal.values + row(outputRow) * signal.stride
  }
  @inline(__always)
  func gradient(_ outputRow: Int) -> UnsafeMutablePointer<S>? {
    signal.gradient.map { $0 + row(outputRow) * signal.stride }
  }
  @inline(__always)
  func isValid(_ outputRow: Int) -> Bool { signal.mask?[row(outputRow)] != 0 }
  @inline(__always)
  func takesPart(_ outputRow: Int) -> Bool { !honoursMask || isValid(outputRow) }
}

extension Signal {
  /// Makes the output's mask, if it has one.
  fileprivate func merge(_ masks: MergedMask, of operands: [MergeOperand<S>]) {
    guard let mask else { return }
    for row in 0..<rows {
      let isValid =
        switch masks {
        case .any: operands.contains { $0.isValid(row) }
        case .all: operands.allSatisfy { $0.isValid(row) }
        }
      mask[row] = isValid ? 1 : 0
    }
  }
}

private final class ConcatenationRun<S: Scalar>: LayerRun<S> {
  private let operands: [MergeOperand<S>]
  private let masks: MergedMask

  init(_ operands: [MergeOperand<S>], _ masks: MergedMask, output: Signal<S>) {
    self.operands = operands
    self.masks = masks
    super.init(output: output)
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func forward() {
    for row in 0..<output.rows {
      var to = output.values + row * output.stride
      for operand in operands {
        to.update(from: operand.values(row), count: operand.signal.width)
        to += operand.signal.width
      }
    }
    output.merge(masks, of: operands)
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func backward() {
    guard let delta = output.gradient else { return }
    for row in 0..<output.rows {
      var from = delta + row * output.stride
      for operand in operands {
        let width = operand.signal.width
        if let to = operand.gradient(row) { for j in 0..<width { to[j] += from[j] } }
        from += width
      }
    }
  }
}

private final class ElementwiseMergeRun<S: Scalar>: LayerRun<S> {
  private let kind: MergeKind
  private let operands: [MergeOperand<S>]
  private let masks: MergedMask

  init(
    _ kind: MergeKind, _ operands: [MergeOperand<S>], _ masks: MergedMask, output: Signal<S>
  ) {
    self.kind = kind
    self.operands = operands
    self.masks = masks
    super.init(output: output)
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func forward() {
    for row in 0..<output.rows {
      let y = output.values + row * output.stride
      let isFirst = start(y, row)
      for (index, operand) in operands.enumerated() where index != isFirst {
        combine(y, with: operand.values(row), step: operand.featureStep, operand.takesPart(row))
      }
      finish(y, row)
    }
    output.merge(masks, of: operands)
  }

  /// Copies the operand that the others are combined with; gives its index.
  @inline(__always)
  private func start(_ y: UnsafeMutablePointer<S>, _ row: Int) -> Int {
    var index = 0
    switch kind {
    case .multiply, .maximum, .minimum:
      index = operands.firstIndex { $0.takesPart(row) } ?? 0
    default: break
    }
    let x = operands[index].values(row)
    let step = operands[index].featureStep
    for j in 0..<output.width { y[j] = x[j * step] }
    return index
  }

  @inline(__always)
  private func combine(
    _ y: UnsafeMutablePointer<S>, with x: UnsafePointer<S>, step: Int, _ takesPart: Bool
  ) {
    let width = output.width
    switch kind {
    case .add, .average, .concatenate: for j in 0..<width { y[j] += x[j * step] }
    case .subtract: for j in 0..<width { y[j] -= x[j * step] }
    case .multiply: if takesPart { for j in 0..<width { y[j] *= x[j * step] } }
    // What is not a number wins, and stays.
    case .maximum:
      guard takesPart else { return }
      for j in 0..<width where x[j * step] > y[j] || x[j * step].isNaN { y[j] = x[j * step] }
    case .minimum:
      guard takesPart else { return }
      for j in 0..<width where x[j * step] < y[j] || x[j * step].isNaN { y[j] = x[j * step] }
    }
  }

  @inline(__always)
  private func finish(_ y: UnsafeMutablePointer<S>, _ row: Int) {
    if kind == .average {
      for j in 0..<output.width { y[j] /= S(operands.count) }
    } else if kind == .multiply, !operands.contains(where: { $0.takesPart(row) }) {
      for j in 0..<output.width { y[j] = 0 }
    }
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func backward() {
    guard let delta = output.gradient else { return }
    for row in 0..<output.rows {
      let g = delta + row * output.stride
      let y = output.values + row * output.stride
      for (index, operand) in operands.enumerated() {
        guard let dx = operand.gradient(row) else { continue }
        let step = operand.featureStep
        switch kind {
        case .add, .concatenate: for j in 0..<output.width { dx[j * step] += g[j] }
        case .average:
          for j in 0..<output.width { dx[j * step] += g[j] / S(operands.count) }
        case .subtract:
          for j in 0..<output.width { dx[j * step] += index == 0 ? g[j] : -g[j] }
        case .multiply:
          guard operand.takesPart(row) else { continue }
          for j in 0..<output.width { dx[j * step] += g[j] * product(row, j, without: index) }
        case .maximum, .minimum:
          for j in 0..<output.width where winner(row, j, y[j]) == index {
            dx[j * step] += g[j]
          }
        }
      }
    }
  }

  @inline(__always)
  private func product(_ row: Int, _ j: Int, without index: Int) -> S {
    var product: S = 1
    for (other, operand) in operands.enumerated() where other != index && operand.takesPart(row) {
      product *= operand.values(row)[j * operand.featureStep]
    }
    return product
  }

  /// The first operand that has the extreme value.
  @inline(__always)
  private func winner(_ row: Int, _ j: Int, _ value: S) -> Int {
    operands.firstIndex {
      $0.takesPart(row) && $0.values(row)[j * $0.featureStep] == value
    } ?? 0
  }
}
