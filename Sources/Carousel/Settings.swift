import CCarousel
import CPlatform
import LSTM
import Synchronization

/// What holds for the whole process.
enum Settings {
  private static let chosenThreads = Atomic<Int32>(0)
  static let mostThreads: Int32 = 1024

  /// Most threads of a call that does not say otherwise.
  static var threads: Int32 {
    let chosen = chosenThreads.load(ordering: .relaxed)
    return chosen > 0 ? chosen : processors
  }

  /// A caller's number of threads, 0 standing for ``threads``.
  static func threads(
    _ count: Int32, _ name: @autoclosure () -> String
  ) throws(EngineError) -> Int {
    guard count >= 0, count <= mostThreads else {
      throw EngineError(
        .invalidArgument, "\(name()) is \(count), expected 0 to \(mostThreads)")
    }
    return Int(count == 0 ? threads : count)
  }

  static func setThreads(_ count: Int32) { chosenThreads.store(count, ordering: .relaxed) }

  /// Processors that this process may run on.
  private static let processors = min(Int32(carousel_processor_count()), mostThreads)
}

@_cdecl("carousel_threads") @implementation
public func carousel_threads() -> Int32 { Settings.threads }

@_cdecl("carousel_set_threads") @implementation
public func carousel_set_threads(_ threads: Int32) -> carousel_status {
  entry { () throws(EngineError) in
    _ = try Settings.threads(threads, "threads")
    Settings.setThreads(threads)
  }
}

@_cdecl("carousel_instruction_set") @implementation
public func carousel_instruction_set() -> UnsafePointer<CChar>? {
  KernelDispatch.kernels.name.cString
}

@_cdecl("carousel_set_instruction_set") @implementation
public func carousel_set_instruction_set(_ name: UnsafePointer<CChar>?) -> carousel_status {
  entry { () throws(EngineError) in
    guard let text = try Argument.optionalText(name, "name") else {
      return try KernelDispatch.select(InstructionSet.supported.last ?? .baseline)
    }
    guard let set = InstructionSet(rawValue: text) else {
      let known = InstructionSet.allCases.map(\.rawValue).joined(separator: ", ")
      throw EngineError(.invalidArgument, "name is '\(text)', expected one of \(known)")
    }
    try KernelDispatch.select(set)
  }
}
