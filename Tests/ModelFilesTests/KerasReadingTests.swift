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

  @Test(arguments: Fixtures.all.filter { $0.format == "keras-v3-zip" })
  func `archives load, and what must not load is refused`(_ entry: Fixtures.Entry) throws {
    try read(entry, ModelFile.LoadOptions())
  }

  @Test(arguments: Fixtures.all.filter { $0.format == "keras-v3-weights-h5" })
  func `weights of the new layout load with an architecture`(_ entry: Fixtures.Entry) throws {
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

@Suite struct KerasAgreementTests {
  /// Files of one case in different layouts hold the same model.
  @Test func `all layouts of a case give the same weights`() throws {
    var cases: [String: [Fixtures.Entry]] = [:]
    for entry in Fixtures.all where entry.format.hasPrefix("keras") && entry.expect != "error" {
      let stem = entry.file.prefix(while: { $0 != "." })
      cases[String(stem), default: []].append(entry)
    }
    var compared = 0
    for entries in cases.values {
      var first: ModelContents?
      for entry in entries {
        var options = ModelFile.LoadOptions()
        if entry.format.contains("weights") { options.configJSON = entry.architecture }
        guard let contents = try? ModelFile.readContents(entry.path, options: options) else {
          continue
        }
        guard let reference = first else {
          first = contents
          continue
        }
        compared += 1
        #expect(contents.description.nodes == reference.description.nodes, "\(entry.file)")
        #expect(contents.weights.count == reference.weights.count, "\(entry.file)")
        for (key, array) in reference.weights {
          let other = try #require(contents.weights[key], "\(entry.file) \(key)")
          #expect(other.shape == array.shape)
          #expect(other.values.elementsEqual(array.values), "\(entry.file) \(key)")
        }
      }
    }
    #expect(compared > 130)
  }
}
