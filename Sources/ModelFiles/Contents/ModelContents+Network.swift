import LSTM

extension ModelContents {
  /// A copy of a network's architecture and parameters.
  public init(copying network: AnyNetwork, format: FileFormat) throws(EngineError) {
    self.init(description: network.description, report: LoadReport(format: format))
    precision = Precision(network)
    for (index, parameter) in network.parameters.enumerated() {
      let array = try WeightArray(shape: parameter.shape)
      let values = array.values
      network.readParameter(index) { values[$0] = $1 }
      weights[parameter.name] = array
      reduced[parameter.name] = network.reducedArray(index)
    }
  }

  /// A network of this architecture with these weights.
  ///
  /// - Throws: if a parameter has no array, an array no parameter, or their shapes differ.
  public func makeNetwork() throws(EngineError) -> AnyNetwork {
    // What the arrays hold bounds what the network may ask for: a file that declares a huge
    // architecture around small arrays gets an error, not memory.
    let limit = weights.values.reduce(0) { $0 + $1.count + Memory.rowGranularity }
    let network = try AnyNetwork(
      description, dataType: precision == .float64 ? .float64 : .float32, parameterLimit: limit)
    try fill(network)
    return precision.format == .float32 ? network : try network.reduced(to: precision.format)
  }

  /// Puts every array into the parameter of its key. Nothing is changed unless everything fits.
  public func fill(_ network: AnyNetwork) throws(EngineError) {
    try network.checkChangeable()
    var arrays: [(Parameter, WeightArray)] = []
    for parameter in network.parameters {
      guard let array = weights[parameter.name] else {
        throw EngineError(.format, "the file has no weights for '\(parameter.name)'")
      }
      guard array.shape == parameter.shape || parameter.accepts(array) else {
        throw EngineError(
          .shape,
          "'\(parameter.name)' has shape \(describe(array.shape)) in the file, "
            + "expected \(describe(parameter.shape))")
      }
      arrays.append((parameter, array))
    }
    guard weights.count == arrays.count else {
      let known = Set(network.parameters.map(\.name))
      let extra = weights.keys.filter { !known.contains($0) }.sorted().prefix(5)
      throw EngineError(
        .format, "the network has no parameters for \(extra.joined(separator: ", "))")
    }
    for (parameter, array) in arrays {
      let address = network.address(of: parameter)
      switch network.dataType {
      case .float32:
        let target = address.assumingMemoryBound(to: Float.self)
        for index in 0..<array.count { target[index] = Float(array.values[index]) }
      case .float64:
        let target = address.assumingMemoryBound(to: Double.self)
        for index in 0..<array.count { target[index] = array.values[index] }
      }
    }
    network.parametersChanged()
  }

  /// Leaves out biases of zeros that a network without biases has no place for: layouts that always have
  /// biases (Chainer, TF1) hold them so.
  mutating func dropZeroBiases(absentFrom network: AnyNetwork) {
    guard weights.count > network.parameters.count else { return }
    let known = Set(network.parameters.map(\.name))
    for key in weights.keys.sorted() where key.hasSuffix("/bias") && !known.contains(key) {
      guard let array = weights[key],
        array.values.allSatisfy({ $0 == 0 })
      else { continue }
      weights[key] = nil
      report.ignored.append("\(key): zeros, and the layer has no bias")
    }
  }

  /// Refuses weights that are NaN or infinite.
  func checkFinite() throws(EngineError) {
    for key in weights.keys.sorted() {
      guard let array = weights[key], let found = array.firstNonFinite else { continue }
      throw EngineError(
        .numeric,
        "'\(key)' has the value \(found.value) at position \(found.index); "
          + "weights that are NaN or infinite are refused unless asked for")
    }
  }
}

extension Parameter {
  /// Slopes of a PReLU may come with or without the axis over which they are shared.
  fileprivate func accepts(_ array: WeightArray) -> Bool {
    name.hasSuffix("/alpha") && array.count == count
      && array.shape.filter { $0 != 1 } == shape.filter { $0 != 1 }
  }
}
