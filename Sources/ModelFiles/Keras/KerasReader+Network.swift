import LSTM

extension KerasReader {
  /// Weights of Keras without an architecture, for a network that has one: read as the Keras model that the
  /// network would be.
  static func readWeights(
    _ layout: HDF5Layout, for description: NetworkDescription
  ) throws(EngineError) -> ModelContents {
    throw layout.needsArchitecture
  }
}
