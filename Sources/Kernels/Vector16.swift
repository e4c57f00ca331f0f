// The operations on vectors of 16 floats, in the compiler's terms. Vector16.swift, Vector8.swift and
// Vector4.swift differ in this number and its double only; one of them is compiled.

#if KERNELS_AVX512
  import Builtin

  #if canImport(Glibc)
    import Glibc
  #elseif canImport(Musl)
    import Musl
  #else
    import Darwin
  #endif

  @inline(always) func splat(_ x: Float) -> Vector {
    let zero: FloatRegister = Builtin.zeroInitializer()
    let index: Builtin.Int32 = Builtin.zeroInitializer()
    let first = Builtin.insertelement_Vec16xFPIEEE32_FPIEEE32_Int32(zero, x._value, index)
    return Vector(
      Builtin.shufflevector_Vec16xFPIEEE32_Vec16xInt32(first, zero, Builtin.zeroInitializer()))
  }

  @inline(always) func splat(bits x: UInt32) -> Bits {
    let zero: IntRegister = Builtin.zeroInitializer()
    let index: Builtin.Int32 = Builtin.zeroInitializer()
    let first = Builtin.insertelement_Vec16xInt32_Int32_Int32(zero, x._value, index)
    return Bits(
      Builtin.shufflevector_Vec16xInt32_Vec16xInt32(first, zero, Builtin.zeroInitializer()))
  }

  /// a b + c. One rounding where the processor has it as an instruction; x86-64 without FMA would
  /// call the C library for each lane, so there it is two.
  @inline(always) func fma(_ a: Vector, _ b: Vector, _ c: Vector) -> Vector {
    #if arch(x86_64) && !KERNELS_AVX2 && !KERNELS_AVX512
      a * b + c
    #else
      Vector(Builtin.int_fma_Vec16xFPIEEE32(a.register, b.register, c.register))
    #endif
  }

  /// `a` where the mask is true, elsewhere `b`.
  @inline(always) func select(_ mask: Mask, _ a: Vector, _ b: Vector) -> Vector {
    Vector(Builtin.select_Vec16xInt1_Vec16xFPIEEE32(mask.register, a.register, b.register))
  }

  @inline(always) func select(_ mask: Mask, _ a: Bits, _ b: Bits) -> Bits {
    Bits(Builtin.select_Vec16xInt1_Vec16xInt32(mask.register, a.register, b.register))
  }

  @inline(always) func bits(_ x: Vector) -> Bits {
    Bits(Builtin.bitcast_Vec16xFPIEEE32_Vec16xInt32(x.register))
  }

  @inline(always) func float(_ x: Bits) -> Vector {
    Vector(Builtin.bitcast_Vec16xInt32_Vec16xFPIEEE32(x.register))
  }

  /// Whole numbers with sign.
  @inline(always) func number(_ x: Bits) -> Vector {
    Vector(Builtin.sitofp_Vec16xInt32_Vec16xFPIEEE32(x.register))
  }

  @inline(always) func pairs(_ x: Bits) -> Pairs {
    Pairs(Builtin.bitcast_Vec16xInt32_Vec32xInt16(x.register))
  }

  @inline(always) func bits(_ x: Pairs) -> Bits {
    Bits(Builtin.bitcast_Vec32xInt16_Vec16xInt32(x.register))
  }

  /// 2 · `lanes` bytes, as 16-bit integers.
  @inline(always) func loadBytes(_ p: Bytes) -> Pairs {
    var v: Builtin.Vec32xInt8 = Builtin.zeroInitializer()
    memcpy(&v, p, 2 * lanes)
    return Pairs(Builtin.sext_Vec32xInt8_Vec32xInt16(v))
  }

  /// The lower halves of the lanes.
  @inline(always) func storeLowerHalves(_ x: Bits, _ p: Codes) {
    var v = Builtin.trunc_Vec16xInt32_Vec16xInt16(x.register)
    memcpy(p, &v, 2 * lanes)
  }

  extension Vector {
    /// For constant lanes only, of which the optimizer makes shuffles.
    @inline(always) subscript(lane: Int32) -> Float {
      get {
        Float(Builtin.extractelement_Vec16xFPIEEE32_Int32(register, lane._value))
      }
      set {
        register = Builtin.insertelement_Vec16xFPIEEE32_FPIEEE32_Int32(
          register, newValue._value, lane._value)
      }
    }

    @inline(always) static func + (a: Vector, b: Vector) -> Vector {
      Vector(Builtin.fadd_Vec16xFPIEEE32(a.register, b.register))
    }

    @inline(always) static func - (a: Vector, b: Vector) -> Vector {
      Vector(Builtin.fsub_Vec16xFPIEEE32(a.register, b.register))
    }

    @inline(always) static func * (a: Vector, b: Vector) -> Vector {
      Vector(Builtin.fmul_Vec16xFPIEEE32(a.register, b.register))
    }

    @inline(always) static func / (a: Vector, b: Vector) -> Vector {
      Vector(Builtin.fdiv_Vec16xFPIEEE32(a.register, b.register))
    }

    @inline(always) static func .< (a: Vector, b: Vector) -> Mask {
      Mask(Builtin.fcmp_olt_Vec16xFPIEEE32(a.register, b.register))
    }

    @inline(always) static func .<= (a: Vector, b: Vector) -> Mask {
      Mask(Builtin.fcmp_ole_Vec16xFPIEEE32(a.register, b.register))
    }

    @inline(always) static func .> (a: Vector, b: Vector) -> Mask {
      Mask(Builtin.fcmp_ogt_Vec16xFPIEEE32(a.register, b.register))
    }

    @inline(always) static func .>= (a: Vector, b: Vector) -> Mask {
      Mask(Builtin.fcmp_oge_Vec16xFPIEEE32(a.register, b.register))
    }
  }

  extension Mask {
    @inline(always) static func | (a: Mask, b: Mask) -> Mask {
      Mask(Builtin.or_Vec16xInt1(a.register, b.register))
    }
  }

  extension Bits {
    @inline(always) static func & (a: Bits, b: Bits) -> Bits {
      Bits(Builtin.and_Vec16xInt32(a.register, b.register))
    }

    @inline(always) static func | (a: Bits, b: Bits) -> Bits {
      Bits(Builtin.or_Vec16xInt32(a.register, b.register))
    }

    @inline(always) static func &+ (a: Bits, b: Bits) -> Bits {
      Bits(Builtin.add_Vec16xInt32(a.register, b.register))
    }

    @inline(always) static func &- (a: Bits, b: Bits) -> Bits {
      Bits(Builtin.sub_Vec16xInt32(a.register, b.register))
    }

    @inline(always) static func &* (a: Bits, b: Bits) -> Bits {
      Bits(Builtin.mul_Vec16xInt32(a.register, b.register))
    }

    /// Of numbers without sign.
    @inline(always) static func .> (a: Bits, b: Bits) -> Mask {
      Mask(Builtin.cmp_ugt_Vec16xInt32(a.register, b.register))
    }

    @inline(always) static func &<< (a: Bits, count: UInt32) -> Bits {
      Bits(Builtin.shl_Vec16xInt32(a.register, splat(bits: count).register))
    }

    /// Arithmetic: the sign is kept.
    @inline(always) static func &>> (a: Bits, count: UInt32) -> Bits {
      Bits(Builtin.ashr_Vec16xInt32(a.register, splat(bits: count).register))
    }
  }
#endif
