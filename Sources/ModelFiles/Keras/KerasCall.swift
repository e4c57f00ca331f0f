/// One output of one call of a layer: what `keras_history`, or `[name, node, tensor]`, points to.
struct KerasTensor: Hashable {
  /// Position in the model's layers.
  var layer: Int
  /// Which call of the layer, from 0.
  var call: Int
  /// 0 is the layer's output; behind it come the states of a recurrent layer, or a model's other outputs.
  var output: Int
}

/// What a layer gets when it is called. A layer that is called twice is shared.
struct KerasCall {
  /// A recurrent layer's initial states stand behind its sequence.
  var inputs: [KerasTensor] = []
  /// The operation whose result is given as the mask.
  var mask: KerasTensor?
}
