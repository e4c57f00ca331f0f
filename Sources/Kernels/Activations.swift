import KernelInterface

/// The function at x, for every code but softmax. It is not inlined, and takes its vector through
/// memory: as an argument it would be torn into pieces.
@inline(never) func apply(_ function: KernelActivation, _ value: inout Vector) {
  switch function.code {
  case .sigmoid: value = sigmoid(value)
  case .tanh: value = tanh(value)
  default: applyOther(function, &value)
  }
}

@inline(never) private func applyOther(_ function: KernelActivation, _ value: inout Vector) {
  let x = value
  switch function.code {
  case .linear, .softmax, .tanh, .sigmoid: break
  case .hardSigmoid:
    value = atLeast(atMost(fma(splat(function.a), x, splat(function.b)), splat(1)), splat(0))
  case .relu:
    let below = splat(function.a) * (x - splat(function.c))
    value = select(x .< splat(function.c), below, atMost(x, splat(function.b)))
  case .elu:
    let negative = splat(function.a) * exponentialMinusOne(atMost(x, splat(0)))
    value = select(x .<= splat(0), negative, x) * splat(function.b)
  case .gelu: value = x * normalDistribution(x)
  case .geluTanh: value = x * sigmoid(geluTanhArgument(x))
  case .silu: value = x * sigmoid(x)
  case .softplus: value = softplus(x)
  case .softsign: value = x / (splat(1) + magnitude(x))
  case .exponential: value = exponential(x)
  }
}

/// 2 sqrt(2/π) (x + 0.044715 x³): (1 + tanh u) / 2 is sigmoid(2u).
@inline(always) private func geluTanhArgument(_ x: Vector) -> Vector {
  splat(1.595_769_1) * fma(splat(0.044_715) * x * x, x, x)
}

/// The derivative, from the function's value y, or from its argument x where
/// `derivativeNeedsInput` says so.
@inline(always) func derivative(_ function: KernelActivation, x: Vector, y: Vector) -> Vector {
  switch function.code {
  case .sigmoid: return y * (splat(1) - y)
  case .tanh: return splat(1) - y * y
  default:
    var slope = y
    var argument = x
    derivativeOther(function, &argument, &slope)
    return slope
  }
}

/// Replaces the value `y` by the derivative.
@inline(never) private func derivativeOther(
  _ function: KernelActivation, _ argument: inout Vector, _ y: inout Vector
) {
  let x = argument
  let one = splat(1)
  let zero = splat(0)
  switch function.code {
  case .linear, .softmax, .tanh, .sigmoid: y = one
  case .hardSigmoid:
    y = select((y .<= zero) | (y .>= one), zero, splat(function.a))
  case .relu:
    y = select(
      x .< splat(function.c), splat(function.a), select(x .>= splat(function.b), zero, one))
  case .elu:
    let negative = splat(function.a) * exponential(atMost(x, zero))
    y = select(x .<= zero, negative, one) * splat(function.b)
  case .gelu:
    let density = splat(0.398_942_28) * exponential(splat(-0.5) * x * x)
    y = fma(x, density, normalDistribution(x))
  case .geluTanh:
    let u = geluTanhArgument(x)
    let s = sigmoid(u)
    let slope = fma(splat(0.134_145) * x, x, one) * splat(1.595_769_1)
    // 1 - s, without the cancellation.
    y = fma(x * s * sigmoid(zero - u), slope, s)
  case .silu:
    let s = sigmoid(x)
    y = fma(x * s, one - s, s)
  case .softplus: y = zero - exponentialMinusOne(zero - y)
  case .softsign:
    let d = one / (one + magnitude(x))
    y = d * d
  case .exponential: break
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

/// y = function(x) for n elements; x and y may be the same.
@inline(never) func activateRow(
  _ function: KernelActivation, _ n: Int, _ x: Floats, _ y: MutableFloats
) {
  let whole = n / lanes * lanes
  var j = 0
  // The usual two have loops of their own.
  switch function.code {
  case .sigmoid:
    while j < whole {
      store(sigmoid(load(x + j)), y + j)
      j += lanes
    }
  case .tanh:
    while j < whole {
      store(tanh(load(x + j)), y + j)
      j += lanes
    }
  default:
    while j < whole {
      var value = load(x + j)
      applyOther(function, &value)
      store(value, y + j)
      j += lanes
    }
  }
  if j < n {
    var value = load(x + j, count: n - j)
    apply(function, &value)
    store(value, y + j, count: n - j)
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
