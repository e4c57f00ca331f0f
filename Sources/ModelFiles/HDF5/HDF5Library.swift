import CHDF5
import LSTM

/// libhdf5, opened when the first file is.
///
/// Builds of libhdf5 need not be thread-safe, and its error stack is shared state: everything that
/// touches it runs inside ``session(_:)``, one thread at a time. No object of this folder may
/// leave the session in which it was made.
final class HDF5Library: @unchecked Sendable {
  let functions: HDF5Functions
  /// Version and file name, for people.
  let identity: String
  let fileAccess, datasetCreation: hid_t
  let nativeFloat, nativeDouble, nativeInt64, nativeUInt16, nativeUInt8: hid_t
  let float32, float64, int64, uint16, int8, cString: hid_t
  /// Among the reasons of errors: no memory.
  private let noSpace: hid_t

  nonisolated(unsafe) private static var loaded: HDF5Library?

  /// libhdf5 1.10 does not survive a lack of memory: it forgets its default properties, crashes, or
  /// calls `exit`. It is not entered unless so many bytes can be had.
  private static let workingMemory = 8 << 20

  /// Runs `body` with the library, alone, with libhdf5's printing of errors and its loading of
  /// plug-ins off; both are as before when it returns.
  static func session<Result>(
    _ body: (HDF5Library) throws(EngineError) -> Result
  ) throws(EngineError) -> Result {
    try Lock.files.withLock { () throws(EngineError) -> Result in
      try Memory.require(bytes: workingMemory)
      if loaded == nil { loaded = try HDF5Library() }
      guard let library = loaded else { throw EngineError(.library, "libhdf5 is not open") }
      let functions = library.functions
      var handler: HDF5Functions.ErrorHandler?
      var handlerData: UnsafeMutableRawPointer?
      _ = functions.getErrorHandler(hid_t(0), &handler, &handlerData)
      _ = functions.setErrorHandler(hid_t(0), nil, nil)
      var pluginState: UInt32 = 0
      _ = functions.getPluginState(&pluginState)
      _ = functions.setPluginState(0)
      defer {
        _ = functions.setPluginState(pluginState)
        _ = functions.setErrorHandler(hid_t(0), handler, handlerData)
      }
      return try body(library)
    }
  }

  private init() throws(EngineError) {
    let library = try DynamicLibrary(
      candidates: [
        "libhdf5_serial.so.103", "libhdf5.so.103", "libhdf5.so.200", "libhdf5.so.310",
        "libhdf5.so.320", "libhdf5_serial.so.310", "libhdf5.so", "libhdf5_serial.so",
        "libhdf5.dylib",
      ],
      purpose: "libhdf5 (Debian: libhdf5-103-1 or libhdf5-dev)", override: "CAROUSEL_HDF5")
    functions = try HDF5Functions(library)
    guard functions.open() >= 0 else {
      throw EngineError(.library, "\(library.name): H5open failed")
    }
    var version: (major: UInt32, minor: UInt32, release: UInt32) = (0, 0, 0)
    _ = functions.version(&version.major, &version.minor, &version.release)
    identity = "\(version.major).\(version.minor).\(version.release) (\(library.name))"
    // hid_t has 64 bits since 1.10.
    guard version.major > 1 || version.minor >= 10 else {
      throw EngineError(.library, "libhdf5 is \(identity); 1.10 or later is needed")
    }
    fileAccess = try library.global("H5P_CLS_FILE_ACCESS_ID_g", as: hid_t.self)
    datasetCreation = try library.global("H5P_CLS_DATASET_CREATE_ID_g", as: hid_t.self)
    nativeFloat = try library.global("H5T_NATIVE_FLOAT_g", as: hid_t.self)
    nativeDouble = try library.global("H5T_NATIVE_DOUBLE_g", as: hid_t.self)
    nativeInt64 = try library.global("H5T_NATIVE_INT64_g", as: hid_t.self)
    nativeUInt16 = try library.global("H5T_NATIVE_UINT16_g", as: hid_t.self)
    nativeUInt8 = try library.global("H5T_NATIVE_UINT8_g", as: hid_t.self)
    float32 = try library.global("H5T_IEEE_F32LE_g", as: hid_t.self)
    float64 = try library.global("H5T_IEEE_F64LE_g", as: hid_t.self)
    int64 = try library.global("H5T_STD_I64LE_g", as: hid_t.self)
    uint16 = try library.global("H5T_STD_U16LE_g", as: hid_t.self)
    int8 = try library.global("H5T_STD_I8LE_g", as: hid_t.self)
    cString = try library.global("H5T_C_S1_g", as: hid_t.self)
    noSpace = try library.global("H5E_NOSPACE_g", as: hid_t.self)
  }

  /// An error of libhdf5, with the innermost entry of its error stack as the reason; `.outOfMemory`
  /// if that is what an entry says, or if there was no memory for an entry.
  func failure(_ what: String, code: EngineError.Code = .format) -> EngineError {
    final class Reason {
      var text = ""
      var isLackOfMemory = false
      let noSpace: hid_t
      init(noSpace: hid_t) { self.noSpace = noSpace }
    }
    let reason = Reason(noSpace: noSpace)
    let walker: HDF5Functions.ErrorWalker = { _, entry, context in
      guard let entry, let context, let text = entry.pointee.desc else { return 0 }
      let reason = Unmanaged<Reason>.fromOpaque(context).takeUnretainedValue()
      if reason.text.isEmpty { reason.text = String(cString: text) }
      if entry.pointee.min_num == reason.noSpace { reason.isLackOfMemory = true }
      return 0
    }
    // 0: H5E_WALK_UPWARD, from the innermost error to the API function.
    withExtendedLifetime(reason) {
      _ = functions.walkErrors(0, 0, walker, Unmanaged.passUnretained(reason).toOpaque())
    }
    _ = functions.clearErrors(0)
    if reason.text.hasPrefix("bad version number") {
      reason.text +=
        "; perhaps a newer HDF5 than the one installed here wrote it: write it anew without "
      reason.text += "libver=\"latest\", or install that HDF5"
    }
    guard !reason.text.isEmpty else { return EngineError(.outOfMemory, what) }
    return EngineError(
      reason.isLackOfMemory ? .outOfMemory : code, "\(what) (HDF5: \(reason.text))")
  }

  /// Takes ownership of an identifier that libhdf5 returned.
  func own(
    _ id: hid_t, closedBy close: @escaping HDF5Functions.Close,
    orFailWith what: @autoclosure () -> String
  ) throws(EngineError) -> HDF5Handle {
    guard id >= 0 else { throw failure(what()) }
    return HDF5Handle(id: id, close: close)
  }
}

/// An identifier of libhdf5 that is closed when the last reference to it goes.
///
/// libhdf5 writes in closing, too: a dataset's last values, a file's header. A failure to close is noted,
/// for whoever writes a file to ask in the end.
final class HDF5Handle {
  /// Failures since the process began; changes within a session only.
  private(set) nonisolated(unsafe) static var failureCount = 0

  let id: hid_t
  private let close: HDF5Functions.Close

  init(id: hid_t, close: @escaping HDF5Functions.Close) {
    self.id = id
    self.close = close
  }

  deinit { if close(id) < 0 { HDF5Handle.failureCount += 1 } }
}
