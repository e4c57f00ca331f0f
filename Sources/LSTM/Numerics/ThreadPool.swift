import CPlatform
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// A few worker threads that the whole process shares; made when they are first needed.
///
/// A task is a C function that is called once for each part; part 0 runs on the calling thread. The
/// number of parts is decided when it starts, and may be 1: if the processor has no second core for
/// this process, if another thread is using the pool, or inside a task. A task must therefore
/// split its work by the `parts` it is told, and, as everywhere in Carousel, no result may depend on
/// it. Starting a task allocates nothing once the workers exist.
///
/// After `fork` the child has no workers; it makes new ones when it needs them.
public final class ThreadPool: @unchecked Sendable {
  /// `context` is what was given to `run`; `part` is in `0 ..< parts`.
  public typealias Task =
    @convention(c) (_ context: UnsafeMutableRawPointer, _ part: Int, _ parts: Int) -> Void

  public static let shared = ThreadPool()

  /// Parts that a task can have: processors that this process may run on.
  public let limit: Int

  /// What the workers wait for: a count of tasks, whether the parts of the latest are independent, and in the
  /// low bits how many there are.
  private let latest = Atomic<UInt>(0)
  private static let partBits: UInt = 8
  private static let independentBit: UInt = 1 << partBits
  private static let countUnit: UInt = independentBit << 1
  /// For each part the latest task with independent parts in which somebody has begun it, by its count. A cache line for each.
  private let begun: UnsafeMutablePointer<Atomic<UInt>>
  private static let begunStride = 8
  /// The processor that the latest task was started on.
  private let starter = Atomic<Int32>(-1)

  private let isBusy = Atomic<Bool>(false)
  private let unfinished = Atomic<Int>(0)
  private let sleepers = Atomic<Int>(0)
  /// Of ``synchronize(_:)``.
  private let arrived = Atomic<Int>(0)
  private let phase = Atomic<UInt>(0)

  /// Written while `isBusy` is held.
  private var task: Task?
  private var context: UnsafeMutableRawPointer?
  private var workers = 0
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let wake: UnsafeMutablePointer<pthread_cond_t>

  private init() {
    limit = min(Int(carousel_processor_count()), 1 << ThreadPool.partBits - 1)
    // Small objects that live as long as the process.
    begun = .allocate(capacity: limit * ThreadPool.begunStride)
    for part in 0..<limit { (begun + part * ThreadPool.begunStride).initialize(to: Atomic(0)) }
    mutex = .allocate(capacity: 1)
    wake = .allocate(capacity: 1)
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(wake, nil)
    pthread_atfork(nil, nil) { ThreadPool.shared.forgetWorkers() }
  }

  /// Calls `task` for every part of at most `parts` and returns when all have returned.
  /// - Parameter independent: no part waits for another (``synchronize(_:)``). The calling thread then runs those
  ///   that their workers have not begun by the time it is free: one that sleeps costs a call, not a wait. A part is
  ///   the same worker's in each task, and its data near that one's caches.
  public func run(
    parts wanted: Int, independent: Bool = false, _ context: UnsafeMutableRawPointer, _ task: Task
  ) {
    guard wanted > 1, limit > 1,
      isBusy.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged
    else { return task(context, 0, 1) }
    defer { isBusy.store(false, ordering: .releasing) }

    let parts = prepareWorkers(min(wanted, limit))
    guard parts > 1 else { return task(context, 0, 1) }
    self.task = task
    self.context = context
    arrived.store(0, ordering: .relaxed)
    unfinished.store(parts - 1, ordering: .relaxed)
    var next = (latest.load(ordering: .relaxed) / ThreadPool.countUnit &+ 1) &* ThreadPool.countUnit
    next |= UInt(parts) | (independent ? ThreadPool.independentBit : 0)
    starter.store(carousel_current_processor(), ordering: .relaxed)
    latest.store(next, ordering: .sequentiallyConsistent)
    if sleepers.load(ordering: .sequentiallyConsistent) > 0 {
      pthread_mutex_lock(mutex)
      pthread_cond_broadcast(wake)
      pthread_mutex_unlock(mutex)
    }
    task(context, 0, parts)
    if independent {
      for part in 1..<parts where claim(part, of: next) {
        finish(part, of: parts, task, context)
      }
    }
    var spins = 0
    while unfinished.load(ordering: .acquiring) > 0 { ThreadPool.spin(&spins) }
  }

  /// Waits until all `parts` of the running task have called this. Costs some hundred nanoseconds:
  /// cheap enough to split the steps of a sequence.
  public func synchronize(_ parts: Int) {
    guard parts > 1 else { return }
    let seen = phase.load(ordering: .acquiring)
    if arrived.wrappingAdd(1, ordering: .acquiringAndReleasing).newValue == parts {
      arrived.store(0, ordering: .relaxed)
      phase.wrappingAdd(1, ordering: .releasing)
    } else {
      var spins = 0
      while phase.load(ordering: .acquiring) == seen { ThreadPool.spin(&spins) }
    }
  }

  /// Starts workers until there are enough for `parts`; returns how many parts there can be.
  private func prepareWorkers(_ parts: Int) -> Int {
    guard workers < parts - 1 else { return parts }
    // Signals are the business of the host's own threads: workers inherit a mask that blocks all.
    var all = sigset_t()
    var previous = sigset_t()
    sigfillset(&all)
    pthread_sigmask(SIG_SETMASK, &all, &previous)
    defer { pthread_sigmask(SIG_SETMASK, &previous, nil) }
    while workers < parts - 1 {
      let worker = Worker(
        pool: self, part: workers + 1, seen: latest.load(ordering: .relaxed))
      var thread = pthread_t()
      let argument = Unmanaged.passRetained(worker)
      let status = pthread_create(&thread, nil, { startWorker($0) }, argument.toOpaque())
      guard status == 0 else {
        argument.release()
        return workers + 1
      }
      pthread_detach(thread)
      workers += 1
    }
    return parts
  }

  fileprivate func work(as part: Int, after first: UInt) {
    var seen = first
    while true {
      seen = waitForTask(after: seen)
      // Whoever has no part in a task must not look at it: it may be over, the next being written.
      let parts = Int(seen & (1 << ThreadPool.partBits - 1))
      guard part < parts, seen & ThreadPool.independentBit == 0 || claim(part, of: seen),
        let task, let context
      else { continue }
      finish(part, of: parts, task, context)
    }
  }

  private func finish(
    _ part: Int, of parts: Int, _ task: Task, _ context: UnsafeMutableRawPointer
  ) {
    task(context, part, parts)
    unfinished.wrappingSubtract(1, ordering: .releasing)
  }

  /// True for one caller only: it has to run this part of a task with independent parts. False if somebody has begun
  /// it, and so if the task is over.
  private func claim(_ part: Int, of seen: UInt) -> Bool {
    let begun = begun + part * ThreadPool.begunStride
    let count = seen / ThreadPool.countUnit
    var current = begun.pointee.load(ordering: .acquiring)
    while current < count {
      let (done, now) = begun.pointee.compareExchange(
        expected: current, desired: count, ordering: .acquiring)
      if done { return true }
      current = now
    }
    return false
  }

  /// Spins for some tens of microseconds, then sleeps.
  private func waitForTask(after seen: UInt) -> UInt {
    // On the processor of the thread that starts tasks a worker keeps that from going on, and schedulers can leave both
    // there for a tenth of a second. Without another processor it does not spin.
    let processor = carousel_current_processor()
    let isInTheWay = processor >= 0 && processor == starter.load(ordering: .relaxed)
    let maySpin = !isInTheWay || carousel_leave_processor(processor) != 0
    for _ in 0..<(maySpin ? ThreadPool.spinLimit : 0) {
      let current = latest.load(ordering: .acquiring)
      if current != seen { return current }
      carousel_spin_hint()
    }
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    sleepers.wrappingAdd(1, ordering: .sequentiallyConsistent)
    defer { sleepers.wrappingSubtract(1, ordering: .relaxed) }
    while true {
      let current = latest.load(ordering: .sequentiallyConsistent)
      if current != seen { return current }
      pthread_cond_wait(wake, mutex)
    }
  }

  private static let spinLimit = 4000
  /// Some microseconds: parts that meet are rarely further apart, unless one does not run at all.
  private static let meetingSpinLimit = 200

  /// One turn of a wait for other parts. They may be waiting for this very processor: a new thread begins
  /// on that of its maker, and other programs crowd threads together.
  private static func spin(_ spins: inout Int) {
    spins += 1
    if spins < meetingSpinLimit { carousel_spin_hint() } else { sched_yield() }
  }

  /// In the child of a fork: only the forking thread has survived.
  private func forgetWorkers() {
    workers = 0
    sleepers.store(0, ordering: .relaxed)
    isBusy.store(false, ordering: .relaxed)
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(wake, nil)
  }
}

private final class Worker {
  let pool: ThreadPool
  let part: Int
  /// The latest task when the worker was made: the next is the first that concerns it.
  let seen: UInt

  init(pool: ThreadPool, part: Int, seen: UInt) {
    self.pool = pool
    self.part = part
    self.seen = seen
  }
}

private func startWorker(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  guard let argument else { return nil }
  let worker = Unmanaged<Worker>.fromOpaque(argument).takeRetainedValue()
  worker.pool.work(as: worker.part, after: worker.seen)
  return nil
}
