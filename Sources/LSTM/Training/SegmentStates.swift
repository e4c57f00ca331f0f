/// The states of a batch at the ends of its segments, and dL/dstates at the end of the segment that is
/// going backwards.
final class SegmentStates<S: Scalar> {
  let batch: Int
  /// Boundary b is kept until number b + count takes its place.
  let count: Int
  /// By boundary, then by state.
  private let boundaries: [[UnsafeMutablePointer<S>]]
  private let gradients: [UnsafeMutablePointer<S>]
  private let sizes: [Int]
  let arena: Arena

  /// For `count` boundaries.
  init(
    network: Network<S>, batch: Int, count: Int, arena: Arena = Arena()
  ) throws(EngineError) {
    self.batch = batch
    self.count = count
    self.arena = arena
    var sizes: [Int] = []
    for width in network.stateWidths {
      sizes.append(try Memory.product(batch, Memory.matrixStride(width)))
    }
    var rows: [[UnsafeMutablePointer<S>]] = []
    for _ in 0...count {
      var row: [UnsafeMutablePointer<S>] = []
      for size in sizes { row.append(try arena.allocate(count: size)) }
      rows.append(row)
    }
    self.sizes = sizes
    gradients = rows.removeLast()
    boundaries = rows
  }

  func storeFinal(_ execution: Execution<S>, at boundary: Int) {
    for (index, slot) in execution.states.enumerated() {
      boundaries[boundary % count][index].update(from: slot.final, count: sizes[index])
    }
  }

  func setFinal(_ execution: Execution<S>, from boundary: Int) {
    for (index, slot) in execution.states.enumerated() {
      slot.final.update(from: boundaries[boundary % count][index], count: sizes[index])
    }
  }

  func setInitial(_ execution: Execution<S>, from boundary: Int) {
    for (index, slot) in execution.states.enumerated() {
      slot.initial.update(from: boundaries[boundary % count][index], count: sizes[index])
    }
    execution.statesWereGiven()
  }

  func storeInitialGradients(_ execution: Execution<S>) {
    for (index, slot) in execution.states.enumerated() {
      guard let from = slot.initialGradient else { continue }
      gradients[index].update(from: from, count: sizes[index])
    }
  }

  func setFinalGradients(_ execution: Execution<S>) {
    for (index, slot) in execution.states.enumerated() {
      slot.finalGradient?.update(from: gradients[index], count: sizes[index])
    }
  }
}
