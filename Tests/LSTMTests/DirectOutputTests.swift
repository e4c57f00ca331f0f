import TestSupport
import Testing

@testable import LSTM

/// A layer writes its output right into time-major rows of the caller's: the same bits as by a copy, and nothing else.
@Suite struct DirectOutputTests {
  static let cases = BitIdentityTests.sequenceCases.filter { $0.mask == nil }

  @Test(arguments: cases)
  func rowsThatEndAtAGuardPage(_ test: RecurrentCase) throws {
    for units in [32, 128] {
      try compare(RecurrentProbe<Float>(test.resized(units, 5, test.batch, 6)))
    }
    if test.batch < 10 { try compare(RecurrentProbe<Double>(test.resized(16, 5, test.batch, 6))) }
  }

  private func compare<S: Scalar>(_ probe: RecurrentProbe<S>) throws {
    let test = probe.test
    let time = try probe.network.outputTimes([test.time])[0]
    let width = probe.network.outputShapes[0].features
    let expected = try outputOfCopy(probe)
    // Whole rows side by side are written to directly, unaligned if the page's end wants it so; with a gap they are copied.
    for (stride, threads) in [(width, 1), (width, 2), (width + 3, 1)] {
      let rows = time * test.batch
      let memory = try GuardedMemory(
        byteCount: ((rows - 1) * stride + width) * MemoryLayout<S>.stride)
      let base = memory.start.assumingMemoryBound(to: S.self)
      for i in 0..<((rows - 1) * stride + width) { base[i] = S(7) }
      var options = ForwardOptions()
      options.threads = threads
      try withInput(probe) {
        try probe.network.forward(
          [$0], into: [timeMajor(memory.start, probe, time, width, stride)], options: options)
      }
      for row in 0..<rows {
        let (t, b) = row.quotientAndRemainder(dividingBy: test.batch)
        let start = (b * time + t) * width
        #expect((0..<width).allSatisfy { base[row * stride + $0] == expected[start + $0] })
        if row < rows - 1 {
          #expect((width..<stride).allSatisfy { base[row * stride + $0] == S(7) })
        }
      }
      // The execution, which the network keeps, has to forget these rows.
      let before = (0..<width).map { base[$0] }
      #expect(try outputOfCopy(probe) == expected)
      #expect((0..<width).map { base[$0] } == before)
    }
  }

  /// The caller may ask for the output in the place of the input.
  @Test func outputInPlaceOfTheInput() throws {
    // 16 units read x within each step, after the output of the steps before.
    for (units, batch) in [(16, 1), (16, 4), (64, 3)] {
      let test = RecurrentCase.lstm("in place").resized(units, units, batch, 9)
      let probe = try RecurrentProbe<Float>(test)
      let expected = try outputOfCopy(probe)
      for shift in [0, 16] {
        var memory = [Float](repeating: 0, count: probe.input.count + shift)
        for row in 0..<9 * batch {
          let (t, b) = row.quotientAndRemainder(dividingBy: batch)
          for j in 0..<units { memory[row * units + j] = probe.input[(b * 9 + t) * units + j] }
        }
        try memory.withUnsafeMutableBytes { bytes in
          let base = try #require(bytes.baseAddress)
          let output = base + shift * MemoryLayout<Float>.stride
          try probe.network.forward(
            [timeMajor(base, probe, 9, units, units)],
            into: [timeMajor(output, probe, 9, units, units)])
        }
        for row in 0..<9 * batch {
          let (t, b) = row.quotientAndRemainder(dividingBy: batch)
          let start = (b * 9 + t) * units
          #expect(
            (0..<units).allSatisfy { memory[shift + row * units + $0] == expected[start + $0] })
        }
      }
    }
  }

  /// Which layers do it: nothing else would show that any does.
  @Test func onlyWhatFitsIsWrittenDirectly() throws {
    for (units, batch, time, isDirect) in [
      (32, 3, 5, true), (128, 1, 5, true), (20, 3, 5, false), (32, 3, 1, false),
    ] {
      let probe = try RecurrentProbe<Float>(
        RecurrentCase.lstm("direct", units: units).resized(units, 3, batch, time))
      let execution = try Execution(
        network: probe.network, weights: probe.network.weights(), batch: batch, times: [time],
        mode: ExecutionMode())
      var output = [Float](repeating: 0, count: batch * time * units)
      let isThere = try withInput(probe) { input in
        try execution.setInput(0, input)
        return output.withUnsafeMutableBytes {
          execution.forward(
            [input], into: [timeMajor($0.baseAddress, probe, time, units, units)])
        }
      }
      #expect(isThere == isDirect)
      #expect(output.contains { $0 != 0 } == isDirect)
    }
  }

  private func timeMajor<S: Scalar>(
    _ base: UnsafeMutableRawPointer?, _ probe: RecurrentProbe<S>, _ time: Int, _ width: Int,
    _ stride: Int
  ) -> TensorView {
    TensorView(
      base: base, element: TensorView.Element(S.dataType), batch: probe.test.batch, time: time,
      width: width, batchStride: stride, timeStride: probe.test.batch * stride, widthStride: 1)
  }

  private func withInput<S: Scalar, Result>(
    _ probe: RecurrentProbe<S>, _ body: (TensorView) throws -> Result
  ) throws -> Result {
    var input = probe.input
    return try input.withUnsafeMutableBufferPointer {
      try body(probe.view($0, probe.test.time, probe.test.features))
    }
  }

  /// Into batch-major rows with a gap between them.
  private func outputOfCopy<S: Scalar>(_ probe: RecurrentProbe<S>) throws -> [S] {
    let width = probe.network.outputShapes[0].features
    let time = try probe.network.outputTimes([probe.test.time])[0]
    let stride = width + 1
    var values = [S](repeating: 0, count: probe.test.batch * time * stride)
    try values.withUnsafeMutableBytes { bytes in
      let view = TensorView(
        base: bytes.baseAddress, element: TensorView.Element(S.dataType), batch: probe.test.batch,
        time: time, width: width, batchStride: time * stride, timeStride: stride, widthStride: 1)
      try withInput(probe) { try probe.network.forward([$0], into: [view]) }
    }
    return (0..<probe.test.batch * time).flatMap { values[$0 * stride..<$0 * stride + width] }
  }
}
