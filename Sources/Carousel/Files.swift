import CCarousel
import LSTM
import ModelFiles

@_cdecl("carousel_network_load") @implementation
public func carousel_network_load(
  _ path: UnsafePointer<CChar>?, _ options: UnsafePointer<carousel_load_options>?,
  _ network: UnsafeMutablePointer<OpaquePointer?>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let path = try Argument.path(path)
    let options = try Versioned.read(options, "options").loadOptions()
    let result = try Argument.required(network, "network")
    try NetworkObject.store(ModelFile.load(path, options: options).network, in: result)
  }
}

@_cdecl("carousel_network_load_weights") @implementation
public func carousel_network_load_weights(
  _ network: OpaquePointer?, _ path: UnsafePointer<CChar>?,
  _ options: UnsafePointer<carousel_weights_options>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try NetworkObject.of(network)
    let path = try Argument.path(path)
    let options = try Versioned.read(options, "options").weightOptions(for: object)
    try ModelFile.loadWeights(path, into: object.network, options: options)
  }
}

@_cdecl("carousel_network_save") @implementation
public func carousel_network_save(
  _ network: OpaquePointer?, _ path: UnsafePointer<CChar>?,
  _ options: UnsafePointer<carousel_save_options>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try NetworkObject.of(network)
    let path = try Argument.path(path)
    let options = try Versioned.read(options, "options").saveOptions()
    try ModelFile.save(object.network, to: path, options: options)
  }
}

@_cdecl("carousel_inspect") @implementation
public func carousel_inspect(
  _ path: UnsafePointer<CChar>?, _ options: UnsafePointer<carousel_load_options>?,
  _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ length: UnsafeMutablePointer<Int>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let path = try Argument.path(path)
    let options = try Versioned.read(options, "options").loadOptions()
    let output = try TextOutput(buffer, capacity, length)
    try output.write(ModelFile.inspect(path, options: options))
  }
}

extension Argument {
  static func path(_ pointer: UnsafePointer<CChar>?) throws(EngineError) -> String {
    let path = try text(pointer, "path", limit: longestPath)
    guard !path.isEmpty else { throw EngineError(.invalidArgument, "path is empty") }
    return path
  }

  fileprivate static func format(
    _ pointer: UnsafePointer<CChar>?
  ) throws(EngineError) -> FileFormat? {
    guard let name = try optionalText(pointer, "options->format") else { return nil }
    return try FileFormat(named: name)
  }

  /// A limit for the size of a file, if the caller gives one.
  fileprivate static func limits(_ largestFile: UInt64) -> FileLimits {
    var limits = FileLimits()
    if largestFile > 0 { limits.fileBytes = Int(clamping: largestFile) }
    return limits
  }

  fileprivate static func isolation(
    _ untrusted: Int32, _ seconds: Int32, _ memory: UInt64
  ) throws(EngineError) -> Isolation? {
    guard seconds >= 0, seconds <= 86_400 else {
      throw EngineError(
        .invalidArgument, "options->untrusted_seconds is \(seconds), expected 0 to 86400")
    }
    guard untrusted != 0 else { return nil }
    var isolation = Isolation()
    if seconds > 0 { isolation.seconds = Int(seconds) }
    isolation.memory = Int(clamping: memory)
    return isolation
  }
}

extension carousel_load_options {
  fileprivate func loadOptions() throws(EngineError) -> ModelFile.LoadOptions {
    var result = ModelFile.LoadOptions()
    result.format = try Argument.format(format)
    result.configJSON = try Argument.optionalText(
      config_json, "options->config_json", limit: Argument.longestJSON)
    result.allowsNonFinite = allow_non_finite != 0
    result.limits = Argument.limits(largest_file)
    result.isolation = try Argument.isolation(untrusted, untrusted_seconds, untrusted_memory)
    switch precision {
    case CAROUSEL_PRECISION_OF_FILE: break
    case CAROUSEL_PRECISION_FLOAT32: result.precision = .float32
    case CAROUSEL_PRECISION_FLOAT64: result.precision = .float64
    case CAROUSEL_PRECISION_BFLOAT16: result.precision = .bfloat16
    case CAROUSEL_PRECISION_INT8: result.precision = .int8
    default: throw Argument.unknown(precision.rawValue, "options->precision")
    }
    return result
  }
}

extension carousel_weights_options {
  fileprivate func weightOptions(
    for object: NetworkObject
  ) throws(EngineError) -> ModelFile.WeightOptions {
    var result = ModelFile.WeightOptions()
    result.format = try Argument.format(format)
    result.prefix = try Argument.optionalText(prefix, "options->prefix") ?? ""
    result.allowsNonFinite = allow_non_finite != 0
    result.limits = Argument.limits(largest_file)
    result.isolation = try Argument.isolation(untrusted, untrusted_seconds, untrusted_memory)
    guard forget_bias != nil || forget_bias_count != 0 else { return result }
    let values = try Argument.required(forget_bias, "options->forget_bias")
    // One for all, or one for each cell: there are not more cells than states.
    guard forget_bias_count >= 1, forget_bias_count <= max(object.states.count, 1) else {
      throw EngineError(
        .shape,
        "options->forget_bias_count is \(UInt(bitPattern: forget_bias_count)), expected 1, or one "
          + "for each recurrent layer")
    }
    result.forgetBias = Array(UnsafeBufferPointer(start: values, count: forget_bias_count))
    return result
  }
}

extension carousel_save_options {
  func saveOptions() throws(EngineError) -> ModelFile.SaveOptions {
    var result = ModelFile.SaveOptions()
    if let format = try Argument.format(format) { result.format = format }
    guard compression >= 0, compression <= 9 else {
      throw EngineError(
        .invalidArgument, "options->compression is \(compression), expected 0 to 9")
    }
    result.compression = Int(compression)
    result.prefix = try Argument.optionalText(prefix, "options->prefix")
    return result
  }
}
