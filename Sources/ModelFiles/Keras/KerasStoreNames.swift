/// The names that `.weights.h5` gives to the members of a list: the class in snake case, then `_1`, `_2`, …
struct KerasStoreNames {
  enum Style {
    /// Keras 3 and tf.keras 2.14 and later: group `layers`.
    case layers
    /// tf.keras 2.12 and 2.13: group `_layer_checkpoint_dependencies`, where every layer with weights
    /// is met twice and so counts for two.
    case checkpointDependencies

    var groupName: String {
      self == .layers ? "layers" : "_layer_checkpoint_dependencies"
    }
  }

  let style: Style
  private var counts: [String: Int] = [:]

  init(style: Style) { self.style = style }

  mutating func name(for layer: KerasLayer) -> String {
    name(forClass: layer.className, hasWeights: layer.hasWeights)
  }

  mutating func name(forClass className: String, hasWeights: Bool = false) -> String {
    let base = KerasStoreNames.snakeCase(className)
    let count = counts[base, default: 0]
    counts[base] = count + (style == .checkpointDependencies && hasWeights ? 2 : 1)
    return count == 0 ? base : "\(base)_\(count)"
  }

  /// Keras's `to_snake_case`: `LeakyReLU` to `leaky_re_lu`, `Conv1D` to `conv1d`.
  static func snakeCase(_ name: String) -> String {
    let letters = Array(name.filter { $0.isLetter || $0.isNumber || $0 == "_" })
    // (.)([A-Z][a-z]+) -> \1_\2
    var first: [Character] = []
    var index = 0
    while index < letters.count {
      first.append(letters[index])
      if index + 2 < letters.count, letters[index + 1].isUppercase, letters[index + 2].isLowercase {
        first.append("_")
        index += 1
        first.append(letters[index])
        while index + 1 < letters.count, letters[index + 1].isLowercase {
          index += 1
          first.append(letters[index])
        }
      }
      index += 1
    }
    // ([a-z])([A-Z]) -> \1_\2
    var second: [Character] = []
    for (index, letter) in first.enumerated() {
      if index > 0, letter.isUppercase, first[index - 1].isLowercase { second.append("_") }
      second.append(letter)
    }
    return String(second).lowercased()
  }
}

extension KerasModel {
  /// What Keras's `model.layers` holds: no inputs in a Sequential, and no operations.
  var storedLayers: [KerasLayer] {
    layers.filter { !(isSequential && $0.isInput) && !$0.isMaskOperation }
  }
}

extension KerasLayer {
  var hasWeights: Bool {
    if case .model(let model) = content { return model.layers.contains { $0.hasWeights } }
    return !units.isEmpty
  }
}
