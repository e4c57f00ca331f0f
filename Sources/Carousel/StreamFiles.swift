import CCarousel
import LSTM
import ModelFiles

// A stream in a file: its network as any reader finds it, and beside it the states, one array for
// each, in the network's order.

@_cdecl("carousel_stream_save") @implementation
public func carousel_stream_save(
  _ stream: OpaquePointer?, _ path: UnsafePointer<CChar>?,
  _ options: UnsafePointer<carousel_save_options>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try StreamObject.of(stream)
    let path = try Argument.path(path)
    var options = try Versioned.read(options, "options").saveOptions()
    options.states = [try object.stream.savedState()]
    try ModelFile.save(object.stream.network, to: path, options: options)
  }
}

@_cdecl("carousel_stream_load") @implementation
public func carousel_stream_load(
  _ stream: OpaquePointer?, _ path: UnsafePointer<CChar>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try StreamObject.of(stream)
    let path = try Argument.path(path)
    try object.stream.take(ModelFile.readState("stream", from: path))
  }
}

extension AnyStream {
  private var stateWidths: [Int] { network.stateWidths.flatMap { $0 } }

  fileprivate func savedState() throws(EngineError) -> SavedState {
    var state = SavedState(kind: "stream")
    state.precision = network.dataType == .float32 ? .float32 : .float64
    let bytes = try Buffer<UInt8>(count: stateByteCount)
    snapshot(into: bytes.pointer)
    var first = 0
    for (index, width) in stateWidths.enumerated() {
      let array = try WeightArray(shape: [batch, width])
      for i in 0..<array.count { array.values[i] = number(first + i, in: bytes.pointer) }
      first += array.count
      state.arrays.append(("state_\(index)", array))
    }
    return state
  }

  fileprivate func take(_ state: SavedState) throws(EngineError) {
    let expected = stateWidths.map { [batch, $0] }
    let found = state.arrays.map(\.array.shape)
    guard found == expected else {
      throw EngineError(
        .shape, "the file has states of the shapes \(found), the stream has \(expected)")
    }
    let type = state.precision == .float32 ? DataType.float32 : .float64
    guard type == network.dataType else {
      throw EngineError(
        .shape, "the file has states in \(type.name), the stream runs in \(network.dataType.name)")
    }
    let bytes = try Buffer<UInt8>(count: stateByteCount)
    var first = 0
    for (_, array) in state.arrays {
      for i in 0..<array.count { set(array.values[i], at: first + i, in: bytes.pointer) }
      first += array.count
    }
    restore(from: bytes.pointer)
  }

  private func number(_ index: Int, in bytes: UnsafeMutableRawPointer) -> Double {
    switch self {
    case .float32: Double(bytes.assumingMemoryBound(to: Float.self)[index])
    case .float64: bytes.assumingMemoryBound(to: Double.self)[index]
    }
  }

  private func set(_ value: Double, at index: Int, in bytes: UnsafeMutableRawPointer) {
    switch self {
    case .float32: bytes.assumingMemoryBound(to: Float.self)[index] = Float(value)
    case .float64: bytes.assumingMemoryBound(to: Double.self)[index] = value
    }
  }
}
