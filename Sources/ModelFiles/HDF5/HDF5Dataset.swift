import CHDF5
import LSTM

/// A dataset of numbers, checked for everything that reading it could run into.
final class HDF5Dataset {
  let file: HDF5File
  let path: String
  /// Empty for a scalar.
  let shape: [Int]
  /// True for a dataset with a null dataspace, which holds nothing at all (Chainer: never initialised).
  let isNull: Bool
  /// `float32`, `int64`, … as NumPy calls them.
  let typeName: String
  private let handle: HDF5Handle
  private let isBrainFloat: Bool

  /// Bytes that inflate may make of one stored byte, at most.
  private static let deflateRatio = 1040
  private static let longestExtent = 1 << 40

  init(parent: HDF5Group, name: String, path: String) throws(EngineError) {
    file = parent.file
    self.path = path
    let library = parent.file.library
    let functions = library.functions
    handle = try library.own(
      functions.openDataset(parent.handle.id, name, 0), closedBy: functions.closeDataset,
      orFailWith: "dataset '\(path)' cannot be opened")

    let space = try library.own(
      functions.datasetSpace(handle.id), closedBy: functions.closeSpace,
      orFailWith: "dataset '\(path)' has no dataspace")
    isNull = functions.spaceClass(space.id) == 2
    shape = try HDF5Dataset.shape(of: space, isNull: isNull, path: path, library: library)

    let type = try library.own(
      functions.datasetType(handle.id), closedBy: functions.closeType,
      orFailWith: "dataset '\(path)' has no type")
    let attributes = HDF5Attributes(file: file, owner: handle, path: path)
    // NumPy has no bfloat16: h5py stores it as opaque values of two bytes.
    let isOpaque = functions.typeClass(type.id) == 5
    let isMarked = try attributes.text("dtype") == "bfloat16"
    isBrainFloat = (isOpaque || isMarked) && functions.typeSize(type.id) == 2
    typeName = HDF5Dataset.typeName(of: type, functions: functions, isBrainFloat: isBrainFloat)
  }

  var attributes: HDF5Attributes { HDF5Attributes(file: file, owner: handle, path: path) }

  var isNumeric: Bool { !typeName.isEmpty }

  /// Reads all numbers.
  ///
  /// - Parameter expected: the shape that the dataset must have; nothing is allocated otherwise. A vector may be
  ///   a matrix of one row or column, as MATLAB and Octave have no other vectors.
  func read(expecting expected: [Int]? = nil) throws(EngineError) -> WeightArray {
    if let expected, expected.count == 1, shape.count == 2,
      shape == [1] + expected || shape == expected + [1]
    {
      return try read(expecting: shape).reshaped(expected)
    }
    if let expected, expected != shape {
      throw EngineError(
        .shape, "'\(path)' has shape \(describe(shape)), expected \(describe(expected))")
    }
    try checkStorage()
    try file.spend((WeightArray.count(of: shape) ?? .max).multipliedClamping(by: 8), on: path)
    let array = try WeightArray(shape: shape)
    guard array.count > 0, let values = array.values.baseAddress else { return array }
    if isBrainFloat {
      let type = try file.library.own(
        file.library.functions.datasetType(handle.id),
        closedBy: file.library.functions.closeType, orFailWith: "dataset '\(path)' has no type")
      // bfloat16 is the upper half of a float32; files hold it as raw 16-bit values.
      try widen(values, array.count, as: type.id) { (bits: UInt16) in
        Double(Float(bitPattern: UInt32(UInt16(littleEndian: bits)) << 16))
      }
    } else if typeName == "float32" {
      // libhdf5 would convert in a buffer of its own, a mebibyte that it clears for each dataset.
      try widen(values, array.count, as: file.library.nativeFloat) { (value: Float) in
        Double(value)
      }
    } else {
      try read(into: values, as: file.library.nativeDouble)
    }
    return array
  }

  private func read(
    into memory: UnsafeMutableRawPointer, as type: hid_t
  ) throws(EngineError) {
    guard file.library.functions.read(handle.id, type, 0, 0, 0, memory) >= 0 else {
      throw file.library.failure("'\(path)' cannot be read")
    }
  }

  /// Reads numbers of fewer bytes into the end of the array, and widens them from the front: element k is written at
  /// byte 8 k and read at or behind it.
  private func widen<Stored: BitwiseCopyable>(
    _ values: UnsafeMutablePointer<Double>, _ count: Int, as type: hid_t,
    _ widened: (Stored) -> Double
  ) throws(EngineError) {
    let size = MemoryLayout<Stored>.stride
    let raw = UnsafeMutableRawPointer(values) + (8 - size) * count
    try read(into: raw, as: type)
    for index in 0..<count {
      values[index] = widened(raw.load(fromByteOffset: size * index, as: Stored.self))
    }
  }

  /// Refuses what is not plainly stored numbers: other types, storage in other files, unknown
  /// filters, and declared sizes that what is stored cannot fill.
  private func checkStorage() throws(EngineError) {
    let functions = file.library.functions
    guard !isNull else {
      throw EngineError(.format, "'\(path)' is empty (a null dataspace): it was never initialised")
    }
    guard isNumeric else {
      throw EngineError(.format, "'\(path)' does not hold numbers of 1, 2, 4 or 8 bytes")
    }
    guard let count = WeightArray.count(of: shape), count <= file.limits.arrayBytes / 8 else {
      throw EngineError(
        .limit,
        "'\(path)' declares the shape \(describe(shape)), more than the limit of "
          + "\(file.limits.arrayBytes) bytes")
    }
    let properties = try file.library.own(
      functions.datasetProperties(handle.id), closedBy: functions.closeProperties,
      orFailWith: "dataset '\(path)' has no creation properties")
    guard functions.getExternalCount(properties.id) == 0 else {
      throw EngineError(.unsupported, "'\(path)' is stored in another file; that is refused")
    }
    guard count > 0 else { return }

    let type = try file.library.own(
      functions.datasetType(handle.id), closedBy: functions.closeType,
      orFailWith: "dataset '\(path)' has no type")
    let bytes = count * functions.typeSize(type.id)
    let stored = Int(clamping: functions.datasetStorageSize(handle.id))
    let plausible: Int
    switch functions.getLayout(properties.id) {
    case 0, 1:  // compact, contiguous
      plausible = stored
    case 2:  // chunked
      let deflates = try checkFilters(properties)
      try checkChunk(properties, elementSize: bytes / count, dataBytes: bytes)
      plausible = deflates ? stored.multipliedClamping(by: HDF5Dataset.deflateRatio) : stored
    case 3:
      throw EngineError(.unsupported, "'\(path)' is a virtual dataset; those are refused")
    default:
      throw file.library.failure("'\(path)' has an unknown storage layout")
    }
    guard bytes <= plausible, stored <= file.size else {
      throw EngineError(
        .format,
        "'\(path)' declares the shape \(describe(shape)), \(bytes) bytes, but \(stored) are stored")
    }
  }

  /// Checks the filters of a chunked dataset; true if one of them compresses.
  private func checkFilters(_ properties: HDF5Handle) throws(EngineError) -> Bool {
    let functions = file.library.functions
    let filterCount = functions.getFilterCount(properties.id)
    guard filterCount >= 0 else {
      throw file.library.failure("'\(path)' has a damaged filter list")
    }
    var deflates = false
    for index in 0..<UInt32(filterCount) {
      var flags: UInt32 = 0
      var valueCount = 0
      let filter = functions.getFilter(properties.id, index, &flags, &valueCount, nil, 0, nil, nil)
      switch filter {
      case 1: deflates = true
      case 2, 3: break
      default:
        throw EngineError(
          .unsupported,
          "'\(path)' is stored with filter \(filter)\(filter == 32000 ? " (LZF)" : ""); "
            + "deflate (gzip), shuffle and fletcher32 are read")
      }
      guard functions.isFilterAvailable(filter) > 0 else {
        throw EngineError(
          .library, "'\(path)' needs HDF5 filter \(filter), which this libhdf5 was built without")
      }
    }
    return deflates
  }

  /// libhdf5 allocates whole chunks: they must be in proportion to the data.
  private func checkChunk(
    _ properties: HDF5Handle, elementSize: Int, dataBytes: Int
  ) throws(EngineError) {
    var extents = [hsize_t](repeating: 0, count: 32)
    let rank = file.library.functions.getChunk(properties.id, 32, &extents)
    guard rank >= 0 else { throw file.library.failure("'\(path)' has a damaged chunk shape") }
    var bytes = elementSize
    for extent in extents.prefix(Int(rank)) {
      bytes = bytes.multipliedClamping(by: Int(clamping: extent))
    }
    guard bytes <= max(1 << 24, dataBytes.multipliedClamping(by: 4)) else {
      throw EngineError(
        .limit, "'\(path)' has chunks of \(bytes) bytes for \(dataBytes) bytes of data")
    }
  }

  private static func shape(
    of space: HDF5Handle, isNull: Bool, path: String, library: HDF5Library
  ) throws(EngineError) -> [Int] {
    guard !isNull else { return [] }
    let rank = library.functions.rank(space.id)
    guard rank >= 0, rank <= 32 else { throw library.failure("'\(path)' has a damaged dataspace") }
    var extents = [hsize_t](repeating: 0, count: 32)
    guard library.functions.extents(space.id, &extents, nil) >= 0 else {
      throw library.failure("'\(path)' has a damaged dataspace")
    }
    let shape = extents.prefix(Int(rank)).map { Int(clamping: $0) }
    // So that no product with a small number of gates overflows, even where another extent is 0.
    for extent in shape where extent > longestExtent {
      throw EngineError(.limit, "'\(path)' declares the shape \(describe(shape))")
    }
    return shape
  }

  private static func typeName(
    of type: HDF5Handle, functions: HDF5Functions, isBrainFloat: Bool
  ) -> String {
    let size = functions.typeSize(type.id)
    guard [1, 2, 4, 8].contains(size) else { return "" }
    if isBrainFloat { return "bfloat16" }
    switch functions.typeClass(type.id) {
    case 0: return "int\(8 * size)"
    case 1: return "float\(8 * size)"
    default: return ""
    }
  }
}

extension Int {
  /// The product, or `Int.max` if it does not fit. Both factors are non-negative.
  func multipliedClamping(by other: Int) -> Int {
    let (product, overflow) = multipliedReportingOverflow(by: other)
    return overflow ? .max : product
  }

  /// The sum, or `Int.max` if it does not fit. Both are non-negative.
  func addedClamping(to other: Int) -> Int {
    let (sum, overflow) = addingReportingOverflow(other)
    return overflow ? .max : sum
  }
}
