import LSTM

/// One layer of a Keras model: the nodes it becomes, and the arrays that Keras keeps for it.
final class KerasLayer {
  enum Content {
    /// Extents without the batch (nil: any), and the batch.
    case input(extents: [Int?], batch: Int?)
    /// One node, or a chain of them (an RNN of several cells). `suffix` goes behind the layer's name.
    case nodes([(suffix: String, kind: LayerKind)])
    /// A nested model, which is flattened.
    case model(KerasModel)
    /// An operation that computes a mask in a functional model of Keras 3: `NotEqual` to a value, or
    /// (nil) `Any` over the features of that, or `LogicalOr` of two masks (behind a merge). The engine passes
    /// masks on by itself.
    case maskOperation(differsFrom: Double?)
  }

  let name: String
  let className: String
  let isTrainable: Bool
  let content: Content
  /// What owns weights, in Keras's order; empty for a nested model.
  let units: [KerasWeightUnit]
  /// Extents of the input, with the batch, if the layer says.
  let batchShape: [JSONValue]?
  /// Axes that the layer works along; only the last one, that of the features, is supported.
  let featureAxes: [Int]
  /// A recurrent layer whose outputs are followed by its final states.
  let returnsState: Bool

  init(
    name: String, className: String, isTrainable: Bool, content: Content,
    units: [KerasWeightUnit] = [], batchShape: [JSONValue]? = nil, featureAxes: [Int] = [],
    returnsState: Bool = false
  ) {
    self.name = name
    self.className = className
    self.isTrainable = isTrainable
    self.content = content
    self.units = units
    self.batchShape = batchShape
    self.featureAxes = featureAxes
    self.returnsState = returnsState
  }

  var displayName: String { "layer '\(name)' (\(className))" }
}

/// A Sequential or Functional model, before its layers are laid out as one graph.
final class KerasModel {
  let name: String
  let className: String
  /// In the order of `model.layers`, which is the order of the weights.
  var layers: [KerasLayer] = []
  /// The calls of each layer; none for inputs.
  var calls: [[KerasCall]] = []
  /// Positions of the input layers, in the order of the model's inputs.
  var inputLayers: [Int] = []
  var outputs: [KerasTensor] = []
  /// A Sequential: each layer feeds the next; the shape of the input may be missing.
  let isSequential: Bool
  /// Extents of the input (with the batch) that a Sequential was built with.
  var buildShape: [JSONValue]?

  init(name: String, className: String, isSequential: Bool) {
    self.name = name
    self.className = className
    self.isSequential = isSequential
  }
}

/// An object inside a layer that owns variables: a cell, a wrapped layer, the layer itself.
struct KerasWeightUnit {
  enum Kind {
    case cell(CellDescription)
    case arrays([Role])
  }

  /// One array of a layer that is not recurrent.
  struct Role {
    var name: String
    var isTrainable = true
    /// nil: decided by the layer's input.
    var shape: [Int?]
  }

  var kind: Kind
  /// Which of the layer's nodes it belongs to.
  var node = 0
  /// `forward/`, `backward/` or nothing: the part of the parameter key before the array's name.
  var part = ""
  /// Path of the object below the layer in `.weights.h5`: `cell`, `forward_layer/cell`, `layer`.
  var storePath = ""

  /// The arrays in Keras's order.
  var roles: [Role] {
    switch kind {
    case .arrays(let roles): roles
    case .cell(let cell): KerasWeightUnit.roles(of: cell)
    }
  }

  private static func roles(of cell: CellDescription) -> [Role] {
    let width: Int
    let useBias: Bool
    var biasShape: [Int?]
    switch cell {
    case .simple(let cell):
      (width, useBias, biasShape) = (cell.units, cell.useBias, [cell.units])
    case .lstm(let cell):
      (width, useBias, biasShape) = (4 * cell.units, cell.useBias, [4 * cell.units])
    case .gru(let cell):
      (width, useBias) = (3 * cell.units, cell.useBias)
      biasShape = cell.resetAfter ? [2, width] : [width]
    }
    var roles = [
      Role(name: "kernel", shape: [nil, width]),
      Role(name: "recurrent_kernel", shape: [cell.units, width]),
    ]
    if useBias { roles.append(Role(name: "bias", shape: biasShape)) }
    return roles
  }
}
