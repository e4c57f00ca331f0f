import CCarousel
import LSTM

/// What a `carousel_builder` stands for: a network description that grows layer by layer.
final class Builder {
  let name: String
  private(set) var nodes: [NetworkDescription.Node] = []
  private var indices: [String: Int] = [:]
  private var outputs: [Int] = []
  /// Inputs of the next layer, if they were named.
  private var nextInputs: [Int]?
  private var distributesNext = false
  /// Node whose parameters the next layer uses.
  private var nextShares: Int?
  /// The Bidirectional of which the next layer becomes the backward half.
  private var nextBackwardOf: Int?

  init(name: String) { self.name = name }

  static func of(_ handle: OpaquePointer?) throws(EngineError) -> Builder {
    try HandlePool.object(handle, .builder, as: Builder.self, "builder").takeUnretainedValue()
  }

  /// Adds a layer that reads the named inputs, or the last layer.
  func add(_ name: UnsafePointer<CChar>?, _ kind: LayerKind) throws(EngineError) {
    let name = try layerName(name)
    if let index = nextBackwardOf { return try setBackward(of: index, kind) }
    var inputs: [Int] = []
    var kind = kind
    if case .input = kind {
      guard nextInputs == nil, !distributesNext, nextShares == nil else {
        throw EngineError(
          .state, "an input reads no layer, shares nothing, and is not distributed over time")
      }
    } else {
      guard !nodes.isEmpty else {
        throw EngineError(.state, "layer '\(name)': add an input first")
      }
      inputs = nextInputs ?? [nodes.count - 1]
      if case .merge = kind {
        guard inputs.count >= 2 else {
          throw EngineError(
            .state, "layer '\(name)' merges layers: name two or more with carousel_builder_read")
        }
      } else if inputs.count != 1, !kind.readsStates {
        throw EngineError(
          .shape, "layer '\(name)' reads one layer, but \(inputs.count) were named")
      }
      if distributesNext { kind = .timeDistributed(kind) }
    }
    indices[name] = nodes.count
    nodes.append(
      .init(
        layer: LayerDescription(name: name, kind: kind), inputs: inputs, sharesWith: nextShares))
    nextInputs = nil
    nextShares = nil
    distributesNext = false
  }

  private func setBackward(of index: Int, _ kind: LayerKind) throws(EngineError) {
    guard case .bidirectional(var whole) = nodes[index].layer.kind,
      case .recurrent(var backward) = kind
    else {
      throw EngineError(
        .invalidArgument,
        "the backward half of '\(nodes[index].layer.name)' must be a recurrent layer of one direction"
      )
    }
    backward.goBackwards = !whole.forward.goBackwards
    whole.backward = backward
    nodes[index].layer.kind = .bidirectional(whole)
    nextBackwardOf = nil
  }

  func shareNext(with name: String) throws(EngineError) {
    let index = try index(of: name)
    nextShares = nodes[index].sharesWith ?? index
  }

  func nextIsBackward(of name: String) throws(EngineError) {
    let index = try index(of: name)
    guard case .bidirectional = nodes[index].layer.kind else {
      throw EngineError(.invalidArgument, "'\(name)' is not bidirectional")
    }
    nextBackwardOf = index
  }

  func read(_ names: [String]) throws(EngineError) {
    var inputs: [Int] = []
    for (position, name) in names.enumerated() {
      inputs.append(try index(of: name, "names[\(position)]"))
    }
    nextInputs = inputs
  }

  func distributeNext() { distributesNext = true }

  func addOutput(_ name: String) throws(EngineError) {
    let index = try index(of: name)
    if case .input = nodes[index].layer.kind {
      throw EngineError(.invalidArgument, "'\(name)' is an input, and cannot be an output")
    }
    guard !outputs.contains(index) else {
      throw EngineError(.invalidArgument, "'\(name)' is an output already")
    }
    outputs.append(index)
  }

  func freeze(_ name: String) throws(EngineError) {
    nodes[try index(of: name)].layer.isTrainable = false
  }

  func build(dataType: DataType, seed: UInt64) throws(EngineError) -> AnyNetwork {
    let inputs = nodes.indices.filter { index in
      if case .input = nodes[index].layer.kind { true } else { false }
    }
    guard nodes.count > inputs.count else {
      throw EngineError(.state, "the network has no layer but inputs")
    }
    let description = NetworkDescription(
      name: name, nodes: nodes, inputs: inputs,
      outputs: outputs.isEmpty ? [nodes.count - 1] : outputs)
    let network = try AnyNetwork(description, dataType: dataType)
    try network.initialize(seed: seed)
    return network
  }

  private func layerName(_ pointer: UnsafePointer<CChar>?) throws(EngineError) -> String {
    let name = try Argument.text(pointer, "name")
    guard !name.isEmpty, !name.utf8.contains(UInt8(ascii: "/")) else {
      throw EngineError(.invalidArgument, "name is '\(name)', expected some text without '/'")
    }
    guard indices[name] == nil else {
      throw EngineError(.invalidArgument, "name is '\(name)', but there is such a layer already")
    }
    return name
  }

  private func index(
    of name: String, _ argument: @autoclosure () -> String = "name"
  ) throws(EngineError) -> Int {
    guard let index = indices[name] else {
      throw EngineError(
        .notFound, "\(argument()) is '\(name)', but no layer of that name was added")
    }
    return index
  }
}

@_cdecl("carousel_builder_create") @implementation
public func carousel_builder_create(
  _ name: UnsafePointer<CChar>?, _ builder: UnsafeMutablePointer<OpaquePointer?>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let name = try Argument.optionalText(name, "name") ?? "network"
    let result = try Argument.required(builder, "builder")
    result.pointee = try HandlePool.insert(Builder(name: name), .builder)
  }
}

@_cdecl("carousel_builder_free") @implementation
public func carousel_builder_free(_ builder: OpaquePointer?) {
  _ = entry(allocates: false) { () throws(EngineError) in
    try HandlePool.remove(builder, .builder, "builder")
  }
}

@_cdecl("carousel_builder_read") @implementation
public func carousel_builder_read(
  _ builder: OpaquePointer?, _ names: UnsafePointer<UnsafePointer<CChar>?>?, _ count: Int
) -> carousel_status {
  entry { () throws(EngineError) in
    let builder = try Builder.of(builder)
    let names = try Argument.required(names, "names")
    let count = try Argument.size(Int64(count), "count", to: max(builder.nodes.count, 1))
    var texts: [String] = []
    for index in 0..<count { texts.append(try Argument.text(names[index], "names")) }
    try builder.read(texts)
  }
}

@_cdecl("carousel_builder_distribute") @implementation
public func carousel_builder_distribute(_ builder: OpaquePointer?) -> carousel_status {
  entry { () throws(EngineError) in try Builder.of(builder).distributeNext() }
}

@_cdecl("carousel_builder_share") @implementation
public func carousel_builder_share(
  _ builder: OpaquePointer?, _ name: UnsafePointer<CChar>?
) -> carousel_status {
  entry { () throws(EngineError) in
    try Builder.of(builder).shareNext(with: Argument.text(name, "name"))
  }
}

@_cdecl("carousel_builder_set_backward") @implementation
public func carousel_builder_set_backward(
  _ builder: OpaquePointer?, _ name: UnsafePointer<CChar>?
) -> carousel_status {
  entry { () throws(EngineError) in
    try Builder.of(builder).nextIsBackward(of: Argument.text(name, "name"))
  }
}

@_cdecl("carousel_builder_add_output") @implementation
public func carousel_builder_add_output(
  _ builder: OpaquePointer?, _ name: UnsafePointer<CChar>?
) -> carousel_status {
  entry { () throws(EngineError) in
    try Builder.of(builder).addOutput(Argument.text(name, "name"))
  }
}

@_cdecl("carousel_builder_freeze") @implementation
public func carousel_builder_freeze(
  _ builder: OpaquePointer?, _ name: UnsafePointer<CChar>?
) -> carousel_status {
  entry { () throws(EngineError) in
    try Builder.of(builder).freeze(Argument.text(name, "name"))
  }
}

@_cdecl("carousel_builder_build") @implementation
public func carousel_builder_build(
  _ builder: OpaquePointer?, _ dtype: carousel_dtype, _ seed: UInt64,
  _ network: UnsafeMutablePointer<OpaquePointer?>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let builder = try Builder.of(builder)
    let type = try DataType.given(dtype)
    let result = try Argument.required(network, "network")
    try NetworkObject.store(builder.build(dataType: type, seed: seed), in: result)
  }
}

extension LayerKind {
  /// May read initial states behind its sequence.
  fileprivate var readsStates: Bool {
    switch self {
    case .recurrent, .bidirectional: true
    default: false
    }
  }
}

extension DataType {
  /// The number type of a network.
  static func given(_ dtype: carousel_dtype) throws(EngineError) -> DataType {
    switch dtype {
    case CAROUSEL_FLOAT32: .float32
    case CAROUSEL_FLOAT64: .float64
    case CAROUSEL_INT32, CAROUSEL_INT64:
      throw EngineError(
        .invalidArgument, "dtype is an integer type, expected CAROUSEL_FLOAT32 or CAROUSEL_FLOAT64")
    default: throw Argument.unknown(dtype.rawValue, "dtype")
    }
  }
}
