import LSTM

/// Our own layout; `docs/format.md` is its specification.
enum CarouselFormat {
  static let version = 1
  /// Group that holds one group per layer.
  static let layersGroup = "layers"
  static let markAttribute = "carousel_format"

  // MARK: - Writing

  static func write(
    _ contents: ModelContents, to root: HDF5GroupWriter, compression: Int
  ) throws(EngineError) {
    let number = contents.precision.number
    let storage = HDF5Storage(number: number, compression: compression)
    let architecture = contents.description.json.text()
    let attributes = root.attributes
    try attributes.set(markAttribute, version)
    try attributes.set("dtype", number == .float32 ? "float32" : "float64")
    if contents.precision.format != .float32 {
      try attributes.set(ReducedDatasets.precisionAttribute, contents.precision.name)
    }
    try attributes.set("architecture", architecture)

    let layers = try root.group(layersGroup)
    var names: [String] = []
    var checksum = CRC32()
    checksum.add(architecture)
    for node in contents.description.nodes {
      let prefix = node.layer.name + "/"
      let keys = contents.weights.keys.filter { $0.hasPrefix(prefix) }.sorted()
      let group = try layers.group(node.layer.name)
      try describe(node.layer, on: group.attributes)
      for key in keys where !names.contains(key) {
        guard let array = contents.weights[key] else { continue }
        if let codes = contents.reduced[key] {
          try ReducedDatasets.write(
            codes, shape: array.shape, to: key, below: layers, compression: compression)
        } else {
          try layers.write(array, to: key, as: storage)
        }
        add(key, array, number, to: &checksum)
        names.append(key)
      }
    }
    guard names.count == contents.weights.count else {
      throw EngineError(.state, "some weights belong to no layer")
    }
    try attributes.set("parameters", names)
    try attributes.set("checksum", "crc32:\(checksum.hexadecimal)")
  }

  /// What a reader without Carousel wants to know of a layer.
  private static func describe(
    _ layer: LayerDescription, on attributes: HDF5AttributeWriter
  ) throws(EngineError) {
    let className = layer.kind.json.objectValue?["class"]?.stringValue ?? ""
    switch layer.kind {
    case .recurrent(let description):
      try describe(description.cell, on: attributes)
    case .bidirectional(let description):
      try describe(description.forward.cell, on: attributes)
      try attributes.set("wrapper", "bidirectional")
      try attributes.set("merge", description.merge.name)
    default:
      try attributes.set("class", className)
    }
  }

  private static func describe(
    _ cell: CellDescription, on attributes: HDF5AttributeWriter
  ) throws(EngineError) {
    try attributes.set("class", cell.json.objectValue?["class"]?.stringValue ?? "")
    try attributes.set("units", cell.units)
    try attributes.set("gate_order", cell.gateOrder)
    try attributes.set("equations", cell.equations)
  }

  private static func add(
    _ key: String, _ array: WeightArray, _ number: HDF5Storage.Number, to checksum: inout CRC32
  ) {
    checksum.add(key)
    for extent in array.shape { checksum.add(littleEndian: Int64(extent)) }
    checksum.add(array, as: number)
  }

  // MARK: - Reading

  static func read(_ root: HDF5Group) throws(EngineError) -> ModelContents {
    let attributes = root.attributes
    guard let found = try attributes.integer(markAttribute), found == version else {
      let text = try attributes.number(markAttribute).map { String($0) } ?? "unknown"
      throw EngineError(
        .unsupported, "the file is of version \(text) of Carousel's layout; this is \(version)")
    }
    guard let architecture = try attributes.text("architecture") else {
      throw EngineError(.format, "the file has no attribute 'architecture'")
    }
    let limits = root.file.limits
    let json = try JSONValue(parsing: architecture, limits: limits)
    let description = try NetworkDescription(json: json, limits: limits)
    guard let names = try attributes.texts("parameters") else {
      throw EngineError(.format, "the file has no attribute 'parameters'")
    }
    var contents = ModelContents(
      description: description, report: LoadReport(format: .carousel))
    contents.report.framework = "carousel"
    contents.report.version = String(version)
    switch try attributes.text("dtype") ?? "float32" {
    case "float32": contents.precision = .float32
    case "float64": contents.precision = .float64
    case let name: throw EngineError(.unsupported, "dtype '\(name)' is unknown")
    }
    if let name = try attributes.text(ReducedDatasets.precisionAttribute) {
      switch (name, contents.precision) {
      case ("bfloat16", .float32): contents.precision = .bfloat16
      case ("int8", .float32): contents.precision = .int8
      case ("float32", .float32), ("float64", .float64): break
      default: throw EngineError(.unsupported, "precision '\(name)' is unknown")
      }
    }
    let number = contents.precision.number
    let layers = try root.group(layersGroup)
    var checksum = CRC32()
    checksum.add(architecture)
    for name in names {
      let array = try ReducedDatasets.read(name, below: layers, precision: contents.precision)
      add(name, array, number, to: &checksum)
      guard contents.weights.updateValue(array, forKey: name) == nil else {
        throw EngineError(.format, "'parameters' names '\(name)' twice")
      }
    }
    // Files that other programs wrote, or changed on purpose, need none.
    if let expected = try attributes.text("checksum") {
      guard expected == "crc32:\(checksum.hexadecimal)" else {
        throw EngineError(
          .format,
          "the checksum is wrong ('\(expected)' stored, 'crc32:\(checksum.hexadecimal)' found): the "
            + "file is damaged, or was changed without updating the attribute 'checksum'")
      }
      contents.report.isVerified = true
    }
    return contents
  }
}

extension CellDescription {
  /// Blocks of kernel, recurrent kernel and bias, in order.
  var gateOrder: [String] {
    switch self {
    case .simple: return ["state"]
    case .gru: return ["update", "reset", "candidate"]
    case .lstm(let cell):
      var order: [String] = []
      if cell.inputBlock != nil { order.append("input") }
      if cell.forgetBlock != nil { order.append("forget") }
      order.append("cell")
      if cell.outputBlock != nil { order.append("output") }
      return order
    }
  }

  /// What the arrays mean, for people: `@` is the product of a row vector and a matrix.
  var equations: String {
    switch self {
    case .simple:
      return "h = activation(x @ kernel + h1 @ recurrent_kernel + bias)"
    case .gru(let cell):
      return cell.resetAfter
        ? """
        a = x @ kernel + bias[0]; b = h1 @ recurrent_kernel + bias[1]
        z = sigmoid(a.z + b.z); r = sigmoid(a.r + b.r); n = tanh(a.h + r*b.h)
        h = z*h1 + (1 - z)*n
        """
        : """
        a = x @ kernel + bias; U = recurrent_kernel
        z = sigmoid(a.z + h1 @ U.z); r = sigmoid(a.r + h1 @ U.r); n = tanh(a.h + (r*h1) @ U.h)
        h = z*h1 + (1 - z)*n
        """
    case .lstm(let cell): return cell.equations
    }
  }
}

extension LSTMDescription {
  fileprivate var equations: String {
    var lines = ["a = x @ kernel + h1 @ recurrent_kernel + bias (blocks as in gate_order)"]
    if layerNorm {
      lines[0] =
        "a = LN(x @ kernel)*layer_norm_input_scale "
        + "+ LN(h1 @ recurrent_kernel)*layer_norm_recurrent_scale + bias"
    }
    let times = peepholeKind == .dense ? "@" : "*"
    func peep(_ isOn: Bool, _ state: String, _ name: String) -> String {
      isOn ? " + \(state) \(times) peephole_\(name)" : ""
    }
    lines.append(
      hasInputGate ? "i = sigmoid(a.input\(peep(inputPeephole, "c1", "input")))" : "i = 1")
    if couplesGates {
      lines.append("f = 1 - i")
    } else {
      lines.append(
        hasForgetGate ? "f = sigmoid(a.forget\(peep(forgetPeephole, "c1", "forget")))" : "f = 1")
    }
    lines.append("c = f*c1 + i*activation(a.cell)" + (cellClip == nil ? "" : ", clipped"))
    lines.append(
      hasOutputGate ? "o = sigmoid(a.output\(peep(outputPeephole, "c", "output")))" : "o = 1")
    let state =
      layerNorm ? "LN(c)*layer_norm_cell_scale + layer_norm_cell_offset" : "c"
    lines.append("h = o*output_activation(\(state))" + (projection == nil ? "" : " @ projection"))
    return lines.joined(separator: "\n")
  }
}
