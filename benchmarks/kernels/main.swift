// Speed of each kernel on each instruction set that this machine has, without anything around it.
//
//   swift run -c release kernel-benchmark [product|reduced|outer|step|batch|pointwise] [avx512|avx2|...]
//
// Times are the thread's own processor time, minima over many short runs: on a machine that does
// other things, too, they are the least disturbed.

import Glibc
import KernelInterface
import LSTM

/// Seconds that this thread has run.
func now() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return Double(time.tv_sec) + 1e-9 * Double(time.tv_nsec)
}

/// Seconds per call of `body`: the least of many runs that each take some 200 microseconds.
func measure(_ body: () -> Void) -> Double {
  body()
  var calls = 1
  while true {
    let start = now()
    for _ in 0..<calls { body() }
    if now() - start > 2e-4 || calls > 1 << 20 { break }
    calls *= 2
  }
  var least = Double.infinity
  let end = now() + 0.15
  var runs = 0
  while runs < 5 || now() < end {
    let start = now()
    for _ in 0..<calls { body() }
    least = min(least, (now() - start) / Double(calls))
    runs += 1
  }
  return least
}

func number(_ value: Double, _ width: Int = 9, decimals: Int = 1) -> String {
  var scaled = value
  for _ in 0..<decimals { scaled *= 10 }
  let whole = String(Int(scaled.rounded()))
  var text = whole
  if decimals > 0 {
    let padded = String(repeating: "0", count: max(0, decimals + 1 - whole.count)) + whole
    text = padded.dropLast(decimals) + "." + padded.suffix(decimals)
  }
  return String(repeating: " ", count: max(0, width - text.count)) + text
}

func report(_ set: InstructionSet, _ name: String, _ seconds: Double, flops: Double, bytes: Double)
{
  let label = (set.rawValue + " " + name)
  print(
    label + String(repeating: " ", count: max(1, 44 - label.count))
      + number(seconds * 1e6, 11, decimals: 3) + " us" + number(flops / seconds * 1e-9)
      + " GFLOP/s" + number(bytes / seconds * 1e-9) + " GB/s")
}

func matrix(_ rows: Int, _ columns: Int) throws -> (UnsafeMutablePointer<Float>, Int) {
  let stride = try Memory.matrixStride(columns)
  let buffer = try Buffer<Float>(count: max(1, rows) * stride + 64)
  var state: UInt32 = 12345
  for i in 0..<(rows * stride) {
    state = state &* 1_664_525 &+ 1_013_904_223
    buffer.pointer[i] = (Float(state >> 8) / Float(1 << 24) - 0.5) * 0.2
  }
  kept.append(buffer)
  return (buffer.pointer, stride)
}

func suffix(_ format: KernelInterface.WeightFormat) -> String {
  format == .float32 ? "" : " " + format.name
}

/// Bytes of a weight.
func bytes(_ format: KernelInterface.WeightFormat) -> Int {
  switch format {
  case .float32: 4
  case .bfloat16: 2
  case .int8: 1
  }
}

/// Keeps the buffers of a case alive.
nonisolated(unsafe) var kept: [AnyObject] = []

func benchmarkProduct(
  _ set: InstructionSet, _ m: Int, _ n: Int, _ k: Int, _ format: KernelInterface.WeightFormat
) throws {
  let (a, aStride) = try matrix(m, k)
  let (b, bStride) = try matrix(k, n)
  let (c, cStride) = try matrix(m, n)
  let (bias, _) = try matrix(1, n)
  let packed = try PackedMatrix<Float>(
    rows: k, columns: n, kernels: set.kernels, format: format)
  packed.pack(b, stride: bStride)
  var p = ProductArguments(
    rows: m, a: a, aStride: aStride, b: packed, c: c, cStride: cStride, bias: bias)
  let kernels = set.kernels
  let seconds = measure { kernels.product(&p) }
  report(
    set, "product \(m)x\(n)x\(k)\(suffix(format))", seconds, flops: 2.0 * Double(m * n * k),
    bytes: Double(bytes(format) * n * k))
  kept = []
}

/// The gradients of W and R, `k` x `n` each, from blocks of 512 of m rows: 16 steps of a batch of 32.
func benchmarkOuter(_ set: InstructionSet, _ m: Int, _ k: Int, _ n: Int) throws {
  let (x, xStride) = try matrix(m, k)
  let (h, hStride) = try matrix(m, k)
  let (d, dStride) = try matrix(m, n)
  let (w, wStride) = try matrix(k, n)
  let (r, rStride) = try matrix(k, n)
  let kernels = set.kernels
  let block = 512
  let scratch = try Buffer<Float>(count: kernels.outerProductScratch(block, 2 * k + 16))
  let seconds = measure {
    for first in stride(from: 0, to: m, by: block) {
      var p = OuterProductArguments(
        rows: min(block, m - first), depth: k, columns: n, a: x + first * xStride,
        aStride: xStride, d: d + first * dStride, dStride: dStride, c: w, cStride: wStride,
        scratch: scratch.pointer, scratchCount: scratch.count)
      p.second = OuterFactor(
        depth: k, a: h + first * hStride, aStride: hStride, c: r, cStride: rStride)
      kernels.outerProduct(&p)
    }
  }
  report(
    set, "outer \(m) rows 2x\(k)x\(n)", seconds, flops: 4.0 * Double(m * n * k),
    bytes: 4 * Double(m * n))
  kept = []
}

func benchmarkStep(
  _ set: InstructionSet, _ rows: Int, _ i: Int, _ h: Int, _ format: KernelInterface.WeightFormat
) throws {
  let kernels = set.kernels
  let stride = try Memory.rowStride(h)
  let (x, xStride) = try matrix(rows, i)
  let (hidden, hiddenStride) = try matrix(rows, h)
  let (other, _) = try matrix(rows, h)
  let (cell, cellStride) = try matrix(rows, h)
  let (bias, _) = try matrix(4, h)
  let w = try PackedGates(depth: i, blocks: 4, units: h, kernels: kernels, format: format)
  let r = try PackedGates(depth: h, blocks: 4, units: h, kernels: kernels, format: format)
  let (source, _) = try matrix(max(i, h), 4 * h)
  w.pack(source, stride: 4 * h, blockStride: h)
  r.pack(source, stride: 4 * h, blockStride: h)
  var s = LSTMStepArguments(
    rows: rows, blocks: .standard(stride: stride), firstGroup: 0, endGroup: r.groups,
    initial: bias, initialStride: 0, hiddenWidth: h, hidden: hidden,
    hiddenStride: hiddenStride, recurrentWeights: r.weights,
    previousCell: cell, previousCellStride: cellStride, cell: cell, cellStride: cellStride,
    output: other, outputStride: hiddenStride)
  if i > 0 {
    s.inputWidth = i
    s.input = UnsafePointer(x)
    s.inputStride = xStride
    s.inputWeights = w.weights
    s.inputScales = w.scales
  }
  s.format = format
  s.recurrentScales = r.scales
  s.narrowGroup = r.narrowGroup
  let seconds = measure {
    kernels.lstmStep(&s)
    // The next step reads what this one wrote.
    let output = s.output
    s.output = UnsafeMutablePointer(mutating: s.hidden)
    s.hidden = UnsafePointer(output)
    s.descends.toggle()
  }
  report(
    set, "step b\(rows) i\(i) h\(h)\(suffix(format))", seconds,
    flops: 8.0 * Double(rows * h * (i + h)),
    bytes: Double(bytes(format) * 4 * h * (i + h)))
  kept = []
}

func benchmarkPointwise(_ set: InstructionSet, _ rows: Int, _ h: Int) throws {
  let kernels = set.kernels
  let stride = try Memory.rowStride(h)
  let (gates, _) = try matrix(rows, 4 * stride)
  let (deltas, _) = try matrix(rows, 4 * stride)
  let (c, _) = try matrix(rows, h)
  let (previous, _) = try matrix(rows, h)
  let (output, _) = try matrix(rows, h)
  let (dh, _) = try matrix(rows, h)
  let (dc, _) = try matrix(rows, h)
  var s = LSTMPointwiseArguments(
    rows: rows, units: h, blocks: .standard(stride: stride), gates: gates,
    gatesStride: 4 * stride, previousCell: previous, previousCellStride: stride, cell: c,
    cellStride: stride)
  s.output = output
  s.outputStride = stride
  let elements = Double(rows * h)
  let forward = measure { kernels.lstmForward(&s) }
  report(set, "lstm forward b\(rows) h\(h)", forward, flops: 5 * elements, bytes: 28 * elements)
  s.deltas = deltas
  s.deltasStride = 4 * stride
  s.outputGradient = UnsafePointer(dh)
  s.outputGradientStride = stride
  s.cellGradient = dc
  s.cellGradientStride = stride
  let backward = measure { kernels.lstmBackward(&s) }
  report(set, "lstm backward b\(rows) h\(h)", backward, flops: 5 * elements, bytes: 48 * elements)
  for activation in [Activation.sigmoid, .tanh, .exponential, .gelu(), .softmax] {
    var a = ActivationArguments(
      function: KernelActivation(activation), rows: rows, columns: h,
      input: previous, inputStride: stride, output: output, outputStride: stride)
    let seconds = measure { kernels.activate(&a) }
    report(set, "\(activation) \(rows)x\(h)", seconds, flops: elements, bytes: 8 * elements)
  }
  kept = []
}

let arguments = CommandLine.arguments.dropFirst()
let sets = InstructionSet.supported.reversed().filter { set in
  let named = InstructionSet.allCases.filter { arguments.contains($0.rawValue) }
  return named.isEmpty || named.contains(set)
}
let kinds = ["product", "reduced", "outer", "step", "batch", "pointwise"]
let chosen = kinds.contains { arguments.contains($0) } ? Set(arguments) : Set(kinds)

for set in sets {
  if chosen.contains("product") {
    for (m, n, k) in [
      (12, 32, 256), (240, 256, 256), (1000, 512, 64), (1000, 1024, 256), (3200, 2048, 512),
      (1024, 1024, 1024), (32, 2048, 512), (1, 512, 128), (1, 4096, 1024), (100, 1280, 320),
      (256, 2048, 512), (512, 512, 2048), (128, 1024, 256), (32, 512, 2048), (64, 1024, 4096),
      (640, 1024, 4096), (640, 512, 2048), (1024, 4096, 1024),
    ] {
      try benchmarkProduct(set, m, n, k, .float32)
    }
  }
  if chosen.contains("reduced") {
    for (m, n, k) in [
      (3200, 512, 128), (64, 1024, 256), (3200, 1024, 256), (32, 2048, 512), (64, 4096, 1024),
    ] {
      for format in KernelInterface.WeightFormat.allCases {
        try benchmarkProduct(set, m, n, k, format)
      }
    }
  }
  if chosen.contains("outer") {
    for (m, k, n) in [
      (3072, 64, 256), (3072, 96, 384), (3072, 128, 512), (3072, 256, 1024), (3072, 512, 2048),
    ] {
      try benchmarkOuter(set, m, k, n)
    }
  }
  if chosen.contains("step") {
    for (i, h) in [
      (1, 16), (1, 24), (1, 32), (1, 40), (1, 64), (1, 96), (64, 128), (192, 192), (256, 256),
      (320, 320), (512, 512), (1024, 1024), (0, 128), (0, 256),
    ] {
      for format in KernelInterface.WeightFormat.allCases {
        try benchmarkStep(set, 1, i, h, format)
      }
    }
  }
  if chosen.contains("batch") {
    for (b, h) in [
      (2, 256), (7, 256), (32, 64), (32, 128), (32, 256), (32, 512), (32, 1024), (128, 512),
    ] {
      for format in KernelInterface.WeightFormat.allCases {
        try benchmarkStep(set, b, 0, h, format)
      }
    }
  }
  if chosen.contains("pointwise") { try benchmarkPointwise(set, 32, 256) }
}
