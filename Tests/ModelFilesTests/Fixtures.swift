import Glibc
import LSTM
import ModelFiles
import Testing

/// The committed fixtures and their manifest.
enum Fixtures {
  struct Entry: CustomTestStringConvertible, Sendable {
    let file, format, expect: String
    let arch: String?
    var testDescription: String { file }
    var path: String { Fixtures.folder + "/" + file }
    var architecture: String? { arch.flatMap { try? Fixtures.text(Fixtures.folder + "/" + $0) } }
  }

  static let folder: String = {
    let parts = #filePath.split(separator: "/").dropLast(2)
    return "/" + parts.joined(separator: "/") + "/fixtures"
  }()

  static let all: [Entry] = {
    guard let text = try? text(folder + "/manifest.json"),
      let manifest = try? JSONValue(parsing: text),
      case .object(let object) = manifest, case .array(let cases)? = object["cases"]
    else { return [] }
    return cases.compactMap { value in
      guard case .object(let entry) = value, case .string(let file)? = entry["file"],
        case .string(let format)? = entry["format"], case .string(let expect)? = entry["expect"]
      else { return nil }
      var arch: String?
      if case .string(let path)? = entry["arch"] { arch = path }
      return Entry(file: file, format: format, expect: expect, arch: arch)
    }
  }()

  static func text(_ path: String) throws -> String {
    guard let file = fopen(path, "r") else { throw EngineError(.io, path) }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = fread(&buffer, 1, buffer.count, file)
      if count == 0 { break }
      bytes += buffer[..<count]
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
