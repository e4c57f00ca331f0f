import KernelInterface

/// How weights are held: part of the engine's own interface.
public typealias WeightFormat = KernelInterface.WeightFormat

/// How a weight becomes a number of reduced precision.
enum WeightRounding {
  /// Beyond this a weight is refused: no code could stand for it.
  static let limit: Float = 0x1p120

  /// Round to nearest even.
  static func bfloat16(_ x: Float) -> UInt16 {
    let bits = x.bitPattern
    return UInt16(truncatingIfNeeded: (bits &+ 0x7fff &+ ((bits >> 16) & 1)) >> 16)
  }

  static func value(bfloat16 code: UInt16) -> Float { Float(bitPattern: UInt32(code) << 16) }

  /// The scale of a column whose largest magnitude is `largest`: the next number of 16 significant bits from
  /// largest / 127 upwards. So code · scale is exact in single precision, the largest code is 127,
  /// and the scale can be told from the values: rounding them again changes nothing. 0 below 2⁻¹⁰⁰.
  static func scale(largest: Float) -> Float {
    guard largest >= 0x1p-100 else { return 0 }
    let quotient = largest / 127
    // The quotient is rounded itself: up again if it came out too small.
    var bits = (quotient.bitPattern &+ 0xff) & ~0xff
    if Float(bitPattern: bits) * 127 < largest { bits &+= 0x100 }
    return Float(bitPattern: bits)
  }

  static func int8(_ x: Float, scale: Float) -> Int8 {
    guard scale > 0 else { return 0 }
    return Int8(max(-127, min(127, (x / scale).rounded(.toNearestOrEven))))
  }
}

extension WeightFormat {
  /// As files, messages and callers call it.
  public var name: String {
    switch self {
    case .float32: "float32"
    case .bfloat16: "bfloat16"
    case .int8: "int8"
    }
  }
}
