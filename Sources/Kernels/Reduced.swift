// Weights in reduced precision, and the operations on vectors that only they need.

import Builtin

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
  #if KERNELS_AVX512
    typealias Register = Builtin.Vec32xInt16
  #elseif KERNELS_AVX2
    typealias Register = Builtin.Vec16xInt16
  #else
    typealias Register = Builtin.Vec8xInt16
  #endif
  var register: Register

  @inline(always) init(_ register: Register) { self.register = register }
}

@inline(always) func loadBits(_ p: Bytes) -> Bits {
  var v = splat(bits: 0)
  memcpy(&v, p, MemoryLayout<Bits>.size)
  return v
}

/// The even and the odd vector of a row of bfloat16 words.
@inline(always) func lower(_ words: Bits) -> Vector { float(words &<< 16) }
@inline(always) func upper(_ words: Bits) -> Vector { float(words & splat(bits: 0xffff_0000)) }

#if KERNELS_AVX512
  /// 2 · `lanes` bytes, as 16-bit integers.
  @inline(always) func loadBytes(_ p: Bytes) -> Pairs {
    var v: Builtin.Vec32xInt8 = Builtin.zeroInitializer()
    memcpy(&v, p, 2 * lanes)
    return Pairs(Builtin.sext_Vec32xInt8_Vec32xInt16(v))
  }

  @inline(always) func pairs(_ x: Bits) -> Pairs {
    Pairs(Builtin.bitcast_Vec16xInt32_Vec32xInt16(x.register))
  }

  /// For each lane the sum of the two products.
  @inline(always) func multiplyPairs(_ a: Pairs, _ b: Pairs) -> Bits {
    #if KERNELS_AVX512_ON_AVX2
      let x = Bits(Builtin.bitcast_Vec32xInt16_Vec16xInt32(a.register))
      let y = Bits(Builtin.bitcast_Vec32xInt16_Vec16xInt32(b.register))
      let first = Builtin.mul_Vec16xInt32(
        ((x &<< 16) &>> 16).register, ((y &<< 16) &>> 16).register)
      let second = Builtin.mul_Vec16xInt32((x &>> 16).register, (y &>> 16).register)
      return Bits(Builtin.add_Vec16xInt32(first, second))
    #else
      return Bits(Builtin.int_x86_avx512_pmaddw_d_512(a.register, b.register))
    #endif
  }

  /// The larger of two numbers without sign.
  @inline(always) func larger(_ a: Bits, _ b: Bits) -> Bits {
    let isLarger = Builtin.cmp_ugt_Vec16xInt32(a.register, b.register)
    return Bits(Builtin.select_Vec16xInt1_Vec16xInt32(isLarger, a.register, b.register))
  }

  @inline(always) func number(_ x: Bits) -> Vector {
    Vector(Builtin.sitofp_Vec16xInt32_Vec16xFPIEEE32(x.register))
  }

  /// The lower halves of the lanes.
  @inline(always) func storeLowerHalves(_ x: Bits, _ p: Codes) {
    var v = Builtin.trunc_Vec16xInt32_Vec16xInt16(x.register)
    memcpy(p, &v, 2 * lanes)
  }
#elseif KERNELS_AVX2
  @inline(always) func loadBytes(_ p: Bytes) -> Pairs {
    var v: Builtin.Vec16xInt8 = Builtin.zeroInitializer()
    memcpy(&v, p, 2 * lanes)
    return Pairs(Builtin.sext_Vec16xInt8_Vec16xInt16(v))
  }

  @inline(always) func pairs(_ x: Bits) -> Pairs {
    Pairs(Builtin.bitcast_Vec8xInt32_Vec16xInt16(x.register))
  }

  @inline(always) func multiplyPairs(_ a: Pairs, _ b: Pairs) -> Bits {
    Bits(Builtin.int_x86_avx2_pmadd_wd(a.register, b.register))
  }

  /// The larger of two numbers without sign.
  @inline(always) func larger(_ a: Bits, _ b: Bits) -> Bits {
    let isLarger = Builtin.cmp_ugt_Vec8xInt32(a.register, b.register)
    return Bits(Builtin.select_Vec8xInt1_Vec8xInt32(isLarger, a.register, b.register))
  }

  @inline(always) func number(_ x: Bits) -> Vector {
    Vector(Builtin.sitofp_Vec8xInt32_Vec8xFPIEEE32(x.register))
  }

  @inline(always) func storeLowerHalves(_ x: Bits, _ p: Codes) {
    var v = Builtin.trunc_Vec8xInt32_Vec8xInt16(x.register)
    memcpy(p, &v, 2 * lanes)
  }
#else
  @inline(always) func loadBytes(_ p: Bytes) -> Pairs {
    var v: Builtin.Vec8xInt8 = Builtin.zeroInitializer()
    memcpy(&v, p, 2 * lanes)
    return Pairs(Builtin.sext_Vec8xInt8_Vec8xInt16(v))
  }

  @inline(always) func pairs(_ x: Bits) -> Pairs {
    Pairs(Builtin.bitcast_Vec4xInt32_Vec8xInt16(x.register))
  }

  @inline(always) func multiplyPairs(_ a: Pairs, _ b: Pairs) -> Bits {
    #if arch(x86_64)
      Bits(Builtin.int_x86_sse2_pmadd_wd(a.register, b.register))
    #else
      let x = Bits(Builtin.bitcast_Vec8xInt16_Vec4xInt32(a.register))
      let y = Bits(Builtin.bitcast_Vec8xInt16_Vec4xInt32(b.register))
      let first = Builtin.mul_Vec4xInt32(((x &<< 16) &>> 16).register, ((y &<< 16) &>> 16).register)
      let second = Builtin.mul_Vec4xInt32((x &>> 16).register, (y &>> 16).register)
      return Bits(Builtin.add_Vec4xInt32(first, second))
    #endif
  }

  /// The larger of two numbers without sign.
  @inline(always) func larger(_ a: Bits, _ b: Bits) -> Bits {
    let isLarger = Builtin.cmp_ugt_Vec4xInt32(a.register, b.register)
    return Bits(Builtin.select_Vec4xInt1_Vec4xInt32(isLarger, a.register, b.register))
  }

  @inline(always) func number(_ x: Bits) -> Vector {
    Vector(Builtin.sitofp_Vec4xInt32_Vec4xFPIEEE32(x.register))
  }

  @inline(always) func storeLowerHalves(_ x: Bits, _ p: Codes) {
    var v = Builtin.trunc_Vec4xInt32_Vec4xInt16(x.register)
    memcpy(p, &v, 2 * lanes)
  }
#endif

/// Scratch on the stack that nobody fills with zeros.
@inline(always) func withScratch(bytes: Int, _ body: (UnsafeMutableRawPointer) -> Void) {
  let p = Builtin.stackAlloc(bytes._builtinWordValue, 1._builtinWordValue, 64._builtinWordValue)
  body(UnsafeMutableRawPointer(p))
  Builtin.stackDealloc(p)
}
