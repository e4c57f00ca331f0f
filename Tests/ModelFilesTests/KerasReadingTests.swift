import LSTM
import ModelFiles
import Testing

@Suite struct KerasReadingTests {
  static let wholeModels = Fixtures.all.filter { $0.format == "keras-h5-model" }
  static let legacyWeights = Fixtures.all.filter { $0.format == "keras-legacy-weights-h5" }

  @Test(arguments: wholeModels)
  func `whole models load, and what must not load is refused`(_ entry: Fixtures.Entry) throws {
    try read(entry, ModelFile.LoadOptions())
  }

  @Test(arguments: legacyWeights)
  func `weights-only files load with an architecture`(_ entry: Fixtures.Entry) throws {
    var options = ModelFile.LoadOptions()
    options.configJSON = entry.architecture
    try read(entry, options)
  }

  private func read(_ entry: Fixtures.Entry, _ options: ModelFile.LoadOptions) throws {
    do throws(EngineError) {
      let contents = try ModelFile.readContents(entry.path, options: options)
      #expect(entry.expect != "error", "\(entry.file) was read")
      #expect(!contents.weights.isEmpty)
      #expect(contents.weights.values.allSatisfy { $0.count > 0 })
    } catch {
      #expect(entry.expect != "load", "\(error)")
      #expect(error.message.contains(entry.file))
    }
  }
}
