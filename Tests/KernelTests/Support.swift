import KernelInterface
import LSTM
import TestSupport
import Testing

/// The instruction sets that this machine can run: most tests run once for each.
let instructionSets = InstructionSet.supported

/// The sets that fuse multiply and add, and so must agree bit for bit.
let fusedSets = instructionSets.filter { $0.fuses }

extension InstructionSet {
  var fuses: Bool {
    #if arch(x86_64)
      self != .baseline
    #else
      true
    #endif
  }

  /// a b + c with the roundings of this set's kernels.
  func fma(_ a: Float, _ b: Float, _ c: Float) -> Float {
    fuses ? c.addingProduct(a, b) : a * b + c
  }
}

/// Small repeatable pseudo-random numbers (SplitMix64).
struct Random: RandomNumberGenerator {
  var state: UInt64

  init(_ seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  mutating func values(_ count: Int, in range: ClosedRange<Float> = -1...1) -> [Float] {
    (0..<count).map { _ in Float.random(in: range, using: &self) }
  }
}

/// Rows of floats at a stride, in aligned memory that ends at a page which cannot be touched: who
/// reads or writes past the last row (rounded up to 64 bytes) ends the test.
final class Matrix {
  let rows: Int
  let columns: Int
  let stride: Int
  let pointer: UnsafeMutablePointer<Float>
  private let memory: GuardedMemory
  private static let canary: Float = 12345.678

  /// `stride` nil: the engine's, columns rounded up to 16.
  init(_ rows: Int, _ columns: Int, stride: Int? = nil, values: [Float]? = nil) throws {
    self.rows = rows
    self.columns = columns
    self.stride = try stride ?? Memory.rowStride(columns)
    let count = (rows * self.stride + 15) / 16 * 16
    memory = try GuardedMemory(byteCount: count * MemoryLayout<Float>.stride)
    pointer = memory.start.bindMemory(to: Float.self, capacity: max(count, 1))
    for i in (rows * self.stride)..<count { pointer[i] = Matrix.canary }
    if let values {
      for r in 0..<rows { for c in 0..<columns { self[r, c] = values[r * columns + c] } }
    }
  }

  convenience init(
    _ rows: Int, _ columns: Int, stride: Int? = nil, random: inout Random,
    in range: ClosedRange<Float> = -1...1
  ) throws {
    try self.init(
      rows, columns, stride: stride, values: random.values(rows * columns, in: range))
  }

  subscript(row: Int, column: Int) -> Float {
    get { pointer[row * stride + column] }
    set { pointer[row * stride + column] = newValue }
  }

  /// The elements without the padding.
  var values: [Float] { (0..<rows).flatMap { r in (0..<columns).map { self[r, $0] } } }

  /// What lies between the last row and the page behind it is as it was.
  var isIntact: Bool {
    let end = rows * stride
    return (end..<(end + 15) / 16 * 16).allSatisfy { pointer[$0] == Matrix.canary }
  }

  func fill(_ value: Float) { for i in 0..<(rows * stride) { pointer[i] = value } }

  func copy() throws -> Matrix {
    let other = try Matrix(rows, columns, stride: stride)
    for i in 0..<(rows * stride) { other.pointer[i] = pointer[i] }
    return other
  }
}

/// The same numbers, bit for bit (any NaN equals any NaN).
func sameBits(_ a: [Float], _ b: [Float]) -> Bool {
  a.count == b.count
    && zip(a, b).allSatisfy { $0.bitPattern == $1.bitPattern || ($0.isNaN && $1.isNaN) }
}

func largestDifference(_ a: [Float], _ b: [Double]) -> Double {
  zip(a, b).map { abs(Double($0) - $1) }.max() ?? 0
}
