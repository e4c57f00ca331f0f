// Elementary functions: polynomials evaluated by fused multiply-adds, the same operations in every
// lane and on every instruction set. Worst errors are in docs/adding-an-instruction-set.md.

/// Adding 1.5 * 2^23 leaves the rounded integer in the low bits of the sum.
private let magic: Float = 12_582_912
/// The same with the bias of an exponent.
private let biasedMagic: Float = 12_582_912 + 127

/// x = n ln 2 + r with |r| <= ln 2 / 2; n in the low bits of an integer, ready for an exponent.
@inline(always) private func reduce(_ x: Vector) -> (r: Vector, n: Bits) {
  let shifted = fma(x, splat(1.442_695_04), splat(magic))
  let n = shifted - splat(magic)
  return (subtractLogarithms(n, from: x), bits(shifted))
}

/// x - n ln 2, ln 2 in two parts: the first has trailing zeros, so that n * part is exact.
@inline(always) private func subtractLogarithms(_ n: Vector, from x: Vector) -> Vector {
  fma(n, splat(2.121_944_4e-4), fma(n, splat(-0.693_359_375), x))
}

/// The same of 2 x for exp(2 x) - 1, x <= 0, and with the bias of an exponent in n: what ln 2 in one part leaves of n is 2e-9 n 2^n
/// there, a thirtieth of the last place. n does not wait for the sum.
@inline(always) private func reduce(twice x: Vector) -> (r: Vector, n: Bits) {
  let shifted = fma(x, splat(2 * 1.442_695_04), splat(biasedMagic))
  let n = shifted - splat(biasedMagic)
  return (fma(n, splat(-0.693_147_18), x + x), bits(shifted))
}

/// The same of -x for gates: what ln 2 in one part leaves of n is 2e-9 n of the exponential, half a last place of a gate of 1e-9,
/// if its product with n is not rounded.
@inline(always) private func reduce(opposite x: Vector) -> (r: Vector, n: Bits) {
  let shifted = fma(x, splat(-1.442_695_04), splat(biasedMagic))
  let n = shifted - splat(biasedMagic)
  let opposite = splat(-0.0) - x
  let r =
    fusesMultiplyAdd
    ? fma(n, splat(-0.693_147_18), opposite) : subtractLogarithms(n, from: opposite)
  return (r, bits(shifted))
}

/// exp(r) - 1 - r on |r| <= ln 2 / 2, added to `start`, by the polynomial that makes the relative error of exp(r) - 1 least
/// (2^-25.7, by Remez' exchange), as a shallow tree of operations: a step at batch 1 waits for each level of it.
@inline(always) private func smallExponential(_ r: Vector, from start: Vector) -> Vector {
  let square = r * r
  let low = fma(r, splat(1.666_654_3e-1), splat(0.5))
  let high = fma(square, splat(1.394_645_1e-3), fma(r, splat(8.366_584e-3), splat(4.166_628e-2)))
  return fma(high, square * square, fma(low, square, start))
}

@inline(always) private func smallExponentialMinusOne(_ r: Vector) -> Vector {
  smallExponential(r, from: r)
}

/// 2^n for n in -126...127, n in the low bits as `reduce` leaves it.
@inline(always) private func powerOfTwo(_ n: Bits) -> Vector {
  float((n &<< 23) &+ splat(bits: 0x3f80_0000))
}

/// The same, n with its bias.
@inline(always) private func powerOfTwo(biased n: Bits) -> Vector { float(n &<< 23) }

/// max(-|x|, limit), NaN stays NaN.
@inline(always) private func minusMagnitude(_ x: Vector, atLeast limit: Float) -> Vector {
  atLeast(float(bits(x) | splat(bits: 0x8000_0000)), splat(limit))
}

@inline(always) func exponential(_ x: Vector) -> Vector {
  // Beyond these bounds the result is 0 or infinity anyway.
  let (r, shifted) = reduce(atMost(atLeast(x, splat(-104)), splat(89)))
  let p = smallExponentialMinusOne(r) + splat(1)
  // 2^n in two factors: n may be below -126 (denormal results) or 128.
  let n = shifted &- splat(bits: 0x4b40_0000)
  let half = n &>> 1
  return p * powerOfTwo(half) * powerOfTwo(n &- half)
}

/// exp(-|x|) 2^64, so that it never is denormal: the product with 2^-64 then rounds once.
@inline(always) private func scaledExponentialOfMinusMagnitude(_ x: Vector) -> Vector {
  let (r, n) = reduce(minusMagnitude(x, atLeast: -104))
  let scale = float((n &<< 23) &+ splat(bits: 0x5f80_0000))
  return (smallExponentialMinusOne(r) + splat(1)) * scale
}

private let inverseScale: Float = 0x1p-64

/// 1 / (1 + exp(-x)), from exp(-|x|) so that small results keep their relative accuracy.
@inline(always) func sigmoid(_ x: Vector) -> Vector {
  let scaled = scaledExponentialOfMinusMagnitude(x)
  let denominator = fma(scaled, splat(inverseScale), splat(1))
  let numerator = select(x .< splat(0), scaled * splat(inverseScale), splat(1))
  return numerator / denominator
}

/// 1 + exp(-x), of which a gate is the reciprocal: small gates keep their relative accuracy without a numerator of their own. The
/// bounds keep the double of it finite and 2^n normal: no gate is below 1.6e-38.
@inline(always) func gateDenominator(_ x: Vector) -> Vector {
  let (r, n) = reduce(opposite: atMost(atLeast(x, splat(-87)), splat(87)))
  return fma(powerOfTwo(biased: n), smallExponential(r, from: splat(1) + r), splat(1))
}

/// tanh before its division, which costs as much as ten multiplications.
struct TanhFraction {
  var numerator: Vector
  /// Of the denominator over 2.
  var excess: Vector

  @inline(always) var denominator: Vector { splat(2) + excess }
  @inline(always) var value: Vector { numerator / denominator }

  /// The denominator times another one. It does not wait for 2 + excess.
  @inline(always) func denominator(times other: Vector) -> Vector {
    fma(other, excess, other + other)
  }

  /// tanh times a gate that is the reciprocal of `other`: one division for both.
  @inline(always) func value(dividedBy other: Vector) -> Vector {
    numerator / denominator(times: other)
  }
}

/// tanh |x| = -m / (2 + m), m = exp(-2 |x|) - 1 computed without cancellation.
@inline(always) func tanhFraction(_ x: Vector) -> TanhFraction {
  // tanh 10 is 1 in float; the bound keeps 2^n normal.
  let (r, n) = reduce(twice: minusMagnitude(x, atLeast: -10))
  let scale = powerOfTwo(biased: n)
  let m = fma(scale, smallExponentialMinusOne(r), scale - splat(1))
  return TanhFraction(numerator: copySign(of: x, to: m), excess: m)
}

@inline(always) func tanh(_ x: Vector) -> Vector { tanhFraction(x).value }

/// log(1 + e) for 0 <= e <= 1 (polynomial of Cephes' logf).
@inline(always) private func logOnePlus(_ e: Vector) -> Vector {
  let large = e .> splat(0.414_213_56)
  let f = select(large, (e - splat(1)) * splat(0.5), e)
  var p = splat(7.037_683_6e-2)
  p = fma(p, f, splat(-1.151_461_03e-1))
  p = fma(p, f, splat(1.167_699_87e-1))
  p = fma(p, f, splat(-1.242_014_08e-1))
  p = fma(p, f, splat(1.424_932_28e-1))
  p = fma(p, f, splat(-1.666_805_77e-1))
  p = fma(p, f, splat(2.000_071_48e-1))
  p = fma(p, f, splat(-2.499_999_4e-1))
  p = fma(p, f, splat(3.333_333_1e-1))
  let square = f * f
  let log = fma(p * f, square, square * splat(-0.5)) + f
  return select(large, log + splat(0.693_147_18), log)
}

@inline(always) func softplus(_ x: Vector) -> Vector {
  let positive = atLeast(x, splat(0))
  return positive + logOnePlus(scaledExponentialOfMinusMagnitude(x) * splat(inverseScale))
}

/// exp(x) - 1 without cancellation, for x <= 0.
@inline(always) func exponentialMinusOne(_ x: Vector) -> Vector {
  let (r, shifted) = reduce(atLeast(x, splat(-30)))
  let scale = powerOfTwo(shifted)
  return fma(scale, smallExponentialMinusOne(r), scale - splat(1))
}

/// Φ(x) = (1 + erf(x / sqrt 2)) / 2. erf as in N. Juffa's erff: a polynomial up to 0.93, then
/// 1 - exp(polynomial), whose exponential gives the lower tail without cancellation.
@inline(always) func normalDistribution(_ x: Vector) -> Vector {
  let z = x * splat(0.707_106_77)
  let t = magnitude(z)
  let s = z * z
  var r = fma(splat(-1.728_534_7e-5), t, splat(3.831_971_26e-4))
  let u = fma(splat(-3.883_964_38e-3), t, splat(2.425_462_19e-2))
  r = fma(r, s, u)
  r = fma(r, t, splat(-1.067_778_77e-1))
  r = fma(r, t, splat(-6.348_466_87e-1))
  r = fma(r, t, splat(-1.287_175_12e-1))
  // Past t = 10 the result is 0 or 1; the polynomial must not be asked there.
  r = select(t .> splat(10), splat(-104), fma(r, t, splat(0) - t))
  let tail = splat(0.5) * exponential(r)
  let far = select(z .< splat(0), tail, splat(1) - tail)
  var p = splat(-5.967_617_03e-4)
  p = fma(p, s, splat(4.991_194_23e-3))
  p = fma(p, s, splat(-2.676_813_49e-2))
  p = fma(p, s, splat(1.128_199_25e-1))
  p = fma(p, s, splat(-3.761_253_36e-1))
  p = fma(p, s, splat(1.283_791_66e-1))
  let near = fma(splat(0.5), fma(p, z, z), splat(0.5))
  return select(t .> splat(0.927_734_375), far, near)
}
