// Weights in reduced precision, and the operations on vectors that only they need.

import Builtin

#if KERNELS_AVX512_BF16
  import CInstructions
#endif

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

typealias Bytes = UnsafeRawPointer
typealias Codes = UnsafeMutablePointer<Int16>

/// `lanes` pairs of 16-bit integers: the factors of one multiply-add of pairs.
struct Pairs {
  var register: PairRegister

  @inline(always) init(_ register: PairRegister) { self.register = register }
}

@inline(always) func loadBits(_ p: Bytes) -> Bits {
  var v = splat(bits: 0)
  memcpy(&v, p, MemoryLayout<Bits>.size)
  return v
}

/// The even and the odd vector of a row of bfloat16 words.
@inline(always) func lower(_ words: Bits) -> Vector { float(words &<< 16) }
@inline(always) func upper(_ words: Bits) -> Vector { float(words & splat(bits: 0xffff_0000)) }

/// For each lane c + the two products of whole numbers. Exact, so every set has the same bits. `waits`: too
/// few sums are under way to hide the latency of one instruction that does it all.
@inline(always) func addPairs(_ a: Pairs, _ b: Pairs, _ c: Bits, waits: Bool) -> Bits {
  #if KERNELS_AVX512_BF16
    if !waits {
      var (a, b, c) = (a, b, c)
      carousel_vpdpwssd(&c, &a, &b)
      return c
    }
  #endif
  return c &+ multiplyPairs(a, b)
}

/// Whether products of bfloat16 round both factors to it, two ks at a time.
@inline(always) var pairsBrainFloats: Bool {
  #if KERNELS_AVX512_BF16
    return true
  #else
    return false
  #endif
}

/// For each lane c + the two products of bfloat16, that of the upper halves first.
@inline(always) func addBrainPairs(_ a: Pairs, _ b: Pairs, _ c: Bits) -> Bits {
  #if KERNELS_AVX512_BF16
    var (a, b, c) = (a, b, c)
    carousel_vdpbf16ps(&c, &a, &b)
    return c
  #else
    let (x, y) = (bits(a), bits(b))
    return bits(fma(lower(x), lower(y), fma(upper(x), upper(y), float(c))))
  #endif
}

/// For each lane the sum of the two products.
@inline(always) private func multiplyPairs(_ a: Pairs, _ b: Pairs) -> Bits {
  #if KERNELS_AVX512 && !KERNELS_AVX512_ON_AVX2
    return Bits(Builtin.int_x86_avx512_pmaddw_d_512(a.register, b.register))
  #elseif KERNELS_AVX2
    return Bits(Builtin.int_x86_avx2_pmadd_wd(a.register, b.register))
  #elseif arch(x86_64) && !KERNELS_AVX512
    return Bits(Builtin.int_x86_sse2_pmadd_wd(a.register, b.register))
  #else
    let (x, y) = (bits(a), bits(b))
    return ((x &<< 16) &>> 16) &* ((y &<< 16) &>> 16) &+ (x &>> 16) &* (y &>> 16)
  #endif
}

/// The larger of two numbers without sign.
@inline(always) func larger(_ a: Bits, _ b: Bits) -> Bits { select(a .> b, a, b) }

/// Scratch on the stack that nobody fills with zeros.
@inline(always) func withScratch(bytes: Int, _ body: (UnsafeMutableRawPointer) -> Void) {
  let p = Builtin.stackAlloc(bytes._builtinWordValue, 1._builtinWordValue, 64._builtinWordValue)
  body(UnsafeMutableRawPointer(p))
  Builtin.stackDealloc(p)
}
