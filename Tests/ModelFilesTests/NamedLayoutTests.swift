import LSTM
import ModelFiles
import Testing

/// Layouts whose names are their only structure.
@Suite struct NamedLayoutTests {
  static let files = Fixtures.all.filter {
    ["torch-state-dict-h5", "chainer-hdf5", "tf1-variables-h5"].contains($0.format)
      && Architectures.knows($0)
  }

  @Test(arguments: files)
  func `weights bind to the architecture that they belong to`(_ entry: Fixtures.Entry) throws {
    let description = try Architectures.make(entry)
    let contents = try ModelFile.readWeights(entry.path, for: description)
    for array in contents.weights.values { #expect(array.count > 0) }
    let layers = description.nodes.dropFirst().map(\.layer.name)
    for name in layers { #expect(contents.weights.keys.contains { $0.hasPrefix(name + "/") }) }
  }

  @Test(arguments: files)
  func `without an architecture the error says what to give`(_ entry: Fixtures.Entry) throws {
    let error = #expect(throws: EngineError.self) { try ModelFile.readContents(entry.path) }
    #expect(error?.code == .state)
    #expect(error?.message.contains("architecture") == true)
  }

  @Test(arguments: Fixtures.all.filter { $0.format == "onnx-lstm-h5" && Architectures.knows($0) })
  func `ONNX tensors with attributes describe themselves`(_ entry: Fixtures.Entry) throws {
    let contents = try ModelFile.readContents(entry.path)
    let declared = try Architectures.make(entry)
    #expect(contents.description.nodes.count == declared.nodes.count)
    #expect(!contents.weights.isEmpty)
  }

  @Test func `a wrong format is named`() throws {
    var options = ModelFile.LoadOptions()
    options.format = .chainer
    let error = #expect(throws: EngineError.self) {
      try ModelFile.readContents(Fixtures.folder + "/torch/lstm1.h5", options: options)
    }
    #expect(error?.message.contains("'torch'") == true)
  }
}
