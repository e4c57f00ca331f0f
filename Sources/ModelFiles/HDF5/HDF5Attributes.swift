import CHDF5
import Glibc
import LSTM

/// The attributes of a group or dataset.
///
/// Text comes in every encoding that HDF5 has, mixed in one file: variable-length and fixed-length
/// strings, ASCII and UTF-8, scalars and arrays; an empty list of names is an array of float64.
struct HDF5Attributes {
  let file: HDF5File
  let owner: HDF5Handle
  let path: String

  private var library: HDF5Library { file.library }
  private var functions: HDF5Functions { file.library.functions }

  func contains(_ name: String) -> Bool {
    let found = functions.attributeExists(owner.id, name)
    if found < 0 { _ = functions.clearErrors(0) }
    return found > 0
  }

  /// A text; nil if there is no such attribute or it holds no text.
  func text(_ name: String) throws(EngineError) -> String? {
    guard let attribute = try open(name), attribute.isText else { return nil }
    return try readTexts(attribute).first
  }

  /// A list of texts, joined from `name0`, `name1`, … if Keras had to split it (64 KiB limit).
  func texts(_ name: String) throws(EngineError) -> [String]? {
    if let attribute = try open(name) {
      // An empty list has no element from which h5py could tell its type.
      if attribute.count == 0 { return [] }
      guard attribute.isText else {
        throw EngineError(.format, "attribute '\(name)' of '\(path)' is not a list of names")
      }
      return try readTexts(attribute)
    }
    var parts: [String]?
    var index = 0
    while let attribute = try open("\(name)\(index)") {
      guard attribute.isText || attribute.count == 0, index < file.limits.objects else {
        throw EngineError(
          .format, "attribute '\(name)\(index)' of '\(path)' is not a list of names")
      }
      parts = (parts ?? []) + (attribute.count == 0 ? [] : try readTexts(attribute))
      index += 1
    }
    return parts
  }

  /// One number; nil if there is no such attribute or it is not a number.
  func number(_ name: String) throws(EngineError) -> Double? {
    try numbers(name)?.first
  }

  /// Numbers of a scalar or an array; nil if there is no such attribute or it holds none.
  func numbers(_ name: String) throws(EngineError) -> [Double]? {
    guard let attribute = try open(name), attribute.isNumeric else { return nil }
    guard attribute.count <= 4096 else {
      throw EngineError(
        .limit, "attribute '\(name)' of '\(path)' has \(attribute.count) numbers")
    }
    var values = [Double](repeating: 0, count: attribute.count)
    guard attribute.count > 0 else { return values }
    let type = library.nativeDouble
    let status = values.withUnsafeMutableBytes { bytes in
      functions.readAttribute(attribute.handle.id, type, bytes.baseAddress!)
    }
    guard status >= 0 else {
      throw library.failure("attribute '\(name)' of '\(path)' cannot be read")
    }
    return values
  }

  func integer(_ name: String) throws(EngineError) -> Int? {
    guard let number = try number(name) else { return nil }
    guard let integer = Int(exactly: number) else {
      throw EngineError(.format, "attribute '\(name)' of '\(path)' is \(number), not an integer")
    }
    return integer
  }

  // MARK: - Reading

  private struct Attribute {
    let name: String
    let handle, type, space: HDF5Handle
    let count: Int
    let elementSize: Int
    let typeClass: Int32

    var isText: Bool { typeClass == 3 }
    var isNumeric: Bool { typeClass == 0 || typeClass == 1 || typeClass == 8 }
  }

  private func open(_ name: String) throws(EngineError) -> Attribute? {
    guard contains(name) else { return nil }
    let what = "attribute '\(name)' of '\(path)'"
    let handle = try library.own(
      functions.openAttribute(owner.id, name, 0), closedBy: functions.closeAttribute,
      orFailWith: "\(what) cannot be opened")
    let type = try library.own(
      functions.attributeType(handle.id), closedBy: functions.closeType,
      orFailWith: "\(what) has no type")
    let space = try library.own(
      functions.attributeSpace(handle.id), closedBy: functions.closeSpace,
      orFailWith: "\(what) has no dataspace")
    let count = try elementCount(space, what)
    let size = functions.typeSize(type.id)
    // What an attribute declares, it also stores: it cannot be larger than the file.
    guard size.multipliedClamping(by: count) <= min(file.limits.textBytes, file.size) else {
      throw EngineError(.limit, "\(what) declares \(count) elements of \(size) bytes")
    }
    // Each element becomes a string or number of its own.
    if size * count > 4096 { try Memory.require(bytes: 4 * size * count + 32 * count) }
    return Attribute(
      name: name, handle: handle, type: type, space: space, count: count, elementSize: size,
      typeClass: functions.typeClass(type.id))
  }

  private func elementCount(_ space: HDF5Handle, _ what: String) throws(EngineError) -> Int {
    // H5S_NULL
    guard functions.spaceClass(space.id) != 2 else { return 0 }
    let rank = functions.rank(space.id)
    var extents = [hsize_t](repeating: 0, count: 32)
    guard rank >= 0, rank <= 32, functions.extents(space.id, &extents, nil) >= 0 else {
      throw library.failure("\(what) has a damaged dataspace")
    }
    return extents.prefix(Int(rank)).reduce(1) { $0.multipliedClamping(by: Int(clamping: $1)) }
  }

  private func readTexts(_ attribute: Attribute) throws(EngineError) -> [String] {
    functions.isVariableString(attribute.type.id) > 0
      ? try readVariableTexts(attribute) : try readFixedTexts(attribute)
  }

  private func readFixedTexts(_ attribute: Attribute) throws(EngineError) -> [String] {
    let size = attribute.elementSize
    // Bounded by `open`.
    var bytes = [UInt8](repeating: 0, count: size * attribute.count)
    guard size > 0, attribute.count > 0 else { return [] }
    let status = bytes.withUnsafeMutableBytes { buffer in
      functions.readAttribute(attribute.handle.id, attribute.type.id, buffer.baseAddress!)
    }
    guard status >= 0 else { throw unreadable(attribute) }
    // H5T_STR_SPACEPAD: Fortran's way to fill up.
    let isSpacePadded = functions.getStringPadding(attribute.type.id) == 2
    var texts: [String] = []
    for index in 0..<attribute.count {
      var element = bytes[index * size..<(index + 1) * size]
      if let end = element.firstIndex(of: 0) { element = element[..<end] }
      if isSpacePadded { while element.last == 0x20 { element.removeLast() } }
      texts.append(try decode(element, of: attribute))
    }
    return texts
  }

  private func readVariableTexts(_ attribute: Attribute) throws(EngineError) -> [String] {
    var pointers = [UnsafeMutablePointer<CChar>?](repeating: nil, count: attribute.count)
    guard attribute.count > 0 else { return [] }
    let memoryType = try library.own(
      functions.copyType(library.cString), closedBy: functions.closeType,
      orFailWith: "no string type")
    // H5T_VARIABLE
    _ = functions.setTypeSize(memoryType.id, -1)
    _ = functions.setCharacterSet(memoryType.id, functions.getCharacterSet(attribute.type.id))
    let status = pointers.withUnsafeMutableBytes { buffer in
      functions.readAttribute(attribute.handle.id, memoryType.id, buffer.baseAddress!)
    }
    guard status >= 0 else { throw unreadable(attribute) }
    defer {
      _ = pointers.withUnsafeMutableBytes { buffer in
        functions.reclaim(memoryType.id, attribute.space.id, 0, buffer.baseAddress!)
      }
    }
    var texts: [String] = []
    var total = 0
    for pointer in pointers {
      guard let pointer else {
        texts.append("")
        continue
      }
      let length = strlen(pointer)
      total += length
      guard total <= file.limits.textBytes else {
        throw EngineError(
          .limit,
          "attribute '\(attribute.name)' of '\(path)' is longer than "
            + "\(file.limits.textBytes) bytes")
      }
      if length > 4096 { try Memory.require(bytes: 2 * length) }
      let bytes = UnsafeRawBufferPointer(start: pointer, count: length)
      texts.append(try decode(bytes, of: attribute))
    }
    return texts
  }

  private func decode<Bytes: Collection<UInt8>>(
    _ bytes: Bytes, of attribute: Attribute
  ) throws(EngineError) -> String {
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw EngineError(
        .format, "attribute '\(attribute.name)' of '\(path)' is not valid UTF-8")
    }
    return text
  }

  private func unreadable(_ attribute: Attribute) -> EngineError {
    library.failure("attribute '\(attribute.name)' of '\(path)' cannot be read")
  }
}
