/// A convolution as products, one for each tap: with a stride of 1 the rows that a tap reads for
/// all output steps lie side by side, so that nothing is copied.
final class Convolution1DRun<S: Scalar>: LayerRun<S> {
  private let layer: Convolution1DLayer<S>
  private let input: Signal<S>
  private let context: RunContext
  private let weights: MatrixWeights<S>
  private let window: SlidingWindow
  private let bias: UnsafePointer<S>?
  private let kernelGradient: UnsafeMutablePointer<S>?
  private let biasGradient: UnsafeMutablePointer<S>?
  private let activation: ActivationPass<S>

  init(
    _ layer: Convolution1DLayer<S>, input: Signal<S>, plan: ExecutionPlan<S>
  ) throws(EngineError) {
    self.layer = layer
    self.input = input
    context = plan.context
    weights = try plan.weights.packed(MatrixWeights<S>.self, of: layer)
    window = try SlidingWindow(layer.convolution, time: input.time, reach: layer.reach)
    bias = layer.convolution.useBias ? plan.parameter(layer, 1) : nil
    kernelGradient = plan.gradient(layer, 0)
    biasGradient = layer.convolution.useBias ? plan.gradient(layer, 1) : nil
    let output = try plan.signal(
      batch: input.batch, time: window.outputTime, hasTime: true,
      width: layer.convolution.filters)
    activation = try ActivationPass(layer.convolution.activation, on: output, plan: plan)
    super.init(output: output)
  }

  /// A tap's matrix for one group, and where its operands begin.
  private struct Tap {
    let matrix: Int
    /// The input step that it reads for output step 0.
    let first: Int
    /// Output steps for which that lies inside the sequence.
    let outputs: Range<Int>
    let inputColumn: Int
    let outputColumn: Int
    let kernelOffset: Int
  }

  @inline(__always)
  private func forEachTap(_ body: (Tap) -> Void) {
    let groups = layer.convolution.groups
    for tap in 0..<layer.convolution.kernelSize {
      let place = tap * layer.convolution.dilation
      let outputs = window.outputs(at: place, time: input.time)
      if outputs.isEmpty { continue }
      for group in 0..<groups {
        let outputColumn = group * layer.groupFilters
        body(
          Tap(
            matrix: tap * groups + group, first: window.first(place), outputs: outputs,
            inputColumn: group * layer.groupInputs, outputColumn: outputColumn,
            kernelOffset: tap * layer.groupInputs * layer.convolution.filters + outputColumn))
      }
    }
  }

  /// Cuts a tap's work into products of evenly spaced rows: `body` gets the first input and output
  /// row, the number of rows, and the distance between input and between output rows.
  @inline(__always)
  private func forEachProduct(
    _ tap: Tap, _ body: (_ from: Int, _ to: Int, _ rows: Int, _ spacing: (Int, Int)) -> Void
  ) {
    let batch = input.batch
    let start = tap.outputs.lowerBound
    let first = tap.first + start * window.stride
    if window.stride == 1 {
      body(first * batch, start * batch, tap.outputs.count * batch, (1, 1))
    } else if batch >= tap.outputs.count {
      for t in tap.outputs {
        body((tap.first + t * window.stride) * batch, t * batch, batch, (1, 1))
      }
    } else {
      for b in 0..<batch {
        body(
          first * batch + b, start * batch + b, tap.outputs.count,
          (window.stride * batch, batch))
      }
    }
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func forward() {
    for row in 0..<output.rows {
      let to = output.values + row * output.stride
      if let bias {
        to.update(from: bias, count: output.width)
      } else {
        to.update(repeating: 0, count: output.width)
      }
    }
    forEachTap { tap in
      forEachProduct(tap) { from, to, rows, spacing in
        S.product(
          rows: rows, a: input.values + (from * input.stride + tap.inputColumn),
          aStride: spacing.0 * input.stride, b: weights.forward[tap.matrix],
          c: output.values + (to * output.stride + tap.outputColumn),
          cStride: spacing.1 * output.stride, initial: .accumulate, threads: context.threads)
      }
    }
    activation.forward()
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func backward() {
    guard let delta = output.gradient, let kernelGradient else { return }
    activation.backward()
    if let biasGradient {
      WeightGradient.addColumnSums(
        steps: 0..<output.time, batch: output.batch, columns: output.width, delta: delta,
        deltaStride: output.stride, into: biasGradient)
    }
    forEachTap { tap in
      addKernelGradient(tap, delta: delta, into: kernelGradient + tap.kernelOffset)
      guard let inputGradient = input.gradient else { return }
      forEachProduct(tap) { from, to, rows, spacing in
        S.product(
          rows: rows, a: delta + (to * output.stride + tap.outputColumn),
          aStride: spacing.1 * output.stride, b: weights.backward[tap.matrix],
          c: inputGradient + (from * input.stride + tap.inputColumn),
          cStride: spacing.0 * input.stride, initial: .accumulate, threads: context.threads)
      }
    }
  }

  @inline(__always)
  private func addKernelGradient(
    _ tap: Tap, delta: UnsafeMutablePointer<S>, into gradient: UnsafeMutablePointer<S>
  ) {
    let batch = input.batch
    WeightGradient<S>.forEachBlock(of: tap.outputs) { block in
      // With a stride the rows of one step lie side by side, those of the next one further on.
      let runs = window.stride == 1 ? 1 : block.count
      let rows = window.stride == 1 ? block.count * batch : batch
      for run in 0..<runs {
        let t = block.lowerBound + run
        let from = (tap.first + t * window.stride) * batch * input.stride + tap.inputColumn
        S.addOuterProduct(
          rows: rows, k: layer.groupInputs, n: layer.groupFilters, a: input.values + from,
          aStride: input.stride, d: delta + (t * batch * output.stride + tap.outputColumn),
          dStride: output.stride, w: gradient, wStride: layer.convolution.filters,
          threads: context.threads)
      }
    }
  }
}
