"""The short version: how far back can it remember? One picture, about a minute.

The smallest long-lag task (`tasks.Lag`): which of two symbols came first, told after `lag` steps
of noise. Simple RNNs of 24 units and an LSTM of 8 learn it at each lag, in the modern mode. The
rate of right answers on 256 fresh sequences goes into a table, a JSON file and a picture.

There are two simple RNNs. With small random weights (uniform in ±1/sqrt(units), PyTorch's default)
error vanishes on its way back; with orthogonal ones (Keras's default) it does not at first, which
is enough for a task as easy as this one.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import carousel
import numpy as np

from .contenders import FORGET_GATE, RNN
from .criteria import draw
from .networks import Shape
from .results import machine
from .students import Modern, ModernStudent
from .tasks import Lag

LAGS = (5, 10, 20, 50, 100, 200, 500, 1000)
SHAPE = Shape(8)
RECIPE = Modern(0.01, batch=16)
TESTS = 256


#: Key, label, colour.
LINES = (
    ("rnn", "RNN, small weights", "#c1121f"),
    ("rnn_orthogonal", "RNN, orthogonal weights", "#e09f3e"),
    ("lstm", "LSTM", "#1d4e89"),
)


def accuracy(key: str, lag: int, seed: int, updates: int) -> tuple[float, int]:
    """The rate of right answers, and the sequences that it took: fewer than all if 8 batches in a
    row were answered right."""
    task = Lag(lag)
    contender = FORGET_GATE if key == "lstm" else RNN
    student = ModernStudent(task, contender, SHAPE, RECIPE, seed)
    if key == "rnn":
        kernel = student.network.parameters()["cell/recurrent_kernel"]
        limit = len(kernel) ** -0.5
        kernel[:] = np.random.default_rng([seed, 3]).uniform(-limit, limit, kernel.shape)
        student.learner.parameters_changed()
    rng = np.random.default_rng([seed, 1])
    row, done = 0, 0
    while done < updates and row < 8:
        answers = student.present(draw(task, student.batch, rng))
        row = row + 1 if all(one.correct and one.error < 0.2 for one in answers) else 0
        done += 1
    tests = student.evaluate(draw(task, TESTS, np.random.default_rng([seed, 2])))
    return float(np.mean([one.correct for one in tests])), done * student.batch


def measure(seeds: int, updates: int) -> dict[str, list[list[float]]]:
    """By network: a list of rates, one for each seed, for every lag."""
    found: dict[str, list[list[float]]] = {}
    for key, label, _ in LINES:
        rates = found[key] = []
        for lag in LAGS:
            begun = time.perf_counter()
            runs = [accuracy(key, lag, seed, updates) for seed in range(seeds)]
            rates.append([rate for rate, _ in runs])
            print(
                f"{label:23s} lag {lag:4d}: "
                f"right {' '.join(f'{rate:6.1%}' for rate, _ in runs)}"
                f" after {' '.join(f'{count:5d}' for _, count in runs)} sequences,"
                f" {time.perf_counter() - begun:4.1f} s",
                flush=True,
            )
    return found


def draw_picture(rates: dict[str, list[list[float]]], path: Path) -> None:
    from .pictures import axes

    figure, ((ax,),) = axes(7, 3.6)
    ax.axhline(0.5, color="#5c6670", lw=0.8, ls=":")
    ax.text(LAGS[-1], 0.505, "guessing", ha="right", va="bottom", fontsize=9, color="#5c6670")
    for shift, (key, label, color) in zip((0.94, 1.0, 1.06), LINES):
        values, lags = np.array(rates[key]), np.array(LAGS) * shift
        ax.plot(lags, values.mean(1), color=color, lw=2, label=label)
        for seed in values.T:
            ax.plot(lags, seed, "o", color=color, ms=4.5, alpha=0.6, mew=0)
    ax.set_xscale("log")
    ax.set_xticks(LAGS, [str(lag) for lag in LAGS])
    ax.minorticks_off()
    ax.set_ylim(0.4, 1.03)
    ax.set_yticks([0.5, 0.75, 1.0], ["50 %", "75 %", "100 %"])
    ax.set_xlabel("steps between the symbol and the question")
    ax.set_ylabel("right answers")
    ax.set_title("Memory span: each seed, and their mean", fontsize=11)
    ax.legend(loc="lower left", frameon=False, bbox_to_anchor=(0, 0.2), fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/long-time-lags --short", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--updates", type=int, default=250, help="of batches of 16 sequences")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path, default=Path("out/long_time_lags/memory_span.png"))
    arguments = parser.parse_args()
    carousel.set_threads(1)
    begun = time.perf_counter()
    rates = measure(arguments.seeds, arguments.updates)
    draw_picture(rates, arguments.plot)
    if arguments.json is not None:
        content = {"lags": LAGS, "rates": rates, "updates": arguments.updates, **machine()}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n")
    print(f"Picture: {arguments.plot}; {time.perf_counter() - begun:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
