import KernelInterface

/// y = function(x) for n elements; x and y may be the same. Every function has a loop of its own.
func activateRow(_ function: KernelActivation, _ n: Int, _ x: Floats, _ y: MutableFloats) {
  let a = splat(function.a)
  let b = splat(function.b)
  let c = splat(function.c)
  let zero = splat(0)
  let one = splat(1)
  switch function.code {
  case .linear, .softmax: map(n, x, y) { $0 }
  case .tanh: map(n, x, y) { tanh($0) }
  case .sigmoid: map(n, x, y) { sigmoid($0) }
  case .hardSigmoid: map(n, x, y) { atLeast(atMost(fma(a, $0, b), one), zero) }
  case .relu: map(n, x, y) { select($0 .< c, a * ($0 - c), atMost($0, b)) }
  case .elu:
    map(n, x, y) { select($0 .<= zero, a * exponentialMinusOne(atMost($0, zero)), $0) * b }
  case .gelu: map(n, x, y) { $0 * normalDistribution($0) }
  case .geluTanh: map(n, x, y) { $0 * sigmoid(geluTanhArgument($0)) }
  case .silu: map(n, x, y) { $0 * sigmoid($0) }
  case .softplus: map(n, x, y) { softplus($0) }
  case .softsign: map(n, x, y) { $0 / (one + magnitude($0)) }
  case .exponential: map(n, x, y) { exponential($0) }
  }
}

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
  let a = splat(function.a)
  let b = splat(function.b)
  let c = splat(function.c)
  let zero = splat(0)
  let one = splat(1)
  switch function.code {
  case .linear, .softmax: map(n, y, slope) { _ in one }
  case .tanh: map(n, y, slope) { one - $0 * $0 }
  case .sigmoid: map(n, y, slope) { $0 * (one - $0) }
  case .hardSigmoid: map(n, y, slope) { select(($0 .<= zero) | ($0 .>= one), zero, a) }
  case .relu: map(n, x, slope) { select($0 .< c, a, select($0 .>= b, zero, one)) }
  case .elu: map(n, x, slope) { select($0 .<= zero, a * exponential(atMost($0, zero)), one) * b }
  case .gelu:
    let scale = splat(0.398_942_28)
    map(n, x, slope) {
      fma($0, scale * exponential(splat(-0.5) * $0 * $0), normalDistribution($0))
    }
  case .geluTanh: map(n, x, slope) { geluTanhSlope($0) }
  case .silu:
    map(n, x, slope) {
      let s = sigmoid($0)
      return fma($0 * s, one - s, s)
    }
  case .softplus: map(n, y, slope) { zero - exponentialMinusOne(zero - $0) }
  case .softsign:
    map(n, x, slope) {
      let d = one / (one + magnitude($0))
      return d * d
    }
  case .exponential: map(n, y, slope) { $0 }
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
  while j + lanes <= n {
    store(exponential(load(x + j) - splat(largest)), y + j)
    j += lanes
  }
  if j < n {
    store(exponential(load(x + j, count: n - j) - splat(largest)), y + j, count: n - j)
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
