import CPlatform
import Glibc
import Synchronization
import Testing

@testable import LSTM

@Suite(.serialized) struct ThreadPoolTests {
  /// One cell per part, so that a part that ran twice or never shows.
  struct Counts {
    var calls = (0...255).map { _ in 0 }
    var parts = 0
  }

  static func count(_ wanted: Int, independent: Bool = false) -> Counts {
    var counts = Counts()
    let mutex = Guarded(())
    struct Context {
      var counts: UnsafeMutablePointer<Counts>
      var mutex: Unmanaged<Guarded<Void>>
    }
    withUnsafeMutablePointer(to: &counts) { pointer in
      var context = Context(counts: pointer, mutex: .passUnretained(mutex))
      ThreadPool.shared.run(parts: wanted, independent: independent, &context) {
        raw, part, parts in
        let context = raw.assumingMemoryBound(to: Context.self)
        context.pointee.mutex.takeUnretainedValue().withLock { _ in
          context.pointee.counts.pointee.calls[part] += 1
          context.pointee.counts.pointee.parts = parts
        }
      }
    }
    return counts
  }

  @Test(arguments: [false, true])
  func everyPartRunsOnce(_ independent: Bool) {
    for wanted in [1, 2, 3, 7, 300] {
      for round in 0..<200 {
        // Both kinds in turn: a worker that comes late for one must not take the other for it.
        let counts = Self.count(wanted, independent: independent != (round % 3 == 2))
        #expect(counts.parts <= min(wanted, ThreadPool.shared.limit) && counts.parts >= 1)
        #expect(counts.calls.prefix(counts.parts).allSatisfy { $0 == 1 })
        #expect(counts.calls.dropFirst(counts.parts).allSatisfy { $0 == 0 })
      }
    }
  }

  @Test func aTaskInsideATaskRunsAlone() {
    struct Context { var inner = 0 }
    var context = Context()
    ThreadPool.shared.run(parts: 2, &context) { raw, part, parts in
      if part == 0 {
        ThreadPool.shared.run(parts: 2, raw) { raw, part, parts in
          raw.assumingMemoryBound(to: Context.self).pointee.inner = parts
        }
      }
    }
    // With one processor neither task is split, and the inner one is then the outer's equal.
    #expect(context.inner == 1)
  }

  /// Part by part, each step reads what all parts wrote in the step before.
  @Test func synchronizeSeparatesSteps() {
    struct Context {
      var values: UnsafeMutablePointer<Int>
      var failures: Int = 0
    }
    let values = UnsafeMutablePointer<Int>.allocate(capacity: 16)
    values.initialize(repeating: 0, count: 16)
    defer { values.deallocate() }
    for _ in 0..<20 {
      values.update(repeating: 0, count: 16)
      var context = Context(values: values)
      ThreadPool.shared.run(parts: 4, &context) { raw, part, parts in
        let context = raw.assumingMemoryBound(to: Context.self)
        for step in 1...500 {
          context.pointee.values[part] = step
          ThreadPool.shared.synchronize(parts)
          for other in 0..<parts where context.pointee.values[other] != step {
            context.pointee.failures += 1
          }
          ThreadPool.shared.synchronize(parts)
        }
      }
      #expect(context.failures == 0)
    }
  }

  @Test func severalCallersDoNotHang() async {
    await withTaskGroup(of: Bool.self) { group in
      for _ in 0..<4 {
        group.addTask {
          for _ in 0..<300 {
            let counts = Self.count(2)
            if !counts.calls.prefix(counts.parts).allSatisfy({ $0 == 1 }) { return false }
          }
          return true
        }
      }
      for await success in group { #expect(success) }
    }
  }

  @Test func sleepingWorkersWakeUp() {
    for _ in 0..<5 {
      usleep(20_000)
      #expect(Self.count(2).calls[0] == 1)
      usleep(20_000)
      let counts = Self.count(2, independent: true)
      #expect(counts.calls.prefix(counts.parts).allSatisfy { $0 == 1 })
    }
  }

  /// How a worker gets out of the way of the thread that starts tasks.
  @Test func aThreadLeavesAProcessorAndMayComeBack() {
    let count = carousel_processor_count()
    var left = 0
    for _ in 0..<50 {
      let processor = carousel_current_processor()
      let moved = carousel_leave_processor(processor) == 1
      #expect(moved == (count > 1))
      // The scheduler may move it at any time, but hardly each time.
      if carousel_current_processor() != processor { left += 1 }
      #expect(carousel_processor_count() == count)
    }
    #expect(count > 1 ? left >= 40 : left == 0)
    #expect(carousel_leave_processor(-1) == 0)
  }

  /// The child of a fork has no workers, and makes its own.
  @Test func worksInTheChildOfAFork() async {
    await #expect(processExitsWith: .success) {
      typealias Fork = @convention(c) () -> Int32
      guard let symbol = dlsym(nil, "fork"), ThreadPoolTests.count(2).calls[0] == 1 else {
        exit(2)
      }
      // Swift hides fork, since most of its own runtime does not survive it; hosts call it all the same.
      let child = unsafeBitCast(symbol, to: Fork.self)()
      if child == 0 {
        alarm(20)
        for _ in 0..<50 {
          let counts = ThreadPoolTests.count(2)
          guard counts.calls.prefix(counts.parts).allSatisfy({ $0 == 1 }) else { _exit(1) }
          guard counts.parts == min(2, ThreadPool.shared.limit) else { _exit(3) }
        }
        _exit(0)
      }
      var status: Int32 = -1
      waitpid(child, &status, 0)
      exit(status == 0 ? 0 : 1)
    }
  }
}
