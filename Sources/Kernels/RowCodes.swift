// Rows of activations in 16 bits: the other factor of weights in reduced precision. For int8 weights they are whole
// numbers times a scale; the largest magnitude of a row becomes 32767, so that what a row gives depends on
// nothing but itself. For bfloat16 weights in pairs they are bfloat16.

/// Codes that `encode` writes for `n` numbers: whole pairs, and whole vectors.
@inline(always) func codeCount(_ n: Int) -> Int { (n + 15) / 16 * 16 }

/// The scale of a row: its largest magnitude / 32767. 0 for rows that are 0 or nearly so (below 2⁻¹⁰⁰);
/// NaN for rows with an infinity or a NaN, which so becomes every sum that they enter.
func rowScale(_ n: Int, _ x: Floats) -> Float {
  var largest = splat(bits: 0)
  var i = 0
  while i < n {
    let count = n - i < lanes ? n - i : lanes
    // As integers, magnitudes are in order, NaN above infinity.
    let magnitude = bits(load(x + i, upTo: count)) & splat(bits: 0x7fff_ffff)
    largest = larger(magnitude, largest)
    i += count
  }
  var most: UInt32 = 0
  withUnsafeMutablePointer(to: &largest) { p in
    let lane = UnsafeMutableRawPointer(p).assumingMemoryBound(to: UInt32.self)
    for j in 0..<lanes where lane[j] > most { most = lane[j] }
  }
  guard most < 0x7f80_0000 else { return .nan }
  guard most >= 0x0d80_0000 else { return 0 }
  return Float(bitPattern: most) / 32767
}

/// Writes the codes of a part of a row, and zeros behind them up to `codeCount`.
func encode(_ panel: ReducedPanel, _ n: Int, _ x: Floats, _ scale: Float, _ codes: Codes) {
  if panel == .int8 {
    encodeIntegers(n, x, scale, codes)
  } else {
    encode(n, x, codes) { brainFloats($0) }
  }
}

private func encodeIntegers(_ n: Int, _ x: Floats, _ scale: Float, _ codes: Codes) {
  // In 1.5 · 2²³ + y the last bits are y, rounded to a whole number, half to even.
  let shift = splat(12_582_912)
  let factor = splat(scale > 0 ? 1 / scale : 0)
  if scale == scale {
    encode(n, x, codes) { bits(fma($0, factor, shift)) }
  } else {
    encode(n, x, codes) { _ in splat(bits: 0) }
  }
}

/// Rounded to nearest even; NaN stays NaN.
@inline(always) private func brainFloats(_ x: Vector) -> Bits {
  let v = bits(x)
  let odd = (v &>> 16) & splat(bits: 1)
  let rounded = v &+ splat(bits: 0x7fff) &+ odd
  let isNaN = (v & splat(bits: 0x7fff_ffff)) .> splat(bits: 0x7f80_0000)
  return select(isNaN, v | splat(bits: 0x40_0000), rounded) &>> 16
}

@inline(always) private func encode(
  _ n: Int, _ x: Floats, _ codes: Codes, _ code: (Vector) -> Bits
) {
  var i = 0
  while i < n {
    let count = n - i < lanes ? n - i : lanes
    storeLowerHalves(code(load(x + i, upTo: count)), codes + i)
    i += lanes
  }
  while i < codeCount(n) {
    storeLowerHalves(splat(bits: 0), codes + i)
    i += lanes
  }
}
