import Glibc
import LSTM
import ModelFiles
import Testing

@Suite struct CarouselFormatTests {
  /// Every model that loads comes back as it was, to the bit, compressed or not.
  @Test(arguments: Fixtures.all.filter { $0.format == "keras-h5-model" && $0.expect == "load" })
  func `round trips are exact`(_ entry: Fixtures.Entry) throws {
    let original = try ModelFile.readContents(entry.path)
    for compression in [0, 4] {
      let path = temporaryPath()
      defer { unlink(path) }
      var options = ModelFile.SaveOptions()
      options.compression = compression
      try ModelFile.save(original, to: path, options: options)
      let copy = try ModelFile.readContents(path)
      #expect(copy.description == original.description)
      #expect(copy.report.isVerified)
      #expect(Set(copy.weights.keys) == Set(original.weights.keys))
      for (key, array) in original.weights {
        let other = try #require(copy.weights[key])
        #expect(other.shape == array.shape)
        #expect(zip(array.values, other.values).allSatisfy { Double(Float($0)) == $1 })
      }
    }
  }

  /// Bits all over a small file flipped: an error, or exactly the same model.
  @Test func `no flipped bit is overlooked`() throws {
    let lstm = LayerDescription(
      name: "lstm", kind: .recurrent(RecurrentDescription(cell: .lstm(LSTMDescription(units: 1)))))
    var contents = ModelContents(
      description: NetworkDescription(
        input: InputDescription(shape: .sequence(time: nil, features: 1)), layers: [lstm]),
      report: LoadReport(format: .carousel))
    for (key, shape) in [("kernel", [1, 4]), ("recurrent_kernel", [1, 4]), ("bias", [4])] {
      let array = try WeightArray(shape: shape)
      for index in 0..<array.count { array.values[index] = 0.25 + Double(index) }
      contents.weights["lstm/" + key] = array
    }
    let path = temporaryPath()
    defer { unlink(path) }
    try ModelFile.save(contents, to: path)
    let original = try bytes(of: path)
    let damaged = temporaryPath()
    defer { unlink(damaged) }
    var undetected = 0
    var errors = 0
    for position in stride(from: 0, to: original.count * 8, by: 13) {
      var copy = original
      copy[position / 8] ^= 1 << (position % 8)
      try write(copy, to: damaged)
      do throws(EngineError) {
        let read = try ModelFile.readContents(damaged)
        let isSame =
          read.description == contents.description && read.precision == contents.precision
          && read.weights.count == 3
          && contents.weights.allSatisfy { key, array in
            guard let other = read.weights[key] else { return false }
            return other.shape == array.shape && other.values.elementsEqual(array.values)
          }
        if !isSame { undetected += 1 }
      } catch { errors += 1 }
    }
    #expect(undetected == 0)
    #expect(errors > 100)
  }

  @Test func `a failed save leaves the old file`() throws {
    let path = temporaryPath()
    defer { unlink(path) }
    try write([1, 2, 3], to: path)
    let array = try WeightArray(shape: [1])
    array.values[0] = .nan
    var contents = ModelContents(
      description: NetworkDescription(
        input: InputDescription(shape: .vector(features: 1)),
        layers: [LayerDescription(name: "d", kind: .flatten)]),
      report: LoadReport(format: .carousel))
    contents.weights["d/kernel"] = array
    #expect(throws: EngineError.self) { try ModelFile.save(contents, to: path) }
    #expect(try bytes(of: path) == [1, 2, 3])
  }
}

func temporaryPath(_ suffix: String = ".h5") -> String {
  "/tmp/carousel-test-\(getpid())-\(UInt64.random(in: 0 ... .max))\(suffix)"
}

func bytes(of path: String) throws -> [UInt8] {
  guard let file = fopen(path, "r") else { throw EngineError(.io, path) }
  defer { fclose(file) }
  var result: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 65536)
  while case let count = fread(&buffer, 1, buffer.count, file), count > 0 {
    result += buffer[..<count]
  }
  return result
}

func write(_ bytes: [UInt8], to path: String) throws {
  guard let file = fopen(path, "w") else { throw EngineError(.io, path) }
  defer { fclose(file) }
  guard fwrite(bytes, 1, bytes.count, file) == bytes.count else { throw EngineError(.io, path) }
}
