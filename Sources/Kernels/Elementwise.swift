import KernelInterface

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

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
  var sums = SIMD16<Float>(repeating: 0)
  var i = 0
  while i < n {
    var v = SIMD16<Float>(repeating: 0)
    if i + 16 <= n {
      memcpy(&v, x + i, MemoryLayout<SIMD16<Float>>.size)
    } else {
      for lane in 0..<(n - i) { v[lane] = x[i + lane] }
    }
    #if arch(x86_64) && !KERNELS_AVX2 && !KERNELS_AVX512
      sums += v * v
    #else
      sums.addProduct(v, v)
    #endif
    i += 16
  }
  let eight = sums.lowHalf + sums.highHalf
  let four = eight.lowHalf + eight.highHalf
  let two = four.lowHalf + four.highHalf
  return two[0] + two[1]
}

func addColumnSums(_ arguments: UnsafePointer<ColumnSumArguments>) {
  let a = arguments.pointee
  var j = 0
  while j < a.columns {
    let count = a.columns - j < lanes ? a.columns - j : lanes
    let whole = count == lanes
    var sum = whole ? load(a.sums + j) : load(Floats(a.sums + j), count: count)
    for row in 0..<a.rows {
      let xRow = a.x + row * a.xStride + j
      let x = whole ? load(xRow) : load(xRow, count: count)
      if let z = a.z {
        let zRow = z + row * a.zStride + j
        sum = fma(x, whole ? load(zRow) : load(zRow, count: count), sum)
      } else {
        sum += x
      }
    }
    if whole { store(sum, a.sums + j) } else { store(sum, a.sums + j, count: count) }
    j += count
  }
}
