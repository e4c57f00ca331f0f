import Synchronization

/// A value behind a lock, for objects that are shared by intent. `Mutex` alone would ask that what
/// goes in and out be `Sendable`; here the owner answers for it.
final class Guarded<Value>: @unchecked Sendable {
  private let mutex = Mutex(())
  private nonisolated(unsafe) var value: Value

  init(_ value: Value) { self.value = value }

  func withLock<Result>(_ body: (inout Value) -> Result) -> Result {
    var result: Result?
    mutex.withLock { _ in result = body(&value) }
    return result.unsafelyUnwrapped
  }
}
