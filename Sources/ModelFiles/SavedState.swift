import LSTM

/// Named arrays with a text beside them: the states of streams, what training depends on. They live in a group
/// of their own, alone in a file or beside a network; exact for both number types, and with a checksum.
public struct SavedState: Sendable {
  /// What it is: `stream`, `training`. The group is called `carousel_` and this.
  public var kind: String
  /// Whatever else has to be kept, as JSON text.
  public var information: String
  public var arrays: [(name: String, array: WeightArray)] = []
  public var precision = ModelContents.Precision.float32

  /// Beginning of the names of groups that hold states; readers of networks leave them aside.
  static let groupPrefix = "carousel_"

  public init(kind: String, information: String = "{}") {
    self.kind = kind
    self.information = information
  }

  private var number: HDF5Storage.Number { precision == .float32 ? .float32 : .float64 }

  func write(below root: HDF5GroupWriter) throws(EngineError) {
    let group = try root.group(SavedState.groupPrefix + kind)
    let attributes = group.attributes
    try attributes.set("carousel_state", 1)
    try attributes.set("information", information)
    try attributes.set("dtype", number == .float32 ? "float32" : "float64")
    try attributes.set("arrays", arrays.map(\.name))
    try attributes.set("checksum", checksum)
    for entry in arrays {
      try group.write(entry.array, to: "arrays/" + entry.name, as: HDF5Storage(number: number))
    }
  }

  static func read(_ kind: String, below root: HDF5Group) throws(EngineError) -> SavedState {
    guard let group = try root.groupIfPresent(groupPrefix + kind) else {
      throw EngineError(.notFound, "the file has no group '\(groupPrefix)\(kind)'")
    }
    let attributes = group.attributes
    guard try attributes.integer("carousel_state") == 1,
      let information = try attributes.text("information"),
      let names = try attributes.texts("arrays")
    else {
      throw EngineError(.format, "the group '\(groupPrefix)\(kind)' was not written by Carousel")
    }
    var state = SavedState(kind: kind, information: information)
    state.precision = try attributes.text("dtype") == "float64" ? .float64 : .float32
    for name in names {
      state.arrays.append((name, try group.dataset("arrays/" + name).read()))
    }
    guard try attributes.text("checksum") == state.checksum else {
      throw EngineError(
        .format, "the checksum of '\(groupPrefix)\(kind)' is wrong: the file is damaged")
    }
    return state
  }

  private var checksum: String {
    var checksum = CRC32()
    checksum.add(kind)
    checksum.add(information)
    for entry in arrays {
      checksum.add(entry.name)
      for extent in entry.array.shape { checksum.add(littleEndian: Int64(extent)) }
      checksum.add(entry.array, as: number)
    }
    return "crc32:\(checksum.hexadecimal)"
  }
}

extension ModelFile {
  /// Writes a state alone. ``save(_:to:options:)`` with `options.states` puts it beside a network.
  public static func saveState(_ state: SavedState, to path: String) throws(EngineError) {
    do throws(EngineError) {
      try HDF5FileWriter.write(to: path) { (root) throws(EngineError) in
        try state.write(below: root)
      }
    } catch {
      throw error.within("'\(path)'")
    }
  }

  /// Reads the state of the given kind, alone in a file or beside a network.
  public static func readState(
    _ kind: String, from path: String, limits: FileLimits = FileLimits()
  ) throws(EngineError) -> SavedState {
    do throws(EngineError) {
      let probe = try FileProbe(path: path, limits: limits)
      guard probe.container == .hdf5 else { throw EngineError(.format, "the file is not HDF5") }
      return try HDF5Library.session { (library) throws(EngineError) in
        let file = try HDF5File(path: path, size: probe.size, limits: limits, library: library)
        return try SavedState.read(kind, below: try file.root())
      }
    } catch {
      throw error.within("'\(path)'")
    }
  }
}
