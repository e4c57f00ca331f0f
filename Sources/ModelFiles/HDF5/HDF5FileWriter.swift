import CHDF5
import LSTM

/// A new HDF5 file, made in memory.
///
/// libhdf5 does not write to the disk itself: where a write fails it may say so only in closing, or not at
/// all, and releases to 1.10 crash when the process ends if a file could not be closed.
final class HDF5FileWriter {
  private let library: HDF5Library
  private let handle: HDF5Handle

  private init(library: HDF5Library) throws(EngineError) {
    self.library = library
    let functions = library.functions
    let properties = try HDF5File.accessProperties(library)
    guard functions.setCoreDriver(properties.id, 1 << 20, false) >= 0 else {
      throw library.failure("no HDF5 data can be made in memory", code: .library)
    }
    // 2: H5F_ACC_TRUNC
    let id = functions.createFile("carousel-image", 2, 0, properties.id)
    guard id >= 0 else { throw library.failure("the HDF5 data cannot be made", code: .io) }
    handle = HDF5Handle(id: id, close: functions.closeFile)
  }

  private func root() throws(EngineError) -> HDF5GroupWriter {
    let functions = library.functions
    let id = functions.openGroup(handle.id, "/", 0)
    let group = try library.own(id, closedBy: functions.closeGroup, orFailWith: "no root group")
    return HDF5GroupWriter(library: library, handle: group, path: "")
  }

  /// The bytes of the file.
  private func image() throws(EngineError) -> Buffer<UInt8> {
    let functions = library.functions
    // 1: H5F_SCOPE_GLOBAL
    let size =
      functions.flushFile(handle.id, 1) >= 0 ? functions.getFileImage(handle.id, nil, 0) : -1
    guard size >= 0 else { throw library.failure("the HDF5 data cannot be made", code: .io) }
    let bytes = try Buffer<UInt8>(count: size)
    guard functions.getFileImage(handle.id, bytes.pointer, size) == size else {
      throw library.failure("the HDF5 data cannot be made", code: .io)
    }
    return bytes
  }

  /// The bytes of a file that `body` fills.
  static func image(
    _ body: (HDF5GroupWriter) throws(EngineError) -> Void
  ) throws(EngineError) -> Buffer<UInt8> {
    try HDF5Library.session { (library) throws(EngineError) in
      let failures = HDF5Handle.failureCount
      let file = try HDF5FileWriter(library: library)
      try body(try file.root())
      // Closing a dataset writes what was kept back of it.
      guard HDF5Handle.failureCount == failures else {
        throw library.failure("the HDF5 data cannot be made", code: .io)
      }
      return try file.image()
    }
  }

  /// Writes a file with a ``FileSeal``, filled by `body`, in one step (``AtomicFile``).
  static func write(
    to path: String, _ body: (HDF5GroupWriter) throws(EngineError) -> Void
  ) throws(EngineError) {
    let image = try image(body)
    let bytes = UnsafeRawBufferPointer(image.elements)
    let seal = FileSeal.seal(of: bytes)
    try AtomicFile.replace(path) { (file) throws(EngineError) in
      guard file.write(bytes, at: 0), seal.withUnsafeBytes({ file.write($0, at: bytes.count) })
      else { throw AtomicFile.failure("the file cannot be written") }
    }
  }
}

/// How a dataset is stored.
struct HDF5Storage {
  enum Number { case float32, float64, int64, uint16, int8 }

  var number = Number.float32
  /// Level of gzip, 1 to 9; 0 stores plainly.
  var compression = 0
}

/// A group of a new file.
final class HDF5GroupWriter {
  private let library: HDF5Library
  private let handle: HDF5Handle
  private let path: String

  init(library: HDF5Library, handle: HDF5Handle, path: String) {
    self.library = library
    self.handle = handle
    self.path = path
  }

  /// The group at `path` below this one; groups that do not exist are made.
  func group(_ path: String) throws(EngineError) -> HDF5GroupWriter {
    let functions = library.functions
    var group = self
    for name in path.split(separator: "/").map(String.init) {
      let inner = group.path.isEmpty ? name : "\(group.path)/\(name)"
      let id =
        functions.linkExists(group.handle.id, name, 0) > 0
        ? functions.openGroup(group.handle.id, name, 0)
        : functions.createGroup(group.handle.id, name, 0, 0, 0)
      guard id >= 0 else { throw library.failure("group '\(inner)' cannot be made", code: .io) }
      group = HDF5GroupWriter(
        library: library, handle: HDF5Handle(id: id, close: functions.closeGroup), path: inner)
    }
    return group
  }

  /// Writes numbers at `path` below this group and returns the dataset, for attributes.
  @discardableResult
  func write(
    _ array: WeightArray, to path: String, as storage: HDF5Storage = HDF5Storage()
  ) throws(EngineError) -> HDF5AttributeWriter {
    var names = path.split(separator: "/").map(String.init)
    guard let name = names.popLast() else {
      throw EngineError(.invalidArgument, "a dataset needs a name")
    }
    return try group(names.joined(separator: "/")).writeHere(array, name: name, as: storage)
  }

  var attributes: HDF5AttributeWriter {
    HDF5AttributeWriter(library: library, owner: handle, path: path)
  }

  private func writeHere(
    _ array: WeightArray, name: String, as storage: HDF5Storage
  ) throws(EngineError) -> HDF5AttributeWriter {
    let functions = library.functions
    let full = path.isEmpty ? name : "\(path)/\(name)"
    let properties = try library.own(
      functions.createProperties(library.datasetCreation), closedBy: functions.closeProperties,
      orFailWith: "no dataset creation properties")
    // Equal networks give equal files.
    _ = functions.setTrackTimes(properties.id, false)
    let extents = array.shape.map { hsize_t($0) }
    if storage.compression > 0, array.count > 1 {
      guard functions.setChunk(properties.id, Int32(extents.count), chunk(of: array)) >= 0,
        functions.setShuffle(properties.id) >= 0,
        functions.setDeflate(properties.id, UInt32(storage.compression)) >= 0
      else { throw library.failure("'\(full)' cannot be compressed", code: .library) }
    }
    let space = try library.own(
      extents.isEmpty
        ? functions.createSpace(0)
        : functions.createSimpleSpace(Int32(extents.count), extents, nil),
      closedBy: functions.closeSpace, orFailWith: "no dataspace for '\(full)'")
    let type: hid_t
    switch storage.number {
    case .float32: type = library.float32
    case .float64: type = library.float64
    case .int64: type = library.int64
    case .uint16: type = library.uint16
    case .int8: type = library.int8
    }
    let id = functions.createDataset(handle.id, name, type, space.id, 0, properties.id, 0)
    guard id >= 0 else { throw library.failure("'\(full)' cannot be created", code: .io) }
    let dataset = HDF5Handle(id: id, close: functions.closeDataset)
    if array.count > 0, let values = array.values.baseAddress {
      guard functions.write(id, library.nativeDouble, 0, 0, 0, values) >= 0 else {
        throw library.failure("'\(full)' cannot be written", code: .io)
      }
    }
    return HDF5AttributeWriter(library: library, owner: dataset, path: full)
  }

  /// Whole rows, about a megabyte of them.
  private func chunk(of array: WeightArray) -> [hsize_t] {
    var chunk = array.shape.map { max($0, 1) }
    guard let first = chunk.first else { return [] }
    let row = max(1, array.count / first)
    chunk[0] = min(first, max(1, (1 << 17) / row))
    return chunk.map { hsize_t($0) }
  }
}

/// Writes attributes of one group or dataset.
struct HDF5AttributeWriter {
  let library: HDF5Library
  let owner: HDF5Handle
  let path: String

  private var functions: HDF5Functions { library.functions }

  /// Bytes that fit into one attribute of an old-style object header; Keras's own bound.
  private static let headerLimit = 64512

  /// A text as a variable-length UTF-8 string, of any length.
  func set(_ name: String, _ text: String) throws(EngineError) {
    // H5T_VARIABLE is -1.
    let type = try stringType(size: -1)
    try write(name, type: type.id, memoryType: type.id, extents: []) { attribute in
      text.withCString { pointer in
        withUnsafePointer(to: pointer) { functions.writeAttribute(attribute, type.id, $0) }
      }
    }
  }

  /// A list of texts as fixed-length strings, split into `name0`, `name1`, … as Keras does if it
  /// is too long for one attribute.
  func set(_ name: String, _ texts: [String]) throws(EngineError) {
    let width = max(1, texts.map(\.utf8.count).max() ?? 1)
    let perPart = max(1, HDF5AttributeWriter.headerLimit / width)
    guard texts.count > perPart else { return try setFixed(name, texts, width: width) }
    var start = 0
    var part = 0
    while start < texts.count {
      let end = min(texts.count, start + perPart)
      try setFixed("\(name)\(part)", Array(texts[start..<end]), width: width)
      start = end
      part += 1
    }
  }

  func set(_ name: String, _ number: Double) throws(EngineError) {
    try write(name, type: library.float64, memoryType: library.nativeDouble, extents: []) { id in
      withUnsafePointer(to: number) { functions.writeAttribute(id, library.nativeDouble, $0) }
    }
  }

  func set(_ name: String, _ integer: Int) throws(EngineError) {
    let value = Int64(integer)
    try write(name, type: library.int64, memoryType: library.nativeInt64, extents: []) { id in
      withUnsafePointer(to: value) { functions.writeAttribute(id, library.nativeInt64, $0) }
    }
  }

  private func setFixed(_ name: String, _ texts: [String], width: Int) throws(EngineError) {
    var bytes = [UInt8](repeating: 0, count: max(1, width * texts.count))
    for (index, text) in texts.enumerated() {
      bytes.replaceSubrange(index * width..<index * width + text.utf8.count, with: text.utf8)
    }
    let type = try stringType(size: width)
    try write(name, type: type.id, memoryType: type.id, extents: [hsize_t(texts.count)]) { id in
      texts.isEmpty ? 0 : functions.writeAttribute(id, type.id, bytes)
    }
  }

  private func stringType(size: Int) throws(EngineError) -> HDF5Handle {
    let type = try library.own(
      functions.copyType(library.cString), closedBy: functions.closeType,
      orFailWith: "no string type")
    _ = functions.setTypeSize(type.id, size)
    // H5T_STR_NULLPAD for fixed lengths, H5T_STR_NULLTERM for variable ones; H5T_CSET_UTF8.
    _ = functions.setStringPadding(type.id, size < 0 ? 0 : 1)
    _ = functions.setCharacterSet(type.id, 1)
    return type
  }

  private func write(
    _ name: String, type: hid_t, memoryType: hid_t, extents: [hsize_t], _ body: (hid_t) -> herr_t
  ) throws(EngineError) {
    let space = try library.own(
      extents.isEmpty
        ? functions.createSpace(0)
        : functions.createSimpleSpace(Int32(extents.count), extents, nil),
      closedBy: functions.closeSpace, orFailWith: "no dataspace")
    let id = functions.createAttribute(owner.id, name, type, space.id, 0, 0)
    guard id >= 0 else {
      throw library.failure("attribute '\(name)' of '\(path)' cannot be created", code: .io)
    }
    let attribute = HDF5Handle(id: id, close: functions.closeAttribute)
    guard body(attribute.id) >= 0 else {
      throw library.failure("attribute '\(name)' of '\(path)' cannot be written", code: .io)
    }
  }
}
