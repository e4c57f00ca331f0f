import CCarousel
import LSTM

@_cdecl("carousel_network_copy") @implementation
public func carousel_network_copy(
  _ network: OpaquePointer?, _ copy: UnsafeMutablePointer<OpaquePointer?>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try NetworkObject.of(network)
    let copy = try Argument.required(copy, "copy")
    try NetworkObject.store(object.network.copy(), in: copy)
  }
}

@_cdecl("carousel_network_free") @implementation
public func carousel_network_free(_ network: OpaquePointer?) {
  _ = entry(allocates: false) { () throws(EngineError) in
    try HandlePool.remove(network, .network, "network")
  }
}

@_cdecl("carousel_network_initialize") @implementation
public func carousel_network_initialize(_ network: OpaquePointer?, _ seed: UInt64)
  -> carousel_status
{
  entry { () throws(EngineError) in
    try NetworkObject.of(network).network.initialize(seed: seed)
  }
}

@_cdecl("carousel_network_reset_states") @implementation
public func carousel_network_reset_states(_ network: OpaquePointer?) -> carousel_status {
  entry { () throws(EngineError) in try NetworkObject.of(network).network.resetStates() }
}

@_cdecl("carousel_network_parameters_changed") @implementation
public func carousel_network_parameters_changed(_ network: OpaquePointer?) -> carousel_status {
  entry { () throws(EngineError) in try NetworkObject.of(network).network.parametersChanged() }
}

@_cdecl("carousel_network_get_parameter_buffer") @implementation
public func carousel_network_get_parameter_buffer(
  _ network: OpaquePointer?, _ data: UnsafeMutablePointer<UnsafeMutableRawPointer?>?,
  _ size: UnsafeMutablePointer<Int>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try NetworkObject.of(network)
    let data = try Argument.required(data, "data")
    let size = try Argument.required(size, "size")
    try object.network.checkChangeable()
    let bytes = object.network.parameterBytes
    data.pointee = bytes.baseAddress
    size.pointee = bytes.count
  }
}
