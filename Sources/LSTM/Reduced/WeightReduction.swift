import KernelInterface

/// The weights of a network in reduced precision.
struct WeightReduction<S: Scalar>: Sendable {
  let format: WeightFormat
  /// By parameter; nil for those that stay as they are.
  let arrays: [ReducedArray?]
  let weights: WeightSnapshot<S>
}

extension Network where S == Float {
  /// A network of its own that computes the same with the matrices of recurrent and Dense layers and the
  /// tables of embeddings rounded, and held, in reduced precision. All else stays float32.
  ///
  /// bfloat16: the results are those of the float32 network with the rounded weights, bit for bit. int8: the
  /// activations that meet the weights are rounded, too, to 16 bits by row.
  ///
  /// - Throws: `.numeric` for weights that are NaN, infinite or beyond 2¹²⁰.
  public func reduced(to format: WeightFormat) throws(EngineError) -> Network<Float> {
    try checkChangeable()
    var arrays: [ReducedArray?] = parameters.map { _ in nil }
    var packed: [LayerWeights<Float>?] = layers.map { _ in nil }
    // What the layers pack from: the parameters with the rounded values in their places.
    let rounded = try Buffer<Float>(count: values.count)
    rounded.pointer.update(from: values.pointer, count: values.count)
    var first = 0
    for (node, layer) in layers.enumerated() {
      guard let layer else { continue }
      var own: [ReducedArray] = []
      for index in layer.reducedParameters(format) {
        let parameter = parameters[first + index]
        let array: ReducedArray
        do throws(EngineError) {
          array = try ReducedArray(
            format, rows: parameter.shape[0], columns: parameter.shape[1],
            scalesRows: layer.scalesRows, values: values.pointer + parameter.offset)
        } catch { throw error.within("'\(parameter.name)'") }
        array.read(into: rounded.pointer + parameter.offset)
        arrays[first + index] = array
        own.append(array)
      }
      let weights =
        own.isEmpty
        ? try layer.makeWeights(forTraining: false) : try layer.makeReducedWeights(format, own)
      weights?.refresh(UnsafePointer(rounded.pointer))
      packed[node] = weights
      first += layer.declarations.count
    }
    let reduction = WeightReduction(
      format: format, arrays: arrays,
      weights: WeightSnapshot(parameters: try remaining(arrays), packed: packed))
    let network = try Network<Float>(description, reduction: reduction)
    if let carried = withCarriedStates({ $0 }) { network.withCarriedStates { $0 = carried } }
    return network
  }

  /// The parameters that stay as they are, in their order.
  private func remaining(_ arrays: [ReducedArray?]) throws(EngineError) -> Buffer<Float> {
    var count = 0
    for (parameter, array) in zip(parameters, arrays) where array == nil {
      count = try Memory.sum(count, Memory.rowStride(parameter.count))
    }
    let buffer = try Buffer<Float>(count: count)
    var offset = 0
    for (parameter, array) in zip(parameters, arrays) where array == nil {
      (buffer.pointer + offset).update(
        from: values.pointer + parameter.offset, count: parameter.count)
      offset += try Memory.rowStride(parameter.count)
    }
    return buffer
  }

  /// The float32 network with the same (rounded) weights.
  public func widened() throws(EngineError) -> Network<Float> {
    guard reduction != nil else { return try copy() }
    let network = try Network<Float>(description)
    for (index, parameter) in network.parameters.enumerated() {
      read(index, into: network.values.pointer + parameter.offset)
    }
    network.parametersChanged()
    if let carried = withCarriedStates({ $0 }) { network.withCarriedStates { $0 = carried } }
    return network
  }

  /// The values of parameter number `index`, row-major.
  func read(_ index: Int, into target: UnsafeMutablePointer<Float>) {
    if let array = reduction?.arrays[index] {
      array.read(into: target)
    } else {
      target.update(from: values.pointer + parameters[index].offset, count: parameters[index].count)
    }
  }
}

extension AnyNetwork {
  /// What holds the matrices; float32 for networks in double precision, too.
  public var format: WeightFormat {
    if case .float32(let network) = self { return network.format }
    return .float32
  }

  /// See ``Network/reduced(to:)``. `.float32` gives the float32 network of the (rounded) weights.
  public func reduced(to format: WeightFormat) throws(EngineError) -> AnyNetwork {
    guard case .float32(let network) = self else {
      throw EngineError(
        .state, "a network in float64 has no reduced precision: load or build it in float32")
    }
    if format == .float32 { return .float32(try network.widened()) }
    if format == network.format { return .float32(try network.copy()) }
    let source = network.format == .float32 ? network : try network.widened()
    return .float32(try source.reduced(to: format))
  }

  /// Refuses what cannot be done with weights in reduced precision.
  public func checkChangeable() throws(EngineError) {
    if case .float32(let network) = self { try network.checkChangeable() }
  }

  /// The codes of parameter number `index`; nil if it is held as it is.
  public func reducedArray(_ index: Int) -> ReducedArray? {
    guard case .float32(let network) = self else { return nil }
    return network.reduction?.arrays[index]
  }

  /// The values of parameter number `index`, row-major, whatever holds them.
  public func readParameter(_ index: Int, _ body: (_ index: Int, _ value: Double) -> Void) {
    let parameter = parameters[index]
    switch self {
    case .float32(let network):
      if let array = network.reduction?.arrays[index] {
        for row in 0..<array.rows {
          for column in 0..<array.columns {
            body(row * array.columns + column, Double(array.value(row, column)))
          }
        }
      } else {
        let values = network.values.pointer + parameter.offset
        for place in 0..<parameter.count { body(place, Double(values[place])) }
      }
    case .float64(let network):
      let values = network.values.pointer + parameter.offset
      for place in 0..<parameter.count { body(place, values[place]) }
    }
  }

  /// What rounding did to the weights of a layer; nil if it holds none in reduced precision.
  public func weightError(ofNode node: Int) -> WeightError? {
    var error: WeightError?
    for (index, parameter) in parameters.enumerated() where parameter.node == node {
      guard let array = reducedArray(index) else { continue }
      if error == nil { error = WeightError() }
      error?.add(array.error)
    }
    return error
  }

  /// Bytes that the network's own copy of a layer's parameters takes.
  public func parameterBytes(ofNode node: Int) -> Int {
    let element = dataType == .float32 ? MemoryLayout<Float>.stride : MemoryLayout<Double>.stride
    return parameters.enumerated().reduce(0) { total, item in
      let (index, parameter) = item
      guard parameter.node == node else { return total }
      return total + (reducedArray(index)?.byteCount ?? parameter.count * element)
    }
  }
}
