import TestSupport
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
    let expected = try outputOfCopy(probe)
    for stride in [width, width + 3] {
      let rows = test.time * test.batch
      let memory = try GuardedMemory(
        byteCount: ((rows - 1) * stride + width) * MemoryLayout<S>.stride)
      let base = memory.start.assumingMemoryBound(to: S.self)
      for row in 0..<rows {
        let (t, b) = row.quotientAndRemainder(dividingBy: test.batch)
        for j in 0..<width {
          base[row * stride + j] = probe.input[(b * test.time + t) * width + j]
        }
        if row < rows - 1 { for j in width..<stride { base[row * stride + j] = S.nan } }
      }
      let view = TensorView(
        base: memory.start, element: TensorView.Element(S.dataType), batch: test.batch,
        time: test.time, width: width, batchStride: stride, timeStride: test.batch * stride,
        widthStride: 1)
      #expect(view.timeMajorRows(S.self) != nil)
      #expect(try output(probe, view) == expected, "stride \(stride)")
      // The execution, which the network keeps, has to forget these rows.
      #expect(try outputOfCopy(probe) == expected)
    }
  }

  /// From batch-major rows, which are copied.
  private func outputOfCopy<S: Scalar>(_ probe: RecurrentProbe<S>) throws -> [S] {
    var input = probe.input
    return try input.withUnsafeMutableBufferPointer {
      try output(probe, probe.view($0, probe.test.time, probe.test.features))
    }
  }

  private func output<S: Scalar>(_ probe: RecurrentProbe<S>, _ input: TensorView) throws -> [S] {
    let width = probe.network.outputShapes[0].features
    let time = try probe.network.outputTimes([probe.test.time])[0]
    var values = [S](repeating: 0, count: probe.test.batch * time * width)
    try values.withUnsafeMutableBufferPointer {
      try probe.network.forward([input], into: [probe.view($0, time, width)])
    }
    return values
  }
}
