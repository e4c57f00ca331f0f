import LSTM

/// What a reader makes of a file and a writer takes: an architecture and its weights, under the parameter
/// keys and in the canonical layouts of the engine (`layer/kernel`; gates input, forget, cell, output).
public struct ModelContents: Sendable {
  public enum Precision: CaseIterable, Sendable {
    case float32, float64
    /// Matrices in reduced precision, all else float32.
    case bfloat16, int8
  }

  public var description: NetworkDescription
  /// By parameter key. Every parameter of the network must be here, and nothing else.
  public var weights: [String: WeightArray]
  public var precision = Precision.float32
  /// The matrices of a network in reduced precision, whose values `weights` has, too.
  public var reduced: [String: ReducedArray] = [:]
  public var report: LoadReport

  public init(
    description: NetworkDescription, weights: [String: WeightArray] = [:], report: LoadReport
  ) {
    self.description = description
    self.weights = weights
    self.report = report
  }
}

/// Where a model came from, and what of the file was left aside.
public struct LoadReport: Sendable {
  public var format: FileFormat
  /// `keras`, `tf.keras`, `pytorch`, …; empty if the file does not say.
  public var framework = ""
  public var version = ""
  /// What the file holds beside the model, and why it was not needed (optimiser state).
  public var ignored: [String] = []
  /// Set if the file carries a checksum (our own layout) and it was right.
  public var isVerified = false

  public init(format: FileFormat) { self.format = format }
}

/// The layouts, under the names of the `format` argument.
public enum FileFormat: String, CaseIterable, Sendable {
  case carousel
  /// Whole model in HDF5.
  case kerasH5 = "keras-h5"
  /// Zip archive of configuration and weights.
  case keras
  /// `.weights.h5` of Keras 3 and tf.keras 2.12 and later.
  case kerasWeights = "keras-weights"
  /// `save_weights("x.h5")` of Keras 1, Keras 2 and tf.keras.
  case kerasLegacyWeights = "keras-legacy-weights"
  case torch
  case chainer
  case onnx
  case tf1

  /// The layout holds the architecture, too.
  public var isSelfDescribing: Bool {
    switch self {
    case .carousel, .kerasH5, .keras, .onnx: true
    default: false
    }
  }

  public init(named name: String) throws(EngineError) {
    guard let format = FileFormat(rawValue: name) else {
      let known = FileFormat.allCases.map(\.rawValue).joined(separator: ", ")
      throw EngineError(.invalidArgument, "format '\(name)' is none of \(known)")
    }
    self = format
  }
}
