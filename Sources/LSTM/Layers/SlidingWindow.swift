/// How a window slides over the steps of a sequence: shared by convolution and pooling.
struct SlidingWindow {
  let stride: Int
  /// Steps of padding before the sequence.
  let before: Int
  let outputTime: Int

  /// - Parameter reach: steps from the first to the last place of the window.
  ///
  /// `same` pads as TensorFlow does: ceil(time / stride) outputs, the smaller half of the padding
  /// before the sequence.
  init(
    padding: Conv1DDescription.Padding, stride: Int, time: Int, reach: Int
  ) throws(EngineError) {
    self.stride = stride
    switch padding {
    case .valid:
      guard time > reach else {
        throw EngineError(
          .shape, "its window spans \(reach) steps and one more, got a sequence of \(time)")
      }
      before = 0
      outputTime = (time - 1 - reach) / stride + 1
    case .causal:
      before = reach
      outputTime = Self.quotient(time, stride)
    case .same:
      outputTime = Self.quotient(time, stride)
      let last = max(outputTime - 1, 0) * stride
      before = max(try Memory.sum(Memory.sum(last, reach), 1) - time, 0) / 2
    }
  }

  /// The input step at a place of the window for output step 0; output step t adds t * stride.
  func first(_ place: Int) -> Int { place - before }

  /// Output steps at which a place of the window lies within a sequence of `time` steps.
  func outputs(at place: Int, time: Int) -> Range<Int> {
    let first = first(place)
    let upper = min(Self.quotient(time - first, stride), outputTime)
    return min(Self.quotient(-first, stride), upper)..<upper
  }

  /// `steps / stride` rounded up; 0 for no or negative steps.
  private static func quotient(_ steps: Int, _ stride: Int) -> Int {
    steps <= 0 ? 0 : (steps - 1) / stride + 1
  }
}

extension SlidingWindow {
  init(_ convolution: Conv1DDescription, time: Int, reach: Int) throws(EngineError) {
    try self.init(
      padding: convolution.padding, stride: convolution.stride, time: time, reach: reach)
  }
}
