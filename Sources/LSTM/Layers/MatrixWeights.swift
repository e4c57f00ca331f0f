import KernelInterface

/// Weight matrices packed for products: as they are for the forward pass, transposed for the
/// backward pass.
final class MatrixWeights<S: Scalar>: LayerWeights<S> {
  /// Where a matrix (rows x columns) lies in the parameter buffer.
  struct Place {
    var offset: Int
    var stride: Int
  }

  private let places: [Place]
  /// B of x · B.
  let forward: [PackedMatrix<S>]
  /// Bᵀ of δ · Bᵀ; empty unless the weights are for training.
  let backward: [PackedMatrix<S>]

  init(
    _ places: [Place], rows: Int, columns: Int, forTraining: Bool,
    format: WeightFormat = .float32
  ) throws(EngineError) {
    self.places = places
    var forward: [PackedMatrix<S>] = []
    var backward: [PackedMatrix<S>] = []
    for _ in places {
      forward.append(try PackedMatrix(rows: rows, columns: columns, format: format))
      if forTraining { backward.append(try PackedMatrix(rows: columns, columns: rows)) }
    }
    self.forward = forward
    self.backward = backward
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  override func refresh(_ parameters: UnsafePointer<S>) {
    for (index, place) in places.enumerated() {
      let source = parameters + place.offset
      forward[index].pack(source, stride: place.stride)
      if !backward.isEmpty {
        backward[index].pack(source, stride: place.stride, transposed: true)
      }
    }
  }
}
