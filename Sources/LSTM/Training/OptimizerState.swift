/// What an optimiser remembers: the number of its steps, and for each slot one value per weight, laid
/// out as the network's parameters.
final class OptimizerState<S: Scalar> {
  let optimizer: Optimizer
  /// In the order of `optimizer.slotNames`.
  let slots: [Buffer<S>]
  /// Steps made.
  var stepCount = 0

  init(_ optimizer: Optimizer, count: Int) throws(EngineError) {
    self.optimizer = optimizer
    var slots: [Buffer<S>] = []
    for _ in optimizer.slotNames { slots.append(try Buffer(count: count)) }
    self.slots = slots
  }

  /// One step for the weights `range`, with gradients `g`. `stepCount` counts it already.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  func update(
    _ range: Range<Int>, weights: UnsafeMutablePointer<S>, gradients: UnsafePointer<S>,
    learningRate: Double
  ) {
    let count = range.count
    let w = weights + range.lowerBound
    let g = gradients + range.lowerBound
    let rate = S(learningRate)
    let decay = S(optimizer.decouplesDecay ? 0 : optimizer.weightDecay)
    if optimizer.decouplesDecay {
      let keep = S(1 - learningRate * optimizer.weightDecay)
      for i in 0..<count { w[i] *= keep }
    }
    func slot(_ index: Int) -> UnsafeMutablePointer<S> { slots[index].pointer + range.lowerBound }

    switch optimizer.kind {
    case .sgd(let momentum, let nesterov):
      guard momentum != 0 else {
        for i in 0..<count { w[i] -= rate * (g[i] + decay * w[i]) }
        return
      }
      let mu = S(momentum)
      let v = slot(0)
      for i in 0..<count {
        let gradient = g[i] + decay * w[i]
        v[i] = mu * v[i] + gradient
        w[i] -= rate * (nesterov ? gradient + mu * v[i] : v[i])
      }
    case .rmsprop(let rho, let epsilon, let momentum, let centered):
      let keep = S(rho)
      let take = S(1 - rho)
      let least = S(epsilon)
      let mu = S(momentum)
      let square = slot(0)
      let v = momentum == 0 ? nil : slot(1)
      let mean = centered ? slot(slots.count - 1) : nil
      for i in 0..<count {
        let gradient = g[i] + decay * w[i]
        square[i] = keep * square[i] + take * gradient * gradient
        var variance = square[i]
        if let mean {
          mean[i] += take * (gradient - mean[i])
          variance -= mean[i] * mean[i]
        }
        let step = gradient / (variance.squareRoot() + least)
        if let v {
          v[i] = mu * v[i] + step
          w[i] -= rate * v[i]
        } else {
          w[i] -= rate * step
        }
      }
    case .adam(let beta1, let beta2, let epsilon):
      let t = Double(stepCount)
      let rootOfCorrection = S((1 - power(beta2, t)).squareRoot())
      let size = S(learningRate / (1 - power(beta1, t)))
      let take1 = S(1 - beta1)
      let keep2 = S(beta2)
      let take2 = S(1 - beta2)
      let least = S(epsilon)
      let m = slot(0)
      let v = slot(1)
      for i in 0..<count {
        let gradient = g[i] + decay * w[i]
        m[i] += take1 * (gradient - m[i])
        v[i] = keep2 * v[i] + take2 * gradient * gradient
        w[i] -= size * (m[i] / (v[i].squareRoot() / rootOfCorrection + least))
      }
    }
  }
}
