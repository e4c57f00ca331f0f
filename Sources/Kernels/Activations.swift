import KernelInterface

/// y = function(x) for n elements; x and y may be the same. The usual two have loops of their own.
func activateRow(_ function: KernelActivation, _ n: Int, _ x: Floats, _ y: MutableFloats) {
  switch function.code {
  case .tanh: map(n, x, y) { tanh($0) }
  case .sigmoid: map(n, x, y) { sigmoid($0) }
  default:
    var j = 0
    while j < n {
      let count = n - j < lanes ? n - j : lanes
      store(value(function, load(x + j, upTo: count)), y + j, upTo: count)
      j += count
    }
  }
}

@inline(always) private func value(_ function: KernelActivation, _ x: Vector) -> Vector {
  let a = splat(function.a)
  let b = splat(function.b)
  let c = splat(function.c)
  let zero = splat(0)
  switch function.code {
  case .linear, .softmax, .tanh, .sigmoid: return x
  case .hardSigmoid: return atLeast(atMost(fma(a, x, b), splat(1)), zero)
  case .relu:
    // Not 0 times minus infinity.
    let below = function.a == 0 ? zero : a * (x - c)
    return select(x .< c, below, atMost(x, b))
  case .elu:
    // SELU's two factors as one: each product rounds.
    return select(x .<= zero, a * b * exponentialMinusOne(atMost(x, zero)), x * b)
  case .gelu: return belowFinite(x) * normalDistribution(x)
  case .geluTanh: return belowFinite(x) * sigmoid(geluTanhArgument(x))
  case .silu: return belowFinite(x) * sigmoid(x)
  case .softplus: return softplus(x)
  case .softsign:
    let finite = clip(x, largest)
    return finite / (splat(1) + magnitude(finite))
  case .exponential: return exponential(x)
  }
}

private let largest: Float = 0x1.fffffep127

/// The most negative float instead of minus infinity, whose product with 0 is NaN.
@inline(always) private func belowFinite(_ x: Vector) -> Vector { atLeast(x, splat(-largest)) }

@inline(always) private func map(
  _ n: Int, _ x: Floats, _ y: MutableFloats, _ function: (Vector) -> Vector
) {
  var j = 0
  while j + lanes <= n {
    store(function(load(x + j)), y + j)
    j += lanes
  }
  if j < n { store(function(load(x + j, count: n - j)), y + j, count: n - j) }
}

/// 2 sqrt(2/π) (x + 0.044715 x³): (1 + tanh u) / 2 is sigmoid(2u).
@inline(always) private func geluTanhArgument(_ x: Vector) -> Vector {
  splat(1.595_769_1) * fma(splat(0.044_715) * x * x, x, x)
}

/// slope = function'(x) for n elements, from the function's values y, or from its arguments x where
/// `derivativeNeedsInput` says so. `slope` may be x or y.
func differentiateRow(
  _ function: KernelActivation, _ n: Int, _ x: Floats, _ y: Floats, _ slope: MutableFloats
) {
  switch function.code {
  case .tanh: map(n, y, slope) { splat(1) - $0 * $0 }
  case .sigmoid: map(n, y, slope) { $0 * (splat(1) - $0) }
  default:
    var j = 0
    while j < n {
      let count = n - j < lanes ? n - j : lanes
      let argument = load(x + j, upTo: count)
      let result = slopeValue(function, argument, load(y + j, upTo: count))
      store(result, slope + j, upTo: count)
      j += count
    }
  }
}

/// Beyond ± this number the slopes of GELU and SiLU are 0 and 1, and the squares in them still finite.
private let bent: Float = 1000

@inline(always) private func slopeValue(
  _ function: KernelActivation, _ x: Vector, _ y: Vector
) -> Vector {
  let a = splat(function.a)
  let b = splat(function.b)
  let c = splat(function.c)
  let zero = splat(0)
  let one = splat(1)
  switch function.code {
  case .linear, .softmax, .tanh, .sigmoid: return one
  case .hardSigmoid: return select((y .<= zero) | (y .>= one), zero, a)
  case .relu: return select(x .< c, a, select(x .>= b, zero, one))
  case .elu: return select(x .<= zero, a * exponential(atMost(x, zero)), one) * b
  case .gelu:
    let x = clip(x, bent)
    let density = splat(0.398_942_28) * exponential(splat(-0.5) * x * x)
    return fma(x, density, normalDistribution(x))
  case .geluTanh: return geluTanhSlope(clip(x, bent))
  case .silu:
    let x = clip(x, bent)
    let s = sigmoid(x)
    return fma(x * s, one - s, s)
  case .softplus: return zero - exponentialMinusOne(zero - y)
  case .softsign:
    let d = one / (one + magnitude(x))
    return d * d
  case .exponential: return y
  }
}

@inline(always) private func geluTanhSlope(_ x: Vector) -> Vector {
  let u = geluTanhArgument(x)
  let s = sigmoid(u)
  let slope = fma(splat(0.134_145) * x, x, splat(1)) * splat(1.595_769_1)
  // sigmoid(-u) is 1 - s without the cancellation.
  return fma(x * s * sigmoid(splat(0) - u), slope, s)
}

/// Elements that a row is cut into where values must be kept in between.
@inline(always) var chunk: Int { 8 * lanes }

/// `chunk` floats and room to align them.
struct Chunk {
  typealias Four = (Vector, Vector, Vector, Vector)
  var vectors: (Four, Four, Four)

  @inline(always) init() {
    let four = (splat(0), splat(0), splat(0), splat(0))
    vectors = (four, four, four)
  }
}

/// gradient ⊙= function'(x), n elements.
func multiplyBySlope(
  _ function: KernelActivation, _ n: Int, _ x: Floats, _ y: Floats, _ gradient: MutableFloats
) {
  var memory = Chunk()
  withUnsafeMutablePointer(to: &memory) { memory in
    let slope = aligned(memory)
    var first = 0
    while first < n {
      let count = n - first < chunk ? n - first : chunk
      differentiateRow(function, count, x + first, y + first, slope)
      let g = gradient + first
      var j = 0
      while j + lanes <= count {
        store(load(g + j) * load(slope + j), g + j)
        j += lanes
      }
      if j < count {
        store(load(Floats(g + j), count: count - j) * load(slope + j), g + j, count: count - j)
      }
      first += count
    }
  }
}

func activate(_ arguments: UnsafePointer<ActivationArguments>) {
  let a = arguments.pointee
  guard let input = a.input else { return }
  for row in 0..<a.rows {
    let x = input + row * a.inputStride
    let y = a.output + row * a.outputStride
    if a.function.code == .softmax {
      softmax(a.columns, x, y)
    } else {
      activateRow(a.function, a.columns, x, y)
    }
  }
}

func activateBackward(_ arguments: UnsafePointer<ActivationArguments>) {
  let a = arguments.pointee
  guard let gradient = a.gradient else { return }
  for row in 0..<a.rows {
    let y = Floats(a.output + row * a.outputStride)
    let x = a.input.map { $0 + row * a.inputStride } ?? y
    let g = gradient + row * a.gradientStride
    if a.function.code == .softmax {
      softmaxBackward(a.columns, y, g)
    } else {
      multiplyBySlope(a.function, a.columns, x, y, g)
    }
  }
}

/// exp(x - max) / sum. The sum runs over the columns in order, so that it does not depend on the
/// vector width.
private func softmax(_ n: Int, _ x: Floats, _ y: MutableFloats) {
  var largest = -Float.infinity
  for j in 0..<n where x[j] > largest || x[j] != x[j] { largest = x[j] }
  var j = 0
  while j < n {
    let count = n - j < lanes ? n - j : lanes
    store(exponential(load(x + j, upTo: count) - splat(largest)), y + j, upTo: count)
    j += count
  }
  var sum: Float = 0
  for j in 0..<n { sum += y[j] }
  for j in 0..<n { y[j] /= sum }
}

/// g ← y ⊙ (g - y·g)
private func softmaxBackward(_ n: Int, _ y: Floats, _ g: MutableFloats) {
  var dot: Float = 0
  for j in 0..<n { dot = fma(y[j], g[j], dot) }
  for j in 0..<n { g[j] = y[j] * (g[j] - dot) }
}
