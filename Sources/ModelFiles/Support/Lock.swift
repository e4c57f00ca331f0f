import CPlatform

/// One of the process's locks, which `fork` leaves in order.
struct Lock {
  private let lock: carousel_lock

  static let files = Lock(lock: CAROUSEL_LOCK_FILES)
  static let zip = Lock(lock: CAROUSEL_LOCK_ZIP)

  func withLock<Result, Failure: Error>(
    _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    carousel_platform_lock(lock)
    defer { carousel_platform_unlock(lock) }
    return try body()
  }
}
