import Glibc
import LSTM
import ModelFiles
import Testing

@Suite struct SavedStateTests {
  @Test(arguments: [ModelContents.Precision.float32, .float64])
  func `states come back to the bit`(_ precision: ModelContents.Precision) throws {
    var state = SavedState(kind: "stream", information: #"{"step": 12}"#)
    state.precision = precision
    for (index, shape) in [[3, 4], [1], [0, 5], [2, 2, 2]].enumerated() {
      let array = try WeightArray(shape: shape)
      for place in 0..<array.count {
        let value = 1 / Double(3 + place + index)
        array.values[place] = precision == .float32 ? Double(Float(value)) : value
      }
      state.arrays.append(("layer \(index)/h", array))
    }
    let path = temporaryPath()
    defer { unlink(path) }
    try ModelFile.saveState(state, to: path)
    let copy = try ModelFile.readState("stream", from: path)
    #expect(copy.information == state.information)
    #expect(copy.arrays.map(\.name) == state.arrays.map(\.name))
    for (one, other) in zip(state.arrays, copy.arrays) {
      #expect(one.array.shape == other.array.shape)
      #expect(one.array.values.elementsEqual(other.array.values))
    }
    let error = #expect(throws: EngineError.self) {
      try ModelFile.readState("training", from: path)
    }
    #expect(error?.message.contains("'carousel_training'") == true)
  }
}

extension SavedStateTests {
  /// A checkpoint: whoever reads networks finds one, and the state does not disturb.
  @Test(arguments: [FileFormat.carousel, .kerasH5])
  func `a state lives beside a network`(_ format: FileFormat) throws {
    let model = try ModelFile.readContents(Fixtures.folder + "/keras3/lstm_dense.h5")
    var state = SavedState(kind: "training", information: "{}")
    state.arrays = [("momentum/lstm/kernel", try #require(model.weights["lstm/kernel"]))]
    var options = ModelFile.SaveOptions()
    options.format = format
    options.states = [state]
    let path = temporaryPath()
    defer { unlink(path) }
    try ModelFile.save(model, to: path, options: options)
    #expect(try ModelFile.readContents(path).weights.count == model.weights.count)
    let copy = try ModelFile.readState("training", from: path)
    #expect(copy.arrays[0].array.values.elementsEqual(state.arrays[0].array.values))
  }
}

@Suite struct InspectionTests {
  /// Every file that is HDF5 at all can be looked into.
  @Test(
    arguments: Fixtures.all.filter { $0.format.contains("h5") && !$0.format.contains("oracle") })
  func `files can be inspected`(_ entry: Fixtures.Entry) throws {
    guard let text = try? ModelFile.inspect(entry.path) else {
      #expect(entry.expect != "load", "\(entry.file)")
      return
    }
    let json = try JSONValue(parsing: text)
    #expect(!json["format"].text.isEmpty)
    #expect(!json["arrays"].list.isEmpty)
    #expect(json["parameter_count"].number > 0)
  }
}
