import Glibc
import LSTM

/// A shared library that is opened when it is first needed, and stays open.
///
/// libhdf5 brings some 35 libraries with it; a program that only computes should not pay for them.
struct DynamicLibrary: @unchecked Sendable {
  let name: String
  private let handle: UnsafeMutableRawPointer

  /// Opens the first of `candidates` that the dynamic linker finds.
  ///
  /// - Parameters:
  ///   - purpose: what the library is and how to install it, for the error message.
  ///   - override: environment variable that names the library to take instead.
  init(candidates: [String], purpose: String, override: String) throws(EngineError) {
    var tried = candidates
    if let path = getenv(override) { tried = [String(cString: path)] }
    var reason = ""
    for candidate in tried {
      // RTLD_LOCAL: another libhdf5 in the process (h5py has its own) must not see this one. RTLD_LAZY: libhdf5 and
      // what it brings have some 3,100 functions to look up, few of which a file needs.
      if let handle = dlopen(candidate, RTLD_LAZY | RTLD_LOCAL) {
        name = candidate
        self.handle = handle
        return
      }
      if reason.isEmpty, let text = dlerror() { reason = String(cString: text) }
    }
    throw EngineError(
      .library,
      "\(purpose) could not be opened; tried \(tried.joined(separator: ", ")) (\(reason)). "
        + "Set \(override) to the path of another one")
  }

  /// The first symbol of `names` that exists, as a C function pointer of type `Function`.
  func function<Function>(_ names: String...) throws(EngineError) -> Function {
    for name in names {
      if let symbol = dlsym(handle, name) { return unsafeBitCast(symbol, to: Function.self) }
    }
    throw missing(names[0])
  }

  /// As ``function(_:)``, nil if the library is too old (or new) to have it.
  func optionalFunction<Function>(_ name: String) -> Function? {
    guard let symbol = dlsym(handle, name) else { return nil }
    return unsafeBitCast(symbol, to: Function.self)
  }

  /// The value of a global variable.
  func global<Value>(_ name: String, as type: Value.Type) throws(EngineError) -> Value {
    guard let symbol = dlsym(handle, name) else { throw missing(name) }
    return symbol.load(as: type)
  }

  private func missing(_ symbol: String) -> EngineError {
    EngineError(.library, "\(name) lacks the symbol \(symbol): it is too old, or another library")
  }
}
