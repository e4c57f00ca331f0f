import CCarousel
import LSTM

/// What a `carousel_network` stands for: the network, and what its queries give out for as long as
/// the handle lives.
final class NetworkObject {
  let network: AnyNetwork
  let inputShapes: [SignalShape]
  let outputShapes: [SignalShape]
  /// All states, layer by layer.
  let states: [State]
  private let strings = CStrings()
  let name: UnsafePointer<CChar>
  let layerNames: [UnsafePointer<CChar>]
  let parameterNames: [UnsafePointer<CChar>]

  struct State {
    let layer: Int
    let width: Int
    let direction: Int32
    let isCell: Bool
  }

  init(_ network: AnyNetwork) throws(EngineError) {
    self.network = network
    inputShapes = network.inputShapes
    outputShapes = network.outputShapes
    let description = network.description
    name = try strings.add(description.name)
    var layerNames: [UnsafePointer<CChar>] = []
    for node in description.nodes { layerNames.append(try strings.add(node.layer.name)) }
    self.layerNames = layerNames
    var parameterNames: [UnsafePointer<CChar>] = []
    for parameter in network.parameters { parameterNames.append(try strings.add(parameter.name)) }
    self.parameterNames = parameterNames
    states = zip(description.nodes, network.stateWidths).enumerated().flatMap { index, layer in
      NetworkObject.states(of: layer.0.layer.kind, at: index, widths: layer.1)
    }
  }

  private static func states(of kind: LayerKind, at layer: Int, widths: [Int]) -> [State] {
    let perDirection =
      if case .bidirectional(let pair) = kind { pair.forward.cell.stateWidths.count } else {
        max(widths.count, 1)
      }
    return widths.enumerated().map { index, width in
      State(
        layer: layer, width: width, direction: index < perDirection ? 0 : 1,
        isCell: index % perDirection == 1)
    }
  }

  /// The object of a handle.
  static func of(
    _ handle: OpaquePointer?, _ name: StaticString = "network"
  ) throws(EngineError) -> NetworkObject {
    try HandlePool.object(handle, .network, as: NetworkObject.self, name).takeUnretainedValue()
  }

  /// Stores a new handle for a network.
  static func store(
    _ network: AnyNetwork, in result: UnsafeMutablePointer<OpaquePointer?>
  ) throws(EngineError) {
    result.pointee = try HandlePool.insert(NetworkObject(network), .network)
  }
}
