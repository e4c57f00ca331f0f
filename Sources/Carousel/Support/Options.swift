import CCarousel
import Glibc
import LSTM

/// A struct of the header that begins with its own size.
protocol VersionedStruct {
  init()
  var struct_size: Int { get set }
}

extension carousel_load_options: VersionedStruct {}
extension carousel_weights_options: VersionedStruct {}
extension carousel_save_options: VersionedStruct {}
extension carousel_network_info: VersionedStruct {}
extension carousel_signal_info: VersionedStruct {}
extension carousel_layer_info: VersionedStruct {}
extension carousel_state_info: VersionedStruct {}
extension carousel_run_options: VersionedStruct {}
extension carousel_stream_info: VersionedStruct {}
extension carousel_input_options: VersionedStruct {}
extension carousel_dense_options: VersionedStruct {}
extension carousel_embedding_options: VersionedStruct {}
extension carousel_simple_rnn_options: VersionedStruct {}
extension carousel_lstm_options: VersionedStruct {}
extension carousel_gru_options: VersionedStruct {}
extension carousel_normalization_options: VersionedStruct {}
extension carousel_conv1d_options: VersionedStruct {}
extension carousel_pooling1d_options: VersionedStruct {}
extension carousel_parameter_info: VersionedStruct {}
extension carousel_record_options: VersionedStruct {}

/// Reading and writing structs that may be older (shorter) or newer (longer) than this library's.
enum Versioned {
  /// No struct of any version will be larger; a larger size is a forgotten initialisation.
  private static let largest = 4096

  /// The caller's options, completed with zeros; all zero for NULL.
  static func read<Options: VersionedStruct>(
    _ pointer: UnsafePointer<Options>?, _ name: StaticString
  ) throws(EngineError) -> Options {
    var options = Options()
    guard let pointer else { return options }
    let bytes = UnsafeRawPointer(pointer)
    let size = try checkedSize(bytes, name)
    let known = MemoryLayout<Options>.size
    if size > known {
      for offset in known..<size where bytes.load(fromByteOffset: offset, as: UInt8.self) != 0 {
        throw EngineError(
          .invalidArgument,
          "\(name)->struct_size is \(size), and byte \(offset) is set; this library knows "
            + "\(known) bytes: it is older than the program's header")
      }
    }
    withUnsafeMutableBytes(of: &options) { target in
      target.copyMemory(from: UnsafeRawBufferPointer(start: bytes, count: min(size, known)))
    }
    return options
  }

  /// As `read`, for options that have no default as a whole.
  static func require<Options: VersionedStruct>(
    _ pointer: UnsafePointer<Options>?, _ name: StaticString
  ) throws(EngineError) -> Options {
    guard pointer != nil else { throw Argument.isNull(name) }
    return try read(pointer, name)
  }

  /// Stores `info` in the caller's struct: as much as the caller knows of, the rest zero.
  static func write<Info: VersionedStruct>(
    _ info: Info, to pointer: UnsafeMutablePointer<Info>?, _ name: StaticString
  ) throws(EngineError) {
    guard let pointer else { throw Argument.isNull(name) }
    let bytes = UnsafeMutableRawPointer(pointer)
    let size = try checkedSize(UnsafeRawPointer(bytes), name)
    let known = MemoryLayout<Info>.size
    var info = info
    info.struct_size = size
    withUnsafeBytes(of: &info) { source in
      bytes.copyMemory(
        from: source.baseAddress ?? UnsafeRawPointer(bytes), byteCount: min(size, known))
    }
    if size > known { memset(bytes + known, 0, size - known) }
  }

  /// Called before anything is computed for an info struct.
  private static func checkedSize(
    _ bytes: UnsafeRawPointer, _ name: StaticString
  ) throws(EngineError) -> Int {
    let size = bytes.loadUnaligned(as: Int.self)
    guard size >= MemoryLayout<Int>.size, size <= largest, size % 4 == 0 else {
      throw EngineError(
        .invalidArgument,
        "\(name)->struct_size is \(UInt(bitPattern: size)), expected the size of the struct")
    }
    return size
  }
}
