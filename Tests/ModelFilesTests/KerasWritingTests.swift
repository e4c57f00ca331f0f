import Glibc
import LSTM
import ModelFiles
import Testing

@Suite struct KerasWritingTests {
  /// What Keras layouts are written comes back with the same layers and the same weights.
  @Test(
    arguments: Fixtures.all.filter {
      $0.format == "keras-h5-model" && $0.expect == "load" && comesBackInOrder($0)
    },
    [FileFormat.kerasH5, .keras, .kerasWeights, .kerasLegacyWeights])
  func `what is written reads back`(_ entry: Fixtures.Entry, _ format: FileFormat) throws {
    let original = try ModelFile.readContents(entry.path)
    let path = temporaryPath(format == .keras ? ".keras" : ".h5")
    defer { unlink(path) }
    var options = ModelFile.SaveOptions()
    options.format = format
    options.compression = entry.file.utf8.count % 2 == 0 ? 4 : 0
    do throws(EngineError) {
      try ModelFile.save(original, to: path, options: options)
    } catch {
      // Keras 2.2's rule for masks in a Bidirectional is gone from all later versions.
      #expect(entry.file.hasPrefix("keras22/emb_mask_bilstm_seq"), "\(error)")
      #expect(error.code == .unsupported)
      return
    }
    if format.isSelfDescribing {
      let copy = try ModelFile.readContents(path)
      expectSame(copy, original, entry)
      if !hasOldMaskRule(entry) {
        #expect(
          copy.description.nodes.map(\.layer.kind) == original.description.nodes.map(\.layer.kind))
      }
    }
    expectSame(try ModelFile.readWeights(path, for: original.description), original, entry)
  }

  /// Keras 1's and 2.2's rule for masks in a Bidirectional is gone from all later versions; without a mask it
  /// makes no difference.
  private func hasOldMaskRule(_ entry: Fixtures.Entry) -> Bool {
    entry.file.hasPrefix("keras22/bilstm") || entry.file.hasPrefix("keras12/bilstm")
  }

  /// Layers that are called twice come back under other names, and states as values in another order:
  /// Tests/python/test_graphs.py compares what such graphs compute.
  static func comesBackInOrder(_ entry: Fixtures.Entry) -> Bool {
    !entry.file.contains("siamese") && !entry.file.contains("states_as_values")
  }

  private func expectSame(
    _ copy: ModelContents, _ original: ModelContents, _ entry: Fixtures.Entry
  ) {
    #expect(Set(copy.weights.keys) == Set(original.weights.keys), "\(entry.file)")
    for (key, array) in original.weights {
      guard let other = copy.weights[key] else { continue }
      #expect(other.shape == array.shape)
      #expect(zip(array.values, other.values).allSatisfy { Double(Float($0)) == Double(Float($1)) })
    }
  }

  @Test func `what Keras cannot express is refused by name`() throws {
    var cell = LSTMDescription(units: 2)
    cell.forgetPeephole = true
    let lstm = LayerDescription(
      name: "memory", kind: .recurrent(RecurrentDescription(cell: .lstm(cell))))
    let description = NetworkDescription(
      input: InputDescription(shape: .sequence(time: nil, features: 1)), layers: [lstm])
    let error = #expect(throws: EngineError.self) { try ModelFile.kerasJSON(description) }
    #expect(error?.code == .unsupported)
    #expect(error?.message.contains("'memory'") == true)
    #expect(error?.message.contains("peepholes") == true)
    #expect(error?.message.contains("'onnx'") == true)
  }

  @Test func `the architecture survives as JSON`() throws {
    for entry in Fixtures.all
    where entry.format == "keras-h5-model" && entry.expect == "load" && !hasOldMaskRule(entry)
      && Self.comesBackInOrder(entry)
    {
      let description = try ModelFile.readContents(entry.path).description
      #expect(
        try ModelFile.description(fromJSON: description.json.text()) == description,
        "\(entry.file)")
      guard let text = try? ModelFile.kerasJSON(description) else { continue }
      let copy = try ModelFile.description(fromJSON: text)
      #expect(copy.nodes.map(\.layer.kind) == description.nodes.map(\.layer.kind), "\(entry.file)")
      #expect(copy.nodes.map(\.inputs) == description.nodes.map(\.inputs), "\(entry.file)")
    }
  }
}
