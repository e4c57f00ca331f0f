/// Recurrent layers that lie on each other. Threads may take a layer each: layer l walks over some steps while
/// layer l + 1 walks over those before them, or in the opposite direction on the way back (a wavefront), so that the
/// threads meet once for many steps.
///
/// It is the way for sequences at batch 1 whose layers are too small to divide a step's units. A core then also
/// keeps the weights of its layers in its nearest caches, and not a share of each.
final class RecurrentStack<S: Scalar>: ParallelWork {
  /// From the lowest to the highest.
  private let runs: [RecurrentRun<S>]
  private let context: RunContext
  private let steps: Int
  /// Steps that a layer walks over before the threads meet; on the way back, steps whose gradients are one product.
  private let block: Int
  private let backwardBlock: Int
  private var goesBack = false

  /// Blocks should be many, since the highest layer waits while the lowest works on the first; and long, since the
  /// threads meet after each: some ten microseconds in units of a multiplication.
  private static var mostBlocks: Int { 48 }
  private static var leastWork: Double { 2e5 }
  /// Rows of a product that are whole tiles in every instruction set.
  private static var tileRows: Int { 12 }
  /// Rows of an outer product that are worth reading and writing its sums.
  private static var outerRows: Int { 64 }
  /// What meeting after each step costs, in multiplications.
  private static var meetingWork: Double { 2.5e4 }
  private static var leastGain: Double { 0.95 }

  init(_ runs: [RecurrentRun<S>]) {
    let frame = runs[0].direction.frame
    self.runs = runs
    context = frame.plan.context
    steps = frame.steps
    let work = runs.map { $0.direction.splitSize.work }.max() ?? 0
    let least = Int(min(RecurrentStack.leastWork / max(work, 1), Double(frame.steps)))
    let rows = RecurrentStack.tileRows
    block = (max(least, frame.steps / RecurrentStack.mostBlocks, 1) + rows - 1) / rows * rows
    let sums = frame.sums
    let outer = (RecurrentStack.outerRows + frame.batch - 1) / frame.batch
    backwardBlock = sums.descends ? min(max(block, outer), sums.block) : sums.block
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  func forward() {
    guard sharesLayers(blocks: blocks(of: block)) else {
      for run in runs { run.forward() }
      return
    }
    for run in runs { run.beginForward() }
    goesBack = false
    performInParallel(min(context.threads, runs.count))
    for run in runs { run.endForward() }
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  func backward() {
    guard sharesLayers(blocks: blocks(of: backwardBlock)) else {
      for run in runs.reversed() { run.backward() }
      return
    }
    for run in runs { run.beginBackward() }
    goesBack = true
    performInParallel(min(context.threads, runs.count))
    for run in runs.reversed() { run.endBackward() }
  }

  private func blocks(of length: Int) -> Int { (steps + length - 1) / length }

  /// Compares the work on the busiest thread with that of layers one after another.
  func sharesLayers(blocks: Int) -> Bool {
    let parts = min(context.threads, ThreadPool.shared.limit, runs.count)
    guard parts > 1, runs.contains(where: { $0.direction.splitSize.isWorthwhile }) else {
      return false
    }
    var alone = 0.0
    var busiest = 0.0
    for part in 0..<parts {
      var share = 0.0
      for layer in stride(from: part, to: runs.count, by: parts) {
        let direction = runs[layer].direction
        let work = direction.splitSize.work
        share += work
        switch direction.split {
        case .none: alone += work
        case .units(let parts) where direction.splitSize.isNear:
          alone += work / Double(parts) + RecurrentStack.meetingWork
        // Divided, each core's cache holds more of what a layer reads in each step.
        case .units, .rows: return false
        }
      }
      busiest = max(busiest, share)
    }
    let waves = blocks + runs.count - 1
    return busiest * Double(waves) < RecurrentStack.leastGain * alone * Double(blocks)
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func perform(part: Int, of parts: Int) {
    let length = goesBack ? backwardBlock : block
    let blocks = blocks(of: length)
    for wave in 0..<blocks + runs.count - 1 {
      for layer in stride(from: part, to: runs.count, by: parts) {
        let run = runs[layer]
        let behind = goesBack ? runs.count - 1 - layer : layer
        guard 0..<blocks ~= wave - behind else { continue }
        let number = goesBack ? blocks - 1 - (wave - behind) : wave - behind
        let some = number * length..<min((number + 1) * length, steps)
        if goesBack { run.walkBack(some) } else { run.walk(some) }
      }
      ThreadPool.shared.synchronize(parts)
    }
  }
}
