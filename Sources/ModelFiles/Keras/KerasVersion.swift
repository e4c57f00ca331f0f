/// The version of Keras that wrote a file: names and defaults changed their meaning between them.
struct KerasVersion: Equatable {
  /// As in the file: `2.2.4-tf`, `3.15.1`; empty if nothing says.
  var text: String
  var major: Int
  var minor: Int

  /// - Parameter text: nil or empty: the version is guessed from `config`, the model's JSON.
  init(_ text: String?, guessingFrom config: JSONValue) {
    var text = text ?? ""
    if text.isEmpty { text = config.objectValue?["keras_version"]?.stringValue ?? "" }
    self.text = text
    let numbers = text.split(separator: ".").prefix(2).map { part in
      Int(part.prefix { $0.isNumber }) ?? 0
    }
    if let first = numbers.first, first > 0 {
      major = first
      minor = numbers.count > 1 ? numbers[1] : 0
    } else {
      major = KerasVersion.guessMajor(config)
      minor = 0
    }
  }

  /// Of weights whose architecture comes from elsewhere: that is what decides, if it is of another generation
  /// (weights of tf.keras in a model of Keras 3).
  init(ofWeights text: String?, for config: JSONValue) {
    let own = KerasVersion(nil, guessingFrom: config)
    let stored = KerasVersion(text, guessingFrom: config)
    self = own.major >= 3 && stored.major < 3 ? own : stored
  }

  /// Keras 3 spells modules and dtype policies out; Keras 1 says `output_dim` where 2 says `units`.
  private static func guessMajor(_ config: JSONValue) -> Int {
    let text = config.text()
    if text.contains("\"DTypePolicy\"") || text.contains("\"batch_shape\"") { return 3 }
    if text.contains("\"inner_activation\"") || text.contains("\"W_regularizer\"") { return 1 }
    return 2
  }

  /// hard_sigmoid is clip(x/6 + 0.5) since Keras 3, clip(0.2x + 0.5) before.
  var hasNewHardSigmoid: Bool { major >= 3 }

  /// Merge layers unite the masks of their inputs since Keras 3, and intersect them before.
  var mergesAnyMask: Bool { major >= 3 }

  /// Bidirectional zeroes masked outputs, except in the standalone Keras up to 2.3.
  var bidirectionalZeroesMasked: Bool {
    major >= 3 || text.contains("tf") || (major == 2 && minor >= 4)
  }

  /// Default of `recurrent_activation`, where a configuration leaves it out.
  var defaultsToHardSigmoid: Bool { major < 2 || (major == 2 && minor <= 3 && !text.isEmpty) }

  var frameworkName: String {
    major == 2 && (text.contains("tf") || minor >= 4) ? "tf.keras" : "keras"
  }
}
