import KernelInterface

func addScaled(_ n: Int, _ a: Float, _ x: Floats, _ y: MutableFloats) {
  var i = 0
  while i + lanes <= n {
    store(fma(splat(a), load(x + i), load(y + i)), y + i)
    i += lanes
  }
  while i < n {
    y[i] = fma(a, x[i], y[i])
    i += 1
  }
}

func scale(_ n: Int, _ a: Float, _ y: MutableFloats) {
  var i = 0
  while i + lanes <= n {
    store(splat(a) * load(y + i), y + i)
    i += lanes
  }
  while i < n {
    y[i] *= a
    i += 1
  }
}

func multiplyAdd(_ n: Int, _ x: Floats, _ z: Floats, _ y: MutableFloats) {
  var i = 0
  while i + lanes <= n {
    store(fma(load(x + i), load(z + i), load(y + i)), y + i)
    i += lanes
  }
  while i < n {
    y[i] = fma(x[i], z[i], y[i])
    i += 1
  }
}

/// Sixteen partial sums, element i in sum i mod 16, whatever the vector width.
func sumOfSquares(_ n: Int, _ x: Floats) -> Float {
  var sums = (splat(0), splat(0), splat(0), splat(0))
  var i = 0
  while i < n {
    // The sums of this vector's elements; a set of 16 sums has 16 / lanes vectors.
    let v = n - i < lanes ? load(x + i, count: n - i) : load(x + i)
    switch i % 16 / lanes {
    case 0: sums.0 = fma(v, v, sums.0)
    case 1: sums.1 = fma(v, v, sums.1)
    case 2: sums.2 = fma(v, v, sums.2)
    default: sums.3 = fma(v, v, sums.3)
    }
    i += lanes
  }
  return withUnsafeMutablePointer(to: &sums) { sums in
    let s = UnsafeMutableRawPointer(sums).assumingMemoryBound(to: Float.self)
    var half = 8
    while half > 0 {
      for j in 0..<half { s[j] += s[j + half] }
      half /= 2
    }
    return s[0]
  }
}

func addColumnSums(_ arguments: UnsafePointer<ColumnSumArguments>) {
  let a = arguments.pointee
  var j = 0
  // Four vectors at a time: whole cache lines, and sums that do not wait for each other.
  while j + 4 * lanes <= a.columns {
    var sums = BlockRow(4, Floats(a.sums + j), lanes)
    for row in 0..<a.rows {
      let x = BlockRow(4, a.x + row * a.xStride + j, lanes)
      if let z = a.z {
        let z = BlockRow(4, z + row * a.zStride + j, lanes)
        sums.b0 = fma(x.b0, z.b0, sums.b0)
        sums.b1 = fma(x.b1, z.b1, sums.b1)
        sums.b2 = fma(x.b2, z.b2, sums.b2)
        sums.b3 = fma(x.b3, z.b3, sums.b3)
      } else {
        sums.b0 = sums.b0 + x.b0
        sums.b1 = sums.b1 + x.b1
        sums.b2 = sums.b2 + x.b2
        sums.b3 = sums.b3 + x.b3
      }
    }
    sums.write(4, a.sums + j)
    j += 4 * lanes
  }
  while j < a.columns {
    let count = a.columns - j < lanes ? a.columns - j : lanes
    var sum = load(Floats(a.sums + j), upTo: count)
    for row in 0..<a.rows {
      let x = load(a.x + row * a.xStride + j, upTo: count)
      if let z = a.z {
        sum = fma(x, load(z + row * a.zStride + j, upTo: count), sum)
      } else {
        sum = sum + x
      }
    }
    store(sum, a.sums + j, upTo: count)
    j += count
  }
}
