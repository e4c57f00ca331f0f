import CPlatform
import Glibc
import LSTM
import Synchronization

/// What a handle stands for.
enum HandleKind: UInt32 {
  // Not small numbers, so that a stray write is not taken for one of them.
  case network = 0x6E65_7477
  case stream = 0x7374_7265
  case builder = 0x6275_696C
  case tape = 0x7461_7065
  case trainer = 0x7472_6169

  var name: StaticString {
    switch self {
    case .network: "carousel_network"
    case .stream: "carousel_stream"
    case .builder: "carousel_builder"
    case .tape: "carousel_tape"
    case .trainer: "carousel_trainer"
    }
  }
}

/// The handles that callers hold: addresses of slots in one reserved range of memory that is never
/// given back. So anything a caller passes can be judged by its value alone: an address outside the range is no
/// handle and is never followed; inside it, the slot says what it is or that it was freed.
enum HandlePool {
  private struct Slot {
    /// A `HandleKind`, `freed`, or 0 if it was never used.
    var kind: UInt32
    /// Next slot in the queue of freed ones, 0: none.
    var next: UInt32
    var object: UnsafeMutableRawPointer?
  }

  private static let freed: UInt32 = 0xDEAD_F4EE
  /// Handles that can exist at once; each takes 16 bytes of address space, and of memory once used.
  private static let capacity = 1 << 20
  /// Freed slots wait until so many others are free, so that a stale handle stays recognisable.
  private static let quarantine = 4096

  /// Address of slot 0, 0 before the first handle. Read without the lock.
  private static let base = Atomic<UInt>(0)

  private struct State {
    /// Slot 0 is never used: 0 means "none".
    var used: UInt32 = 1
    var oldestFreed: UInt32 = 0
    var newestFreed: UInt32 = 0
    var freedCount = 0
  }
  /// Behind the lock.
  nonisolated(unsafe) private static var state = State()

  private static func withLock<Result>(_ body: () -> Result) -> Result {
    carousel_platform_lock(CAROUSEL_LOCK_HANDLES)
    defer { carousel_platform_unlock(CAROUSEL_LOCK_HANDLES) }
    return body()
  }

  /// A handle for an object, which it keeps alive.
  static func insert(_ object: AnyObject, _ kind: HandleKind) throws(EngineError) -> OpaquePointer {
    let slot = withLock { () -> UnsafeMutablePointer<Slot>? in
      guard let slots = reserved() else { return nil }
      if state.freedCount > quarantine || Int(state.used) == capacity {
        let index = state.oldestFreed
        guard index != 0 else { return nil }
        state.oldestFreed = slots[Int(index)].next
        if state.oldestFreed == 0 { state.newestFreed = 0 }
        state.freedCount -= 1
        return slots + Int(index)
      }
      state.used += 1
      return slots + Int(state.used - 1)
    }
    guard let slot else {
      throw EngineError(.outOfMemory, "no more handles: there are \(capacity - 1) already")
    }
    slot.pointee.object = Unmanaged.passRetained(object).toOpaque()
    slot.pointee.kind = kind.rawValue
    return OpaquePointer(slot)
  }

  /// The object of a handle, without a new reference to it.
  @inline(__always)
  static func object<Object: AnyObject>(
    _ handle: OpaquePointer?, _ kind: HandleKind, as type: Object.Type, _ name: StaticString
  ) throws(EngineError) -> Unmanaged<Object> {
    guard let slot = slot(handle), slot.pointee.kind == kind.rawValue,
      let object = slot.pointee.object
    else { throw refusal(of: handle, kind, name) }
    return Unmanaged<Object>.fromOpaque(object)
  }

  /// Ends a handle. NULL is legal; anything that is no live handle of the kind is reported.
  static func remove(
    _ handle: OpaquePointer?, _ kind: HandleKind, _ name: StaticString
  ) throws(EngineError) {
    guard handle != nil else { return }
    let address = withLock { () -> UInt in
      guard let slot = slot(handle), slot.pointee.kind == kind.rawValue,
        let slots = reserved()
      else { return 0 }
      let object = UInt(bitPattern: slot.pointee.object)
      slot.pointee = Slot(kind: freed, next: 0, object: nil)
      let index = UInt32(slot - slots)
      if state.newestFreed == 0 {
        state.oldestFreed = index
      } else {
        slots[Int(state.newestFreed)].next = index
      }
      state.newestFreed = index
      state.freedCount += 1
      return object
    }
    guard let object = UnsafeMutableRawPointer(bitPattern: address) else {
      throw refusal(of: handle, kind, name)
    }
    Unmanaged<AnyObject>.fromOpaque(object).release()
  }

  /// The slot at an address, nil if there is none.
  @inline(__always)
  private static func slot(_ handle: OpaquePointer?) -> UnsafeMutablePointer<Slot>? {
    let first = base.load(ordering: .acquiring)
    let address = UInt(bitPattern: handle)
    let distance = address &- first
    guard first != 0, distance < UInt(capacity * MemoryLayout<Slot>.stride),
      distance % UInt(MemoryLayout<Slot>.stride) == 0
    else { return nil }
    return UnsafeMutablePointer(bitPattern: address)
  }

  /// Slot 0 of the range, which is reserved on first use; nil if the system refuses. Under the lock.
  private static func reserved() -> UnsafeMutablePointer<Slot>? {
    let present = base.load(ordering: .relaxed)
    if present != 0 { return UnsafeMutablePointer(bitPattern: present) }
    // Pages are zero and take no memory until they are written to.
    let memory = mmap(
      nil, capacity * MemoryLayout<Slot>.stride, PROT_READ | PROT_WRITE,
      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    guard let memory, memory != MAP_FAILED else { return nil }
    base.store(UInt(bitPattern: memory), ordering: .releasing)
    return memory.assumingMemoryBound(to: Slot.self)
  }

  @inline(never)
  private static func refusal(
    of handle: OpaquePointer?, _ kind: HandleKind, _ name: StaticString
  ) -> EngineError {
    guard handle != nil else { return Argument.isNull(name) }
    let found =
      switch slot(handle)?.pointee.kind {
      case freed: "was freed before"
      case let other?:
        HandleKind(rawValue: other).map { "is a \($0.name)" } ?? "is no handle"
      case nil: "is no handle"
      }
    return EngineError(.invalidArgument, "\(name) \(found), expected a \(kind.name)")
  }
}
