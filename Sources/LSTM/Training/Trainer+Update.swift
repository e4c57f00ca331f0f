/// The second half of a step: penalties, clipping, the optimiser, and checks that all is finite.
extension Trainer {
  /// One step of the optimiser along `gradients`.
  ///
  /// - Throws: `interrupted` if the hook asks for it; `numeric` if a gradient or a new weight is NaN or
  ///   infinite; the weights are then those from before the step.
  public func applyGradients() throws(EngineError) -> (gradientNorm: Double, penalty: Double) {
    if let gradientHook, !gradientHook(UnsafeMutableRawBufferPointer(gradients.elements)) {
      throw EngineError(.interrupted, "the gradient callback asked to stop")
    }
    let penalty = addPenalties()
    let norm = sumOfSquares().squareRoot()
    guard norm.isFinite else {
      restoreWeights()
      throw EngineError(
        .numeric,
        "step \(progress.step): the gradient of \(firstNonFinite(gradients)) is not finite")
    }
    clip(norm)
    let rate = learningRate
    // What the step is measured against if it has to be taken back.
    weights.parameters.pointer.update(from: network.values.pointer, count: network.values.count)
    optimizer.stepCount += 1
    forEachTrainable { range in
      optimizer.update(
        range, weights: network.values.pointer, gradients: UnsafePointer(gradients.pointer),
        learningRate: rate)
    }
    guard weightsAreFinite() else {
      let name = firstNonFinite(network.values)
      restoreWeights()
      throw EngineError(
        .numeric, "step \(progress.step): a weight of \(name) became infinite or NaN")
    }
    network.parametersChanged()
    progress.step += 1
    return (norm, penalty)
  }

  func forEachTrainable(_ body: (Range<Int>) -> Void) {
    for (index, parameter) in network.parameters.enumerated() where isTrainable[index] {
      body(parameter.offset..<parameter.offset + parameter.count)
    }
  }

  /// Adds d(l1 Σ|w| + l2 Σw²)/dw to the gradients of matrices.
  ///
  /// - Returns: the penalty itself.
  private func addPenalties() -> Double {
    guard options.l1 > 0 || options.l2 > 0 else { return 0 }
    var penalty = 0.0
    for (index, parameter) in network.parameters.enumerated()
    where isTrainable[index] && parameter.isPenalized {
      penalty += addPenalty(
        network.values.pointer + parameter.offset, gradients.pointer + parameter.offset,
        parameter.count)
    }
    return penalty
  }

  private func addPenalty(
    _ w: UnsafePointer<S>, _ g: UnsafeMutablePointer<S>, _ count: Int
  ) -> Double {
    let l1 = S(options.l1)
    let l2 = S(2 * options.l2)
    var absolute = 0.0
    var square = 0.0
    for i in 0..<count {
      let value = Double(w[i])
      absolute += abs(value)
      square += value * value
      g[i] += l2 * w[i] + (w[i] > 0 ? l1 : w[i] < 0 ? -l1 : 0)
    }
    return options.l1 * absolute + options.l2 * square
  }

  /// Of all trainable gradients, in double precision: eight sums in the order of the parameters.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  func sumOfSquares() -> Double {
    var sums = SIMD8<Double>()
    forEachTrainable { range in
      let g = gradients.pointer + range.lowerBound
      let whole = range.count & ~7
      for i in stride(from: 0, to: whole, by: 8) {
        for lane in 0..<8 {
          let value = Double(g[i + lane])
          sums[lane] += value * value
        }
      }
      for i in whole..<range.count { sums[0] += Double(g[i]) * Double(g[i]) }
    }
    var sum = 0.0
    for lane in 0..<8 { sum += sums[lane] }
    return sum
  }

  private func clip(_ norm: Double) {
    let scale = options.clipNorm.map { min(1, $0 / (norm + 1e-6)) } ?? 1
    guard scale < 1 || options.clipValue != nil else { return }
    scaleGradients(S(scale), limit: options.clipValue.map { S($0) } ?? .infinity)
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  func scaleGradients(_ scale: S, limit: S) {
    forEachTrainable { range in
      let g = gradients.pointer + range.lowerBound
      for i in 0..<range.count { g[i] = min(max(g[i] * scale, -limit), limit) }
    }
  }

  /// x · 0 is 0 for finite x only.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  func weightsAreFinite() -> Bool {
    var all = true
    forEachTrainable { range in
      let w = network.values.pointer + range.lowerBound
      var sum: S = 0
      for i in 0..<range.count { sum += w[i] * 0 }
      if sum != 0 { all = false }
    }
    return all
  }

  /// The trainable parameter that holds the first value that is not finite, in quotes.
  private func firstNonFinite(_ values: Buffer<S>) -> String {
    for (index, parameter) in network.parameters.enumerated() where isTrainable[index] {
      for i in parameter.offset..<parameter.offset + parameter.count
      where !values.pointer[i].isFinite { return "'\(parameter.name)'" }
    }
    return "all parameters together"
  }
}

extension Parameter {
  /// A matrix that is not a bias (GRU's has two rows).
  var isPenalized: Bool {
    shape.count > 1 && name.split(separator: "/").last != "bias"
  }
}
