import Glibc
import LSTM
import ModelFiles
import Testing

@Suite struct NamedWritingTests {
  static let formats: [String: FileFormat] = [
    "torch-state-dict-h5": .torch, "chainer-hdf5": .chainer, "tf1-variables-h5": .tf1,
    "onnx-lstm-h5": .onnx,
  ]

  /// A file written in the layout that it came from reads back as it was (biases: to rounding).
  @Test(
    arguments: Fixtures.all.filter {
      NamedWritingTests.formats[$0.format] != nil && Architectures.knows($0)
    })
  func `what is written reads back`(_ entry: Fixtures.Entry) throws {
    let format = try #require(NamedWritingTests.formats[entry.format])
    let original: ModelContents
    if format == .onnx {
      original = try ModelFile.readContents(entry.path)
    } else {
      original = try ModelFile.readWeights(entry.path, for: try Architectures.make(entry))
    }
    let path = temporaryPath()
    defer { unlink(path) }
    var options = ModelFile.SaveOptions()
    options.format = format
    options.compression = 4
    try ModelFile.save(original, to: path, options: options)
    let copy = try ModelFile.readWeights(path, for: original.description)
    #expect(Set(copy.weights.keys) == Set(original.weights.keys))
    for (key, array) in original.weights {
      let other = try #require(copy.weights[key])
      #expect(other.shape == array.shape)
      let tolerance = key.hasSuffix("bias") ? 2e-7 : 0
      #expect(
        zip(array.values, other.values).allSatisfy {
          abs(Double(Float($0)) - $1) <= tolerance * max(1, abs($0))
        }, "\(key)")
    }
    if format == .onnx {
      #expect(try ModelFile.readContents(path).description == original.description)
    }
  }

  /// Peepholes: Keras and PyTorch refuse them by name, the others carry them.
  @Test func `peepholes go where they can`() throws {
    var cell = LSTMDescription(units: 3)
    (cell.inputPeephole, cell.forgetPeephole, cell.outputPeephole) = (true, true, true)
    let layer = LayerDescription(
      name: "memory",
      kind: .recurrent(RecurrentDescription(cell: .lstm(cell), returnSequences: true)))
    let description = NetworkDescription(
      input: InputDescription(shape: .sequence(time: nil, features: 2)), layers: [layer])
    let network = try AnyNetwork(description, dataType: .float32)
    try network.initialize(seed: 4)
    var contents = try ModelContents(copying: network, format: .carousel)
    for part in ["input", "forget", "output"] {
      let array = try WeightArray(shape: [3])
      for unit in 0..<3 { array.values[unit] = 0.5 - Double(unit) }
      contents.weights["memory/peephole_\(part)"] = array
    }
    let path = temporaryPath()
    defer { unlink(path) }
    for format in FileFormat.allCases {
      var options = ModelFile.SaveOptions()
      options.format = format
      do throws(EngineError) {
        try ModelFile.save(contents, to: path, options: options)
        #expect([.carousel, .chainer, .onnx, .tf1].contains(format))
        let copy = try ModelFile.readWeights(path, for: description)
        for (key, array) in contents.weights {
          #expect(
            zip(array.values, copy.weights[key]!.values).allSatisfy { abs($0 - $1) < 1e-6 })
        }
      } catch {
        #expect([.kerasH5, .keras, .kerasWeights, .kerasLegacyWeights, .torch].contains(format))
        #expect(error.code == .unsupported)
        #expect(error.message.contains("memory") && error.message.contains("peepholes"))
      }
    }
  }
}
