// One vector register and the operations that differ between instruction sets. Everything in this
// folder uses pointers and SIMD types only: an Array or a generic helper would leave weak symbols
// that the linker may take from the wrong instruction set (scripts/check-kernel-symbols).

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

#if KERNELS_AVX512
  typealias Vector = SIMD16<Float>
  typealias IntVector = SIMD16<Int32>
  typealias BitVector = SIMD16<UInt32>
  let instructionSetName: StaticString = "avx512"
#elseif KERNELS_AVX2
  typealias Vector = SIMD8<Float>
  typealias IntVector = SIMD8<Int32>
  typealias BitVector = SIMD8<UInt32>
  let instructionSetName: StaticString = "avx2"
#else
  typealias Vector = SIMD4<Float>
  typealias IntVector = SIMD4<Int32>
  typealias BitVector = SIMD4<UInt32>
  let instructionSetName: StaticString = "baseline"
#endif

/// Floats in a vector.
@inline(always) var lanes: Int { Vector.scalarCount }

/// n rounded up to whole vectors.
@inline(always) func wholeVectors(_ n: Int) -> Int { (n + lanes - 1) / lanes * lanes }

typealias Floats = UnsafePointer<Float>
typealias MutableFloats = UnsafeMutablePointer<Float>

// Loads and stores go through memcpy, which becomes one instruction that needs no alignment. The
// standard library's `loadUnaligned` is a generic function that large callers do not inline.

@inline(always) func load(_ p: Floats) -> Vector {
  var v = Vector(repeating: 0)
  memcpy(&v, p, MemoryLayout<Vector>.size)
  return v
}

@inline(always) func load(_ p: MutableFloats) -> Vector { load(Floats(p)) }

@inline(always) func store(_ v: Vector, _ p: MutableFloats) {
  var v = v
  memcpy(p, &v, MemoryLayout<Vector>.size)
}

@inline(always) func splat(_ x: Float) -> Vector { Vector(repeating: x) }

/// a b + c. One rounding where the processor has it as an instruction; x86-64 without FMA would call
/// the C library for each lane, so there it is two.
@inline(always) func fma(_ a: Vector, _ b: Vector, _ c: Vector) -> Vector {
  #if arch(x86_64) && !KERNELS_AVX2 && !KERNELS_AVX512
    a * b + c
  #else
    c.addingProduct(a, b)
  #endif
}

/// The scalar form, with the same roundings.
@inline(always) func fma(_ a: Float, _ b: Float, _ c: Float) -> Float {
  #if arch(x86_64) && !KERNELS_AVX2 && !KERNELS_AVX512
    a * b + c
  #else
    c.addingProduct(a, b)
  #endif
}

/// min(x, limit), NaN stays NaN.
@inline(always) func atMost(_ x: Vector, _ limit: Vector) -> Vector {
  x.replacing(with: limit, where: x .> limit)
}

/// max(x, limit), NaN stays NaN.
@inline(always) func atLeast(_ x: Vector, _ limit: Vector) -> Vector {
  x.replacing(with: limit, where: x .< limit)
}

@inline(always) func bits(_ x: Vector) -> BitVector { unsafeBitCast(x, to: BitVector.self) }
@inline(always) func float(_ x: BitVector) -> Vector { unsafeBitCast(x, to: Vector.self) }

@inline(always) func magnitude(_ x: Vector) -> Vector {
  float(bits(x) & BitVector(repeating: 0x7fff_ffff))
}

@inline(always) func copySign(of sign: Vector, to x: Vector) -> Vector {
  float(
    (bits(x) & BitVector(repeating: 0x7fff_ffff)) | (bits(sign) & BitVector(repeating: 0x8000_0000))
  )
}

/// The first `count` floats, the other lanes 0. For the ragged end of a row only.
@inline(always) func load(_ p: Floats, count: Int) -> Vector {
  var v = Vector(repeating: 0)
  for lane in 0..<count { v[lane] = p[lane] }
  return v
}

@inline(always) func store(_ v: Vector, _ p: MutableFloats, count: Int) {
  for lane in 0..<count { p[lane] = v[lane] }
}

/// x within ± limit, NaN stays NaN.
@inline(always) func clip(_ x: Vector, _ limit: Float) -> Vector {
  atLeast(atMost(x, splat(limit)), splat(-limit))
}
