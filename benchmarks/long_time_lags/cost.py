"""What the benchmark costs: measures the processor time of a thousand sequences of every row in
both modes, and tells what all contenders and seeds take at most, if no run succeeds before its
limit."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import carousel
import numpy as np

from .contenders import CONTENDERS
from .criteria import draw
from .results import machine
from .rows import ROWS, Row, most_sequences
from .run import MODES, make_student

SEEDS = 10


def seconds_per_thousand(row: Row, mode: str, sequences: int) -> float:
    """Of the row's headline contender, sampling and all; the better of two tries."""
    student = make_student(row, mode, CONTENDERS[row.headline], 0)
    rng = np.random.default_rng(0)
    tries = []
    for _ in range(3):  # the first one warms up
        begun = time.process_time()
        for _ in range(-(-sequences // student.batch)):
            student.present(draw(row.task, student.batch, rng))
        tries.append(time.process_time() - begun)
    return 1000 * min(tries[1:]) / sequences


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/long-time-lags --cost", description=__doc__)
    parser.add_argument("--sequences", type=int, default=64)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    carousel.set_threads(1)
    rows, total = [], 0.0
    for key, row in ROWS.items():
        for mode in MODES:
            seconds = seconds_per_thousand(row, mode, arguments.sequences)
            hours = seconds * most_sequences(row, mode, SEEDS) / 1000 / 3600
            total += hours
            rows.append({"row": key, "mode": mode, "seconds": round(seconds, 4)})
            print(
                f"{key:18s} {mode:9s} {seconds:7.3f} s per 1,000, {hours:6.1f} h at most",
                flush=True,
            )
    print(f"all rows, {SEEDS} seeds: {total:.0f} h of one core, {total / 2:.0f} h on two, at most")
    if arguments.json is not None:
        content = {"rows": rows, "seeds": SEEDS, **machine()}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
