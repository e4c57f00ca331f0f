import CCarousel
import LSTM
import ModelFiles

@_cdecl("carousel_network_from_json") @implementation
public func carousel_network_from_json(
  _ json: UnsafePointer<CChar>?, _ dtype: carousel_dtype, _ seed: UInt64,
  _ network: UnsafeMutablePointer<OpaquePointer?>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let text = try Argument.text(json, "json", limit: Argument.longestJSON)
    let type = try DataType.given(dtype)
    let result = try Argument.required(network, "network")
    do throws(EngineError) {
      let network = try AnyNetwork(ModelFile.description(fromJSON: text), dataType: type)
      try network.initialize(seed: seed)
      try NetworkObject.store(network, in: result)
    } catch {
      throw error.within("json")
    }
  }
}

@_cdecl("carousel_network_to_json") @implementation
public func carousel_network_to_json(
  _ network: OpaquePointer?, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int,
  _ length: UnsafeMutablePointer<Int>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try NetworkObject.of(network)
    let output = try TextOutput(buffer, capacity, length)
    try output.write(ModelFile.json(object.network.description))
  }
}
