"""One module per engine. Each peer is a class `Peer(threads)` with `version` and
`build(workload, data) -> (call, outputs)`: `call(n)` runs the workload n times, `outputs()` gives
what one fresh run computes, under the names of oracle.reference."""
