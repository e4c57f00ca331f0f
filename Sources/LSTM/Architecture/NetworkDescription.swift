/// A network's architecture: a graph of layers in an order in which each layer comes after its
/// inputs. Pure data; `Network` adds parameters.
public struct NetworkDescription: Equatable, Sendable {
  public struct Node: Equatable, Sendable {
    public var layer: LayerDescription
    /// Indices of earlier nodes; empty for input layers. A recurrent layer may read its initial states
    /// behind its sequence: (h), (h, c) or (h_f, c_f, h_b, c_b).
    public var inputs: [Int]
    /// An earlier node whose parameters this one uses instead of its own: the same layer, called again.
    public var sharesWith: Int?

    /// A recurrent layer's initial states come from other layers.
    public var readsInitialStates: Bool {
      switch layer.kind {
      case .recurrent, .bidirectional: inputs.count > 1
      default: false
      }
    }

    public init(layer: LayerDescription, inputs: [Int], sharesWith: Int? = nil) {
      self.layer = layer
      self.inputs = inputs
      self.sharesWith = sharesWith
    }
  }

  public var name: String
  public var nodes: [Node]
  /// Nodes of kind `input`, in the order in which the caller gives them.
  public var inputs: [Int]
  /// Nodes whose signals the network returns, in order.
  public var outputs: [Int]

  public init(name: String, nodes: [Node], inputs: [Int], outputs: [Int]) {
    self.name = name
    self.nodes = nodes
    self.inputs = inputs
    self.outputs = outputs
  }

  /// A chain: one input, each layer fed by the one before it.
  public init(name: String = "sequential", input: InputDescription, layers: [LayerDescription]) {
    let first = LayerDescription(name: "input", kind: .input(input))
    self.name = name
    nodes = [Node(layer: first, inputs: [])]
    for (index, layer) in layers.enumerated() { nodes.append(Node(layer: layer, inputs: [index])) }
    inputs = [0]
    outputs = [layers.count]
  }

  /// The nodes are one chain from a single input to a single output; each passes on what it returns.
  public var isChain: Bool {
    inputs == [0] && outputs == [nodes.count - 1]
      && nodes.indices.dropFirst().allSatisfy { index in
        let node = nodes[index]
        if case .finalState = node.layer.kind { return false }
        return node.inputs == [index - 1] && node.sharesWith == nil
      }
  }
}
