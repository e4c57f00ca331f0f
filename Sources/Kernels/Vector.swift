// One vector register and its operations, each of which is one instruction.
//
// The standard library's SIMD types would read the same, but they define their arithmetic lane by
// lane and leave it to LLVM to find the vector operation again. It mostly does, not always, and each
// lane costs time to compile. The compiler's own vector operations say what is meant.
//
// Everything in this folder uses pointers and these types only: an Array or a generic helper would
// leave weak symbols that the linker may take from the wrong instruction set
// (scripts/check-kernel-symbols). Functions on vectors are inlined always: as arguments, vectors
// wider than 128 bits would be passed in pieces and computed on in pieces.

import Builtin

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

#if KERNELS_AVX512
  typealias FloatRegister = Builtin.Vec16xFPIEEE32
  typealias IntRegister = Builtin.Vec16xInt32
  typealias MaskRegister = Builtin.Vec16xInt1
  typealias PairRegister = Builtin.Vec32xInt16
  /// Floats in a vector.
  @inline(always) var lanes: Int { 16 }
  #if KERNELS_AVX512_BF16
    let instructionSetName: StaticString = "avx512_bf16"
  #else
    let instructionSetName: StaticString = "avx512"
  #endif
#elseif KERNELS_AVX2
  typealias FloatRegister = Builtin.Vec8xFPIEEE32
  typealias IntRegister = Builtin.Vec8xInt32
  typealias MaskRegister = Builtin.Vec8xInt1
  typealias PairRegister = Builtin.Vec16xInt16
  @inline(always) var lanes: Int { 8 }
  let instructionSetName: StaticString = "avx2"
#else
  typealias FloatRegister = Builtin.Vec4xFPIEEE32
  typealias IntRegister = Builtin.Vec4xInt32
  typealias MaskRegister = Builtin.Vec4xInt1
  typealias PairRegister = Builtin.Vec8xInt16
  @inline(always) var lanes: Int { 4 }
  let instructionSetName: StaticString = "baseline"
#endif

typealias Floats = UnsafePointer<Float>
typealias MutableFloats = UnsafeMutablePointer<Float>

/// `lanes` floats.
struct Vector {
  var register: FloatRegister

  @inline(always) init(_ register: FloatRegister) { self.register = register }
}

/// `lanes` 32-bit integers.
struct Bits {
  var register: IntRegister

  @inline(always) init(_ register: IntRegister) { self.register = register }
}

/// `lanes` truth values.
struct Mask {
  var register: MaskRegister

  @inline(always) init(_ register: MaskRegister) { self.register = register }
}

/// n rounded up to whole vectors.
@inline(always) func wholeVectors(_ n: Int) -> Int { (n + lanes - 1) / lanes * lanes }

// MARK: - Memory

// memcpy of a vector becomes one instruction that needs no alignment.

@inline(always) func load(_ p: Floats) -> Vector {
  var v = splat(0)
  memcpy(&v, p, MemoryLayout<Vector>.size)
  return v
}

@inline(always) func load(_ p: MutableFloats) -> Vector { load(Floats(p)) }

@inline(always) func store(_ v: Vector, _ p: MutableFloats) {
  var v = v
  memcpy(p, &v, MemoryLayout<Vector>.size)
}

/// The first `count` floats, the other lanes 0. For the ragged end of a row only.
@inline(always) func load(_ p: Floats, count: Int) -> Vector {
  var v = splat(0)
  memcpy(&v, p, count * MemoryLayout<Float>.size)
  return v
}

@inline(always) func store(_ v: Vector, _ p: MutableFloats, count: Int) {
  var v = v
  memcpy(p, &v, count * MemoryLayout<Float>.size)
}

/// Whole, or `count` floats at the ragged end of a row.
@inline(always) func load(_ p: Floats, upTo count: Int) -> Vector {
  count == lanes ? load(p) : load(p, count: count)
}

@inline(always) func store(_ v: Vector, _ p: MutableFloats, upTo count: Int) {
  if count == lanes { store(v, p) } else { store(v, p, count: count) }
}

/// The first multiple of 64 bytes in some scratch on the stack, which Swift aligns to 16 only: vectors
/// that straddle cache lines are slow to write and read again.
@inline(always) func aligned(_ p: UnsafeMutableRawPointer) -> MutableFloats {
  p.alignedUp(toMultipleOf: 64).assumingMemoryBound(to: Float.self)
}

// MARK: - Halves

/// The lower halves of two vectors, side by side.
@inline(always) func joinHalves(_ lower: Vector, _ upper: Vector) -> Vector {
  let half = Int32(truncatingIfNeeded: lanes / 2)
  var v = lower
  for lane in 0..<half { v[lane + half] = upper[lane] }
  return v
}

/// One half of a vector, zeros above it.
@inline(always) func half(_ v: Vector, upper: Bool) -> Vector {
  let half = Int32(truncatingIfNeeded: lanes / 2)
  var result = splat(0)
  for lane in 0..<half { result[lane] = v[upper ? lane + half : lane] }
  return result
}

// MARK: - Derived operations

/// min(x, limit), NaN stays NaN.
@inline(always) func atMost(_ x: Vector, _ limit: Vector) -> Vector {
  select(x .> limit, limit, x)
}

/// max(x, limit), NaN stays NaN.
@inline(always) func atLeast(_ x: Vector, _ limit: Vector) -> Vector {
  select(x .< limit, limit, x)
}

/// x within ± limit, NaN stays NaN.
@inline(always) func clip(_ x: Vector, _ limit: Float) -> Vector {
  atLeast(atMost(x, splat(limit)), splat(-limit))
}

@inline(always) func magnitude(_ x: Vector) -> Vector { float(bits(x) & splat(bits: 0x7fff_ffff)) }

@inline(always) func copySign(of sign: Vector, to x: Vector) -> Vector {
  float((bits(x) & splat(bits: 0x7fff_ffff)) | (bits(sign) & splat(bits: 0x8000_0000)))
}

/// Whether `fma` rounds once.
@inline(always) var fusesMultiplyAdd: Bool {
  #if arch(x86_64) && !KERNELS_AVX2 && !KERNELS_AVX512
    false
  #else
    true
  #endif
}

/// The scalar form of `fma`, with the same roundings.
@inline(always) func fma(_ a: Float, _ b: Float, _ c: Float) -> Float {
  fusesMultiplyAdd ? c.addingProduct(a, b) : a * b + c
}
