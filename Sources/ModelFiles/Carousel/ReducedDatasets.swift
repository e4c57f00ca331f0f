import LSTM

/// Weights in reduced precision in our own layout: a dataset of codes where the values would be. int8 codes
/// have their scales beside them, under the same name with `_scale`.
enum ReducedDatasets {
  static let precisionAttribute = "precision"
  private static let scaleSuffix = "_scale"

  static func write(
    _ array: ReducedArray, shape: [Int], to key: String, below layers: HDF5GroupWriter,
    compression: Int
  ) throws(EngineError) {
    let codes = try WeightArray(shape: shape)
    for index in 0..<codes.count { codes.values[index] = Double(array.code(index)) }
    guard array.format == .int8 else {
      // As Keras marks it.
      let storage = HDF5Storage(number: .uint16, compression: compression)
      try layers.write(codes, to: key, as: storage).set("dtype", "bfloat16")
      return
    }
    try layers.write(
      codes, to: key, as: HDF5Storage(number: .int8, compression: compression)
    ).set("scale", key.split(separator: "/").last.map { $0 + scaleSuffix } ?? "")
    let scales = try WeightArray(shape: array.scalesRows ? [array.rows, 1] : [array.columns])
    for index in 0..<scales.count { scales.values[index] = Double(array.scales.pointer[index]) }
    try layers.write(scales, to: key + scaleSuffix, as: HDF5Storage(compression: compression))
  }

  /// The values of a dataset, scaled if it holds int8 codes. (bfloat16 is read as such anyway.)
  static func read(
    _ key: String, below layers: HDF5Group, precision: ModelContents.Precision
  ) throws(EngineError) -> WeightArray {
    let dataset = try layers.dataset(key)
    guard precision == .int8, dataset.typeName == "int8" else { return try dataset.read() }
    let array = try dataset.read()
    guard array.shape.count == 2 else {
      throw EngineError(
        .shape, "'\(key)' holds int8 codes of shape \(describe(array.shape)), expected a matrix")
    }
    let (rows, columns) = (array.shape[0], array.shape[1])
    let scales = try layers.dataset(key + scaleSuffix).read()
    guard scales.shape == [columns] || scales.shape == [rows, 1] else {
      throw EngineError(
        .shape,
        "'\(key + scaleSuffix)' has shape \(describe(scales.shape)), expected (\(columns),) or "
          + "(\(rows), 1)")
    }
    for index in scales.values.indices where !(0...1e38).contains(scales.values[index]) {
      throw EngineError(
        .numeric, "'\(key + scaleSuffix)' has the value \(scales.values[index]) at \(index)")
    }
    let scalesRows = scales.shape.count == 2
    for row in 0..<rows {
      for column in 0..<columns {
        let scale = Float(scales.values[scalesRows ? row : column])
        array[row, column] = Double(Float(array[row, column]) * scale)
      }
    }
    return array
  }
}

extension ModelContents.Precision {
  /// How other layouts, and the arrays that stay as they are, store numbers.
  var number: HDF5Storage.Number { self == .float64 ? .float64 : .float32 }

  public var name: String {
    switch self {
    case .float32: "float32"
    case .float64: "float64"
    case .bfloat16: "bfloat16"
    case .int8: "int8"
    }
  }

  /// What holds the matrices.
  public var format: WeightFormat {
    switch self {
    case .float32, .float64: .float32
    case .bfloat16: .bfloat16
    case .int8: .int8
    }
  }

  public init(_ network: AnyNetwork) {
    switch network.format {
    case .float32: self = network.dataType == .float32 ? .float32 : .float64
    case .bfloat16: self = .bfloat16
    case .int8: self = .int8
    }
  }
}
