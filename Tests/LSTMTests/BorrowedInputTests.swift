import Glibc
import Testing

@testable import LSTM

/// Time-major rows of the caller's are read where they are: the same bits as from a copy, and not a byte behind a
/// row's width.
@Suite struct BorrowedInputTests {
  static let cases = BitIdentityTests.sequenceCases.filter { $0.mask == nil }

  @Test(arguments: cases)
  func rowsThatEndAtAGuardPageChangeNothing(_ test: RecurrentCase) throws {
    for features in [1, test.features] {
      var resized = test
      resized.features = features
      try compare(RecurrentProbe<Float>(resized))
      if test.batch < 10 { try compare(RecurrentProbe<Double>(resized)) }
    }
  }

  private func compare<S: Scalar>(_ probe: RecurrentProbe<S>) throws {
    let test = probe.test
    let width = test.features
    let expected = try outputs(probe, probe.input, batchStride: test.time * width, width)
    for stride in [width, width + 3] {
      let guarded = try GuardedRows<S>(count: (test.time * test.batch - 1) * stride + width)
      for t in 0..<test.time {
        for b in 0..<test.batch {
          for j in 0..<stride where j < width || t * test.batch + b < test.time * test.batch - 1 {
            let value = j < width ? probe.input[(b * test.time + t) * width + j] : S.nan
            guarded.base[(t * test.batch + b) * stride + j] = value
          }
        }
      }
      let view = TensorView(
        base: UnsafeMutableRawPointer(guarded.base),
        element: S.self == Float.self ? .float32 : .float64, batch: test.batch, time: test.time,
        width: width, batchStride: stride, timeStride: test.batch * stride, widthStride: 1)
      #expect(view.timeMajorRows(S.self) != nil)
      #expect(try forward(probe, view) == expected, "stride \(stride)")
      // The execution, which the network keeps, has to forget these rows.
      #expect(try outputs(probe, probe.input, batchStride: test.time * width, width) == expected)
    }
  }

  /// From batch-major rows, which are copied.
  private func outputs<S: Scalar>(
    _ probe: RecurrentProbe<S>, _ input: [S], batchStride: Int, _ width: Int
  ) throws -> [S] {
    var input = input
    return try input.withUnsafeMutableBufferPointer {
      try forward(
        probe,
        TensorView(
          contiguous: $0.baseAddress.map { UnsafeMutableRawPointer($0) },
          element: S.self == Float.self ? .float32 : .float64, batch: probe.test.batch,
          time: probe.test.time, width: width))
    }
  }

  private func forward<S: Scalar>(_ probe: RecurrentProbe<S>, _ input: TensorView) throws -> [S] {
    let shape = probe.network.outputShapes[0]
    let time = try probe.network.outputTimes([probe.test.time])[0]
    var values = [S](repeating: 0, count: probe.test.batch * time * shape.features)
    try values.withUnsafeMutableBufferPointer {
      let output = TensorView(
        contiguous: $0.baseAddress.map { UnsafeMutableRawPointer($0) }, element: input.element,
        batch: probe.test.batch, time: time, width: shape.features)
      try probe.network.forward([input], into: [output])
    }
    return values
  }
}

/// Memory whose last element is followed by a page that must not be touched.
private final class GuardedRows<S: Scalar> {
  let base: UnsafeMutablePointer<S>
  private let mapping: UnsafeMutableRawPointer
  private let size: Int

  init(count: Int) throws {
    let page = sysconf(Int32(_SC_PAGESIZE))
    let bytes = count * MemoryLayout<S>.stride
    let room = (bytes + page - 1) / page * page
    size = room + page
    let memory = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    mapping = try #require(memory != MAP_FAILED ? memory : nil)
    try #require(mprotect(mapping + room, page, PROT_NONE) == 0)
    base = (mapping + room - bytes).assumingMemoryBound(to: S.self)
  }

  deinit { munmap(mapping, size) }
}
