import LSTM
import Testing

/// Names that no file could hold side by side: what can be built can be saved.
@Suite struct NamePathsTests {
  static func network(_ names: [String]) throws -> Network<Float> {
    try Network<Float>(
      NetworkDescription(
        input: InputDescription(shape: .vector(features: 2)),
        layers: names.map {
          LayerDescription(name: $0, kind: .dense(units: 2, activation: .linear, useBias: true))
        }))
  }

  static func message(_ names: [String]) throws -> String {
    do {
      _ = try network(names)
      return ""
    } catch let error as EngineError {
      #expect(error.code == .invalidArgument)
      return error.message
    }
  }

  @Test func namesThatDifferInTheFile() throws {
    for names in [["dense", "dense2"], ["a/b", "a", "a/c"], ["dense/"], ["..", "a.b", "kernel"]] {
      #expect(try Self.message(names) == "")
    }
  }

  @Test func namesThatDoNot() throws {
    #expect(try Self.message(["dense", "dense"]) == "two layers are named 'dense'")
    #expect(
      try Self.message(["dense/", "dense"])
        == "layers 'dense/' and 'dense' would be the same group of a file")
    #expect(try Self.message(["a//b", "/a/b"]).contains("the same group"))
    #expect(
      try Self.message(["dense", "dense/kernel"])
        == "'dense/kernel' would lie in the array 'dense/kernel' of a file")
    #expect(try Self.message(["dense/bias/x", "dense"]).contains("would lie in the array"))
    #expect(try Self.message(["./dense"]).contains("a part is '.'"))
    let long = Array(repeating: "a", count: 65).joined(separator: "/")
    #expect(try Self.message([long]).contains("65 parts between slashes"))
  }
}
