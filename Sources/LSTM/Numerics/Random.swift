#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// SplitMix64 (Steele, Lea & Flood 2014): small, and its state is one number that can be saved.
public struct RandomGenerator: RandomNumberGenerator, Sendable {
  public var state: UInt64

  public init(seed: UInt64) { state = seed }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    return RandomGenerator.mix(state)
  }

  /// Uniform in [0, 1), 53 bits.
  public mutating func uniform() -> Double { RandomGenerator.unit(next()) }

  /// Standard normal (Box & Muller 1958).
  public mutating func normal() -> Double {
    let radius = (-2 * log(1 - uniform())).squareRoot()
    return radius * cos(2 * Double.pi * uniform())
  }

  /// Uniform in [0, 1) as a function of a key and an index: the same whatever the order, or the
  /// thread, in which the elements are drawn.
  public static func uniform(key: UInt64, index: Int) -> Double {
    unit(mix(mix(key) &+ UInt64(bitPattern: Int64(index)) &* 0x9E37_79B9_7F4A_7C15))
  }

  /// Standard normal as a function of a key and an index.
  public static func normal(key: UInt64, index: Int) -> Double {
    let radius = (-2 * log(1 - uniform(key: key, index: 2 * index))).squareRoot()
    return radius * cos(2 * Double.pi * uniform(key: key, index: 2 * index + 1))
  }

  /// A key for one purpose, derived from another key.
  public static func derive(_ key: UInt64, _ purpose: Int) -> UInt64 {
    mix(key ^ mix(UInt64(bitPattern: Int64(purpose)) &+ 0xD1B5_4A32_D192_ED03))
  }

  private static func mix(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  private static func unit(_ bits: UInt64) -> Double { Double(bits >> 11) * 0x1p-53 }
}
