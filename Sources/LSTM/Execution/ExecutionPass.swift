/// What a pass performs before the next thing begins: a layer, or recurrent layers that lie on each other.
enum ExecutionPass<S: Scalar> {
  case layer(LayerRun<S>)
  case stack(RecurrentStack<S>)

  /// In the order of the network's nodes.
  static func all(_ runs: [LayerRun<S>?], inputs: (Int) -> [Int]) -> [ExecutionPass] {
    var passes: [ExecutionPass] = []
    var node = 0
    while node < runs.count {
      var members: [RecurrentRun<S>] = []
      var next = node
      while next < runs.count, let run = runs[next] as? RecurrentRun<S>,
        next == node ? run.canBeginStack : run.canContinueStack && inputs(next) == [next - 1]
      {
        members.append(run)
        next += 1
      }
      if members.count > 1 {
        passes.append(.stack(RecurrentStack(members)))
        node = next
      } else {
        if let run = runs[node] { passes.append(.layer(run)) }
        node += 1
      }
    }
    return passes
  }

  func forward() {
    switch self {
    case .layer(let run): run.forward()
    case .stack(let stack): stack.forward()
    }
  }

  func backward() {
    switch self {
    case .layer(let run): run.backward()
    case .stack(let stack): stack.backward()
    }
  }
}
