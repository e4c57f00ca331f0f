import CCarousel
import CStatus
import LSTM
import ModelFiles

extension StaticString {
  /// The text as a C string; literals end with NUL.
  var cString: UnsafePointer<CChar> {
    UnsafeRawPointer(utf8Start).assumingMemoryBound(to: CChar.self)
  }
}

@_cdecl("carousel_version_number") @implementation
public func carousel_version_number() -> Int32 {
  CAROUSEL_VERSION_MAJOR * 10000 + CAROUSEL_VERSION_MINOR * 100 + CAROUSEL_VERSION_PATCH
}

@_cdecl("carousel_version_string") @implementation
public func carousel_version_string() -> UnsafePointer<CChar>? {
  ("1.0.0" as StaticString).cString
}

@_cdecl("carousel_build_info") @implementation
public func carousel_build_info(
  _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ length: UnsafeMutablePointer<Int>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let output = try TextOutput(buffer, capacity, length)
    let available = InstructionSet.supported.map(\.rawValue).joined(separator: ", ")
    try output.write(
      """
      version: \(CAROUSEL_VERSION_STRING)
      compiler: Swift \(swiftVersion), C \(String(cString: carousel_compiler()))
      instruction set: \(KernelDispatch.instructionSet.rawValue)
      instruction sets available: \(available)
      threads: \(Settings.threads)
      libhdf5: \(LibraryReport.hdf5())
      libzip: \(LibraryReport.zip())

      """)
  }
}

private var swiftVersion: String {
  #if compiler(>=6.4)
    "6.4 or later"
  #elseif compiler(>=6.3)
    "6.3"
  #else
    "6.2"
  #endif
}
