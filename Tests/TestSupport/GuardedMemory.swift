import Glibc

/// Zeroed memory that ends where a page begins that must not be touched: whoever reads or writes behind it ends the
/// tests.
public final class GuardedMemory {
  /// Where the memory begins: `byteCount` bytes before the page.
  public let start: UnsafeMutableRawPointer
  private let pages: UnsafeMutableRawPointer
  private let size: Int

  /// Errors of the system calls, as `errno`.
  public struct Failure: Error { public let code: Int32 }

  public init(byteCount: Int) throws {
    let page = sysconf(Int32(_SC_PAGESIZE))
    size = (byteCount + page - 1) / page * page + page
    guard let pages = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
      pages != MAP_FAILED
    else { throw Failure(code: errno) }
    self.pages = pages
    let end = pages + (size - page)
    start = end - byteCount
    guard mprotect(end, page, PROT_NONE) == 0 else { throw Failure(code: errno) }
  }

  deinit { munmap(pages, size) }
}
