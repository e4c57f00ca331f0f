import LSTM

/// The libraries that are opened on first use, for reports of how Carousel was built and what it
/// found. Asking opens them.
public enum LibraryReport {
  /// "1.10.8 (libhdf5_serial.so.103)", or why libhdf5 cannot be used.
  public static func hdf5() -> String {
    describe { () throws(EngineError) in try HDF5Library.session { $0.identity } }
  }

  /// "1.7.3 (libzip.so.4)", or why libzip cannot be used.
  public static func zip() -> String {
    describe { () throws(EngineError) in try ZipLibrary.shared().identity }
  }

  private static func describe(_ identity: () throws(EngineError) -> String) -> String {
    do throws(EngineError) { return try identity() } catch { return error.message }
  }
}
