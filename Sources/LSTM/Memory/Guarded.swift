import CPlatform

/// A value behind the process's lock for such values, for objects that are shared by intent. Bodies are
/// short and take no other `Guarded`. (A `Mutex` would not survive `fork`, and would ask that what goes in
/// and out be `Sendable`; here the owner answers for it.)
final class Guarded<Value>: @unchecked Sendable {
  private nonisolated(unsafe) var value: Value

  init(_ value: Value) { self.value = value }

  func withLock<Result>(_ body: (inout Value) -> Result) -> Result {
    carousel_platform_lock(CAROUSEL_LOCK_CACHES)
    defer { carousel_platform_unlock(CAROUSEL_LOCK_CACHES) }
    return body(&value)
  }
}
