import LSTM

/// Training that can go on in another process: a file of our own layout, which every reader of networks
/// opens, with what training depends on in one more group.
///
/// If Keras can express the network the file is a Keras model, too (`model_config`, `model_weights`).
/// The arrays of ``TrainerState`` are datasets below `carousel_training`, its values attributes of the
/// group. All numbers keep their bits.
public enum Checkpoint {
  static let group = "carousel_training"
  static let version = 1

  /// Writes a checkpoint in one step: a failure leaves the old file as it was.
  public static func save(_ trainer: AnyTrainer, to path: String) throws(EngineError) {
    let contents = try ModelContents(copying: trainer.network, format: .carousel)
    let state = try trainer.state()
    do throws(EngineError) {
      try HDF5FileWriter.write(to: path) { (root) throws(EngineError) in
        try CarouselFormat.write(contents, to: root, compression: 0)
        try kerasWriter(contents)?.writeWholeModel(root)
        try write(state, to: try root.group(group))
      }
    } catch {
      throw error.within("'\(path)'")
    }
  }

  /// nil for networks that Keras has no words for.
  private static func kerasWriter(
    _ contents: ModelContents
  ) throws(EngineError) -> KerasWriter? {
    do throws(EngineError) {
      return try KerasWriter(contents, purpose: .model, namesModules: false, compression: 0)
    } catch {
      guard error.code == .unsupported else { throw error }
      return nil
    }
  }

  /// Fills a trainer and its network from a checkpoint of a trainer of the same network and options.
  /// After a failure both are as they were.
  public static func resume(_ trainer: AnyTrainer, from path: String) throws(EngineError) {
    do throws(EngineError) {
      let (contents, state) = try read(path, trainer)
      // Throws if weights are missing or of wrong shapes, before anything is changed.
      _ = try contents.makeNetwork()
      try trainer.restore(state)
      try contents.fill(trainer.network)
    } catch {
      throw error.within("'\(path)'")
    }
  }

  private static func read(
    _ path: String, _ trainer: AnyTrainer
  ) throws(EngineError) -> (ModelContents, TrainerState) {
    let limits = FileLimits()
    let file = try FileProbe(path: path, limits: limits)
    guard file.container == .hdf5 else {
      throw EngineError(.format, "the file is no checkpoint: it is a zip archive")
    }
    return try HDF5Library.session { (library) throws(EngineError) in
      let root = try HDF5File(path: path, size: file.size, limits: limits, library: library).root()
      guard let training = try root.groupIfPresent(group) else {
        throw EngineError(.format, "the file is no checkpoint: it has no group '\(group)'")
      }
      let contents = try CarouselFormat.read(root)
      guard contents.description == trainer.network.description,
        contents.dataType == trainer.network.dataType
      else {
        throw EngineError(.state, "the checkpoint is of a network of another architecture or dtype")
      }
      return (contents, try state(in: training, like: try trainer.state(), trainer))
    }
  }

  // MARK: - State

  private static func write(
    _ state: TrainerState, to group: HDF5GroupWriter
  ) throws(EngineError) {
    let attributes = group.attributes
    try attributes.set("version", version)
    try attributes.set("options", state.options)
    for (name, value) in state.integers.sorted(by: { $0.key < $1.key }) {
      try attributes.set(name, Int(value))
    }
    for (name, value) in state.numbers.sorted(by: { $0.key < $1.key }) {
      try attributes.set(name, value)
    }
    for array in state.arrays {
      let storage = HDF5Storage(number: array.dataType == .float32 ? .float32 : .float64)
      try group.write(try WeightArray(array), to: array.name, as: storage)
    }
  }

  /// - Parameter template: a state of the trainer, for the names and shapes of what it holds.
  private static func state(
    in group: HDF5Group, like template: TrainerState, _ trainer: AnyTrainer
  ) throws(EngineError) -> TrainerState {
    let attributes = group.attributes
    guard try attributes.integer("version") == version else {
      throw EngineError(.unsupported, "the checkpoint is of another version; this is \(version)")
    }
    var state = TrainerState()
    state.options = try attributes.text("options") ?? ""
    for name in template.integers.keys {
      state.integers[name] = try attributes.integer(name).map { Int64($0) }
    }
    for name in template.numbers.keys { state.numbers[name] = try attributes.number(name) }
    for array in template.arrays
    where !array.name.hasPrefix("best/") && !array.name.hasPrefix("history/") {
      // What is missing is reported by the trainer, which knows whether it needs it.
      try add(array.name, array.shape, array.dataType, from: group, to: &state)
    }
    for parameter in trainer.network.parameters {
      try add(
        "best/" + parameter.name, parameter.shape, trainer.network.dataType, from: group,
        to: &state)
    }
    for name in try group.groupIfPresent("history")?.names() ?? [] {
      try add("history/" + name, nil, .float64, from: group, to: &state)
    }
    return state
  }

  private static func add(
    _ name: String, _ shape: [Int]?, _ dataType: DataType, from group: HDF5Group,
    to state: inout TrainerState
  ) throws(EngineError) {
    guard let array = try group.datasetIfPresent(name)?.read(expecting: shape) else { return }
    let bytes: Buffer<UInt8>
    switch dataType {
    case .float32:
      bytes = try Buffer(count: array.count * MemoryLayout<Float>.stride)
      UnsafeMutableRawPointer(bytes.pointer).withMemoryRebound(
        to: Float.self, capacity: array.count
      ) { target in for index in 0..<array.count { target[index] = Float(array.values[index]) } }
    case .float64:
      bytes = try Buffer(count: array.count * MemoryLayout<Double>.stride)
      UnsafeMutableRawPointer(bytes.pointer).withMemoryRebound(
        to: Double.self, capacity: array.count
      ) { target in for index in 0..<array.count { target[index] = array.values[index] } }
    }
    state.arrays.append(
      TrainerState.Array(name: name, shape: array.shape, dataType: dataType, bytes: bytes))
  }
}

extension WeightArray {
  fileprivate convenience init(_ array: TrainerState.Array) throws(EngineError) {
    try self.init(shape: array.shape)
    let bytes = UnsafeRawPointer(array.bytes.pointer)
    switch array.dataType {
    case .float32:
      for index in 0..<count {
        values[index] = Double(bytes.load(fromByteOffset: 4 * index, as: Float.self))
      }
    case .float64:
      for index in 0..<count {
        values[index] = bytes.load(fromByteOffset: 8 * index, as: Double.self)
      }
    }
  }
}

extension ModelContents {
  fileprivate var dataType: DataType { precision == .float32 ? .float32 : .float64 }
}
