#!/usr/bin/env python3
"""One peer in a process of its own: reads requests on stdin, answers each with one JSON line.

open NAME ... DATA  build the workload NAME with the numbers in the file DATA (the words
                    between are for native/worker.h, which does not read names)
check FILE          run it once from a fresh state, write the float32 outputs to FILE
run SECONDS COUNT   time it: at most COUNT samples, about SECONDS in all

worker.py PEER THREADS
"""

from __future__ import annotations

import importlib
import json
import math
import os
import sys
import time

import numpy as np
import oracle
import workloads

# Which module of benchmarks/peers holds which peer.
MODULES = {
    "carousel_python": "carousel_python",
    "torch": "pytorch",
    "torch_cell": "pytorch",
    "onnxruntime": "onnx_runtime",
    "openvino": "openvino_runtime",
    "openvino_bf16": "openvino_runtime",
    "jax": "jax_scan",
    "tensorflow": "tensorflow_keras",
}
# A sample of a step lasts at least this long, in seconds; the clock's own cost is then nothing.
SHORTEST_SAMPLE = 400e-6


def measure(call, seconds: float, most: int, step: bool) -> list[float]:
    """Microseconds per call. `call(n)` runs the workload n times."""
    begun = time.perf_counter()
    call(1)
    once = max(time.perf_counter() - begun, 1e-7)
    inner = max(1, math.ceil(SHORTEST_SAMPLE / once)) if step else 1
    samples: list[float] = []
    end = time.perf_counter() + seconds
    while len(samples) < most:
        begun = time.perf_counter()
        call(inner)
        now = time.perf_counter()
        samples.append((now - begun) / inner * 1e6)
        if now > end and (len(samples) >= 3 or now > end + 3):
            break
    return samples


def warm_up(call) -> None:
    call(1)
    begun = time.perf_counter()
    call(1)
    once = time.perf_counter() - begun
    end = time.perf_counter() + min(0.3, 20 * once)
    while once < 0.5 and time.perf_counter() < end:
        call(1)


def main() -> None:
    name, threads = sys.argv[1], int(sys.argv[2])
    # Frameworks print to stdout as they please: answers go to a copy of it.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(**fields):
        print(json.dumps(fields), file=answers, flush=True)

    peer = importlib.import_module(f"peers.{MODULES[name]}").PEERS[name](threads)
    answer(version=peer.version)
    call = outputs = None
    step = False
    for line in sys.stdin:
        command, *arguments = line.split()
        try:
            if command == "open":
                call = outputs = None
                workload = workloads.parse(arguments[0])
                step = workload.kind == "step"
                call, outputs = peer.build(workload, oracle.make(workload, arguments[-1]))
                answer(opened=workload.name)
            elif command == "check":
                computed = outputs()
                with open(arguments[0], "wb") as file:
                    for key in oracle.OUTPUTS[workload.kind]:
                        file.write(np.ascontiguousarray(computed[key], "<f4").tobytes())
                warm_up(call)
                answer(checked=True)
            else:
                answer(us=measure(call, float(arguments[0]), int(arguments[1]), step))
        except NotImplementedError as error:
            answer(skip=str(error) or "not offered")
        except Exception as error:
            answer(error=f"{type(error).__name__}: {error}"[:400])


if __name__ == "__main__":
    main()
