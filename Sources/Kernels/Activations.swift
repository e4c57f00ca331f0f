import KernelInterface

/// The function at x, for every code but softmax.
@inline(__always) func apply(_ function: KernelActivation, _ x: Vector) -> Vector {
  switch function.code {
  case .linear, .softmax: return x
  case .tanh: return tanh(x)
  case .sigmoid: return sigmoid(x)
  case .hardSigmoid:
    return atLeast(atMost(fma(splat(function.a), x, splat(function.b)), splat(1)), splat(0))
  case .relu:
    let below = splat(function.a) * (x - splat(function.c))
    return atMost(x, splat(function.b)).replacing(with: below, where: x .< splat(function.c))
  case .elu:
    let negative = splat(function.a) * exponentialMinusOne(atMost(x, splat(0)))
    return x.replacing(with: negative, where: x .<= splat(0)) * splat(function.b)
  case .gelu: return x * normalDistribution(x)
  case .geluTanh: return x * sigmoid(geluTanhArgument(x))
  case .silu: return x * sigmoid(x)
  case .softplus: return softplus(x)
  case .softsign: return x / (splat(1) + magnitude(x))
  case .exponential: return exponential(x)
  }
}

/// 2 sqrt(2/π) (x + 0.044715 x³): (1 + tanh u) / 2 is sigmoid(2u).
@inline(__always) private func geluTanhArgument(_ x: Vector) -> Vector {
  splat(1.595_769_1) * fma(splat(0.044_715) * x * x, x, x)
}

/// The derivative, from the function's value y, or from its argument x where
/// `derivativeNeedsInput` says so.
@inline(__always) func derivative(_ function: KernelActivation, x: Vector, y: Vector) -> Vector {
  let one = splat(1)
  let zero = splat(0)
  switch function.code {
  case .linear, .softmax: return one
  case .tanh: return one - y * y
  case .sigmoid: return y * (one - y)
  case .hardSigmoid:
    return splat(function.a).replacing(with: zero, where: (y .<= zero) .| (y .>= one))
  case .relu:
    return one.replacing(with: zero, where: x .>= splat(function.b))
      .replacing(with: splat(function.a), where: x .< splat(function.c))
  case .elu:
    let negative = splat(function.a) * exponential(atMost(x, zero))
    return one.replacing(with: negative, where: x .<= zero) * splat(function.b)
  case .gelu:
    let density = splat(0.398_942_28) * exponential(splat(-0.5) * x * x)
    return fma(x, density, normalDistribution(x))
  case .geluTanh:
    let s = sigmoid(geluTanhArgument(x))
    let slope = fma(splat(0.134_145) * x, x, one) * splat(1.595_769_1)
    return fma(x * s * sigmoid(zero - geluTanhArgument(x)), slope, s)
  case .silu:
    let s = sigmoid(x)
    return fma(x * s, one - s, s)
  case .softplus: return zero - exponentialMinusOne(zero - y)
  case .softsign:
    let d = one / (one + magnitude(x))
    return d * d
  case .exponential: return y
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

private func activateRow(_ function: KernelActivation, _ n: Int, _ x: Floats, _ y: MutableFloats) {
  var j = 0
  while j + lanes <= n {
    store(apply(function, load(x + j)), y + j)
    j += lanes
  }
  if j < n { store(apply(function, load(x + j, count: n - j)), y + j, count: n - j) }
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
      var j = 0
      while j + lanes <= a.columns {
        store(load(g + j) * derivative(a.function, x: load(x + j), y: load(y + j)), g + j)
        j += lanes
      }
      let rest = a.columns - j
      if rest > 0 {
        let slope = derivative(
          a.function, x: load(x + j, count: rest), y: load(y + j, count: rest))
        store(load(Floats(g + j), count: rest) * slope, g + j, count: rest)
      }
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
    store(exponential(load(x + j, count: count) - splat(largest)), y + j, count: count)
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
