"""The control of experiment 3a: random weight guessing.

Draws the weights of a small simple RNN at random, without any learning, until one network
classifies a set of training sequences and then 256 test sequences without an error. That this often
works in short time is why 3a alone proves little (HS97; Schmidhuber, Hochreiter and Bengio 2001).
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import carousel
import numpy as np

from .contenders import RNN
from .criteria import draw
from .networks import Shape, build
from .results import Results, machine
from .students import evaluate
from .tasks import TwoSequence

TASK = TwoSequence(100, 3)
#: Cells + gates: see `networks.cell_width`; this makes a fully recurrent net of three units.
SHAPE = Shape(1)
LIMIT = 20_000


def guess(seed: int, limit: int, width: float) -> dict[str, object]:
    """Guesses until all of 256 test sequences are right, at most `limit` times."""
    begun = time.perf_counter(), time.process_time()
    rng = np.random.default_rng([seed, 0])
    first = draw(TASK, 64, np.random.default_rng([seed, 1]))
    tests = draw(TASK, 256, np.random.default_rng([seed, 2]))
    network = build(TASK, RNN, SHAPE)
    weights = network.parameter_buffer()
    done, met = 0, False
    while done < limit and not met:
        weights[:] = rng.uniform(-width, width, weights.shape)
        done += 1
        met = all(one.correct for one in evaluate(network, TASK, first)) and all(
            one.correct for one in evaluate(network, TASK, tests)
        )
    new = draw(TASK, 2560, np.random.default_rng([seed, 3]))
    return {
        "seed": seed,
        "success": met,
        "sequences": done if met else None,
        "presented": done,
        "limit": limit,
        "tests": len(new),
        "wrong": sum(not one.correct for one in evaluate(network, TASK, new)),
        "seconds": round(time.perf_counter() - begun[0], 2),
        "processor_seconds": round(time.process_time() - begun[1], 2),
        "weights": network.parameter_count,
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/long-time-lags --guess", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--limit", type=int, default=LIMIT)
    parser.add_argument("--width", type=float, default=20.0, help="weights uniform in ± this")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    carousel.set_threads(1)
    results = Results(arguments.results, "guessing", "3a", "rnn")
    for seed in range(arguments.seeds):
        if results.has(seed, arguments.limit):
            continue
        results.add(guess(seed, arguments.limit, arguments.width), machine())
        print(results.runs[-1], flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
