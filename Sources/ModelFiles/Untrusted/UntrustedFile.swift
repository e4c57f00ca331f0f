import CPlatform
import Glibc
import LSTM

/// A file that is not trusted, read by a process of its own (`carousel-reader`) with limits: what crashes,
/// hangs or eats memory in libhdf5 does so there. The host opens the file and reads the answer; it
/// never touches libhdf5 or libzip for such a file.
struct UntrustedFile {
  let path: String
  let isolation: Isolation

  func contents(_ request: ReaderRequest) throws(EngineError) -> ModelContents {
    try ask(request) { (header, memory, fill) throws(EngineError) in
      try ReaderReply.contents(header, memory: memory, fill: fill)
    }
  }

  func inspection(_ request: ReaderRequest) throws(EngineError) -> String {
    try ask(request) { (header, _, _) throws(EngineError) in
      let text = try header.text("inspection")
      try header.finish()
      // A caller may take it for JSON without looking.
      _ = try JSONValue(parsing: text)
      return text
    }
  }

  private typealias Fill = (UnsafeMutableRawBufferPointer) throws(EngineError) -> Void

  private func ask<Answer>(
    _ request: ReaderRequest,
    _ read: (StrictObject, _ memory: Int, Fill) throws(EngineError) -> Answer
  ) throws(EngineError) -> Answer {
    let descriptor = try FileProbe.open(path)
    defer { close(descriptor) }
    let size = try FileProbe(descriptor: descriptor, limits: request.limits).size
    var request = request
    request.path = path
    request.seconds = isolation.seconds
    request.memory =
      isolation.memory > 0 ? isolation.memory : Isolation.memory(forFileOf: size)

    var child = carousel_child()
    let program = try UntrustedFile.program()
    let code = carousel_child_start(program, descriptor, &child)
    guard code == 0 else {
      throw EngineError(
        .library, "'\(program)' cannot be started: \(String(cString: strerror(code)))")
    }
    let conversation = Conversation(
      child: child, deadline: carousel_milliseconds() + Int64(isolation.seconds) * 1000)
    let answer: Answer
    do throws(EngineError) {
      try conversation.send(request.json.text())
      let header = try ReaderReply.header(try conversation.receiveText())
      answer = try read(header, request.memory) { (bytes) throws(EngineError) in
        try conversation.receive(bytes)
      }
    } catch {
      let signal = carousel_child_end(&child)
      throw conversation.explain(error, signal: signal, request)
    }
    _ = carousel_child_end(&child)
    return answer
  }

  /// The program beside this library, or where it is installed; `CAROUSEL_READER` names another one.
  private static func program() throws(EngineError) -> String {
    if let path = carousel_secure_environment("CAROUSEL_READER") { return String(cString: path) }
    var folder = [CChar](repeating: 0, count: 4096)
    guard carousel_library_folder(&folder, folder.count) > 0 else {
      throw EngineError(.library, "the folder of the library cannot be told")
    }
    let base = folder.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    let candidates = [
      "\(base)/carousel-reader", "\(base)/../libexec/carousel/carousel-reader",
      "\(base)/../../libexec/carousel/carousel-reader",
    ]
    for path in candidates where access(path, X_OK) == 0 { return path }
    throw EngineError(
      .library,
      "the program carousel-reader, which reads untrusted files, is missing; looked for "
        + candidates.joined(separator: ", ") + "; CAROUSEL_READER may name it")
  }
}

/// The host's end of the socket.
private final class Conversation {
  private var child: carousel_child
  private let deadline: Int64
  /// errno of what the socket refused.
  private var refusal: Int32 = 0

  init(child: carousel_child, deadline: Int64) {
    self.child = child
    self.deadline = deadline
  }

  func send(_ text: String) throws(EngineError) {
    var text = text
    var length = UInt64(text.utf8.count).littleEndian
    refusal = carousel_child_write(&child, &length, 8, deadline)
    if refusal == 0 {
      refusal = text.withUTF8 { carousel_child_write(&child, $0.baseAddress, $0.count, deadline) }
    }
    guard refusal == 0 else { throw EngineError(.format, "the reader does not listen") }
  }

  func receive(_ bytes: UnsafeMutableRawBufferPointer) throws(EngineError) {
    guard bytes.count > 0 else { return }
    refusal = carousel_child_read(&child, bytes.baseAddress, bytes.count, deadline)
    guard refusal == 0 else { throw EngineError(.format, "the reader's answer breaks off") }
  }

  func receiveText() throws(EngineError) -> String {
    var length: UInt64 = 0
    try withUnsafeMutableBytes(of: &length) { (bytes) throws(EngineError) in try receive(bytes) }
    length = UInt64(littleEndian: length)
    guard length <= UInt64(ReaderReply.longestText) else {
      throw EngineError(.limit, "the reader's answer has \(length) bytes of text")
    }
    let buffer = try Buffer<UInt8>(count: Int(length))
    try receive(UnsafeMutableRawBufferPointer(start: buffer.pointer, count: buffer.count))
    guard let text = String(validating: buffer.elements, as: UTF8.self) else {
      throw EngineError(.format, "the reader's answer is not valid UTF-8")
    }
    return text
  }

  /// Why there is no answer.
  func explain(_ error: EngineError, signal: Int32, _ request: ReaderRequest) -> EngineError {
    switch (refusal, signal) {
    case (0, _):
      return error
    case (ETIMEDOUT, _), (_, SIGXCPU), (_, SIGALRM):
      return EngineError(
        .limit, "reading it takes more than the limit of \(request.seconds) seconds")
    case (_, 0), (_, SIGKILL):
      return EngineError(
        .format, "the process that read it ended without an answer: the file is damaged or hostile")
    default:
      return EngineError(
        .format,
        "the process that read it crashed (signal \(signal), \(String(cString: strsignal(signal)))): "
          + "the file is damaged or hostile")
    }
  }
}
