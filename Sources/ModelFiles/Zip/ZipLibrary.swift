import CZip
import LSTM

/// libzip, opened when the first archive is.
final class ZipLibrary: @unchecked Sendable {
  typealias Archive = OpaquePointer
  typealias File = OpaquePointer

  /// Version and file name, for people.
  let identity: String
  let open: @convention(c) (UnsafePointer<CChar>, Int32, UnsafeMutablePointer<Int32>?) -> Archive?
  let close: @convention(c) (Archive) -> Int32
  let discard: @convention(c) (Archive) -> Void
  let message: @convention(c) (Archive) -> UnsafePointer<CChar>?
  /// Why the last call on an archive failed: one of libzip's numbers.
  private let lastError: @convention(c) (Archive) -> OpaquePointer
  private let errorNumber: @convention(c) (OpaquePointer) -> Int32
  let locate: @convention(c) (Archive, UnsafePointer<CChar>, UInt32) -> Int64
  let entryCount: @convention(c) (Archive, UInt32) -> Int64
  let status: @convention(c) (Archive, UInt64, UInt32, UnsafeMutablePointer<zip_stat_t>) -> Int32
  let openFile: @convention(c) (Archive, UInt64, UInt32) -> File?
  let read: @convention(c) (File, UnsafeMutableRawPointer, UInt64) -> Int64
  let closeFile: @convention(c) (File) -> Int32
  let makeSource: @convention(c) (Archive, UnsafeRawPointer?, UInt64, Int32) -> OpaquePointer?
  let makeSourceOfItsOwn:
    @convention(c) (
      UnsafeRawPointer?, UInt64, Int32, UnsafeMutablePointer<zip_error_t>?
    ) -> OpaquePointer?
  let openSource:
    @convention(c) (OpaquePointer, UInt32, UnsafeMutablePointer<zip_error_t>?) -> Archive?
  let freeSource: @convention(c) (OpaquePointer) -> Void
  let add: @convention(c) (Archive, UnsafePointer<CChar>, OpaquePointer, UInt32) -> Int64
  let setCompression: @convention(c) (Archive, UInt64, Int32, UInt32) -> Int32
  // An archive in memory.
  let keepSource: @convention(c) (OpaquePointer) -> Void
  let sourceStatus: @convention(c) (OpaquePointer, UnsafeMutablePointer<zip_stat_t>) -> Int32
  let openForReading: @convention(c) (OpaquePointer) -> Int32
  let readSource: @convention(c) (OpaquePointer, UnsafeMutableRawPointer, UInt64) -> Int64
  let closeForReading: @convention(c) (OpaquePointer) -> Int32
  let setTime: (@convention(c) (Archive, UInt64, Int, UInt32) -> Int32)?

  nonisolated(unsafe) private static var loaded: ZipLibrary?

  static func shared() throws(EngineError) -> ZipLibrary {
    try Lock.zip.withLock { () throws(EngineError) -> ZipLibrary in
      if let loaded { return loaded }
      let library = try ZipLibrary()
      loaded = library
      return library
    }
  }

  private init() throws(EngineError) {
    let library = try DynamicLibrary(
      candidates: ["libzip.so.5", "libzip.so.4", "libzip.so", "libzip.dylib"],
      purpose: "libzip (Debian: libzip4 or libzip-dev)", override: "CAROUSEL_ZIP")
    let version: (@convention(c) () -> UnsafePointer<CChar>?)? =
      library.optionalFunction("zip_libzip_version")
    let text = version?().map { String(cString: $0) } ?? "of unknown version"
    identity = "\(text) (\(library.name))"
    open = try library.function("zip_open")
    close = try library.function("zip_close")
    discard = try library.function("zip_discard")
    message = try library.function("zip_strerror")
    lastError = try library.function("zip_get_error")
    errorNumber = try library.function("zip_error_code_zip")
    locate = try library.function("zip_name_locate")
    entryCount = try library.function("zip_get_num_entries")
    status = try library.function("zip_stat_index")
    openFile = try library.function("zip_fopen_index")
    read = try library.function("zip_fread")
    closeFile = try library.function("zip_fclose")
    makeSource = try library.function("zip_source_buffer")
    makeSourceOfItsOwn = try library.function("zip_source_buffer_create")
    openSource = try library.function("zip_open_from_source")
    freeSource = try library.function("zip_source_free")
    add = try library.function("zip_file_add")
    setCompression = try library.function("zip_set_file_compression")
    keepSource = try library.function("zip_source_keep")
    sourceStatus = try library.function("zip_source_stat")
    openForReading = try library.function("zip_source_open")
    readSource = try library.function("zip_source_read")
    closeForReading = try library.function("zip_source_close")
    setTime = library.optionalFunction("zip_file_set_mtime")
  }

  func failure(_ what: String, _ archive: Archive, code: EngineError.Code) -> EngineError {
    let reason = message(archive).map { String(cString: $0) } ?? "unknown error"
    let isLackOfMemory = errorNumber(lastError(archive)) == ZIP_ER_MEMORY
    return EngineError(isLackOfMemory ? .outOfMemory : code, "\(what) (\(reason))")
  }
}
