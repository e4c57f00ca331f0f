"""Runs rows of the long-time-lag benchmark; scripts/long-time-lags sets everything up and calls it.

Every run (a row, a mode, a contender, a seed) writes a log of its progress to
out/long_time_lags/MODE/ROW.CONTENDER.SEED.log and its result to ROW.CONTENDER.json of the results'
folder. Runs that are there already are not repeated, unless they failed within fewer presentations
than they are given now: an interrupted benchmark goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import carousel
import numpy as np

from . import continual
from .contenders import CONTENDERS, Contender
from .criteria import Evaluate
from .networks import trainable_count
from .progress import Progress
from .results import Results, machine
from .rows import ROWS, Row
from .students import FaithfulStudent, ModernStudent

MODES = ("faithful", "modern")
TESTS = 2560
HERE = Path(__file__).parent


def make_student(
    row: Row, mode: str, contender: Contender, seed: int
) -> FaithfulStudent | ModernStudent:
    if mode == "faithful":
        return FaithfulStudent(row.task, contender, row.shape, row.faithful, seed)
    return ModernStudent(row.task, contender, row.modern_shape, row.modern, seed)


def run(row: Row, mode: str, contender: Contender, seed: int, limit: int, log: IO[str]) -> dict:
    """Trains until the criterion is met or the limit is reached; returns what is kept of it."""
    begun = time.perf_counter(), time.process_time()
    student = make_student(row, mode, contender, seed)
    assert row.criterion is not None
    criterion = row.criterion(seed)
    progress = Progress(f"{row.key} {mode} {contender.key} seed {seed}", limit, log)
    rng, sample = np.random.default_rng([seed, 1]), row.sampler(seed)
    done, right, error, met, problem = 0, 0.0, 0.0, False, None
    evaluate: Evaluate = student.evaluate
    while done < limit and not met:
        try:
            answers = student.present([sample(rng) for _ in range(student.batch)])
        except carousel.NumericError as failure:
            problem = str(failure)
            break
        done += len(answers)
        for one in answers:  # running means over about 500 sequences
            right += (one.correct - right) / 500
            error += (one.error - error) / 500
        met = criterion.observe(answers, evaluate)
        progress.show(done, right=right, error=error)
    progress.close()
    tests = student.evaluate(
        [row.task.sample(np.random.default_rng([seed, 3, n])) for n in range(TESTS)]
    )
    result = {
        "seed": seed,
        "success": met,
        "sequences": criterion.sequences if met else None,
        "presented": done,
        "limit": limit,
        "tests": TESTS,
        "wrong": sum(not one.correct for one in tests),
        "seconds": round(time.perf_counter() - begun[0], 2),
        "processor_seconds": round(time.process_time() - begun[1], 2),
        "weights": trainable_count(student.network),
    }
    first = getattr(criterion, "first_correct", None)
    if first is not None:
        result["first_correct"] = first
    if problem is not None:
        result["problem"] = problem
    print(result, file=log)
    return result


@dataclass(frozen=True)
class Settings:
    """What the faithful mode takes instead of the paper's: a learning rate, biases with which the
    input gates of the blocks begin (all gates then have biases)."""

    rate: float | None = None
    input_bias: tuple[float, ...] = ()

    def of(self, row: Row) -> Row:
        recipe = row.faithful
        if self.rate is not None:
            recipe = replace(recipe, rate=self.rate)
        if self.input_bias:
            biased = tuple({*recipe.biased, "gates"})
            recipe = replace(recipe, input_bias=self.input_bias, biased=biased)
        return replace(row, faithful=recipe)

    @property
    def name(self) -> str:
        """As in the names of files: 0.03, or 0.03.b-3,-6; empty: the paper's."""
        parts = [] if self.rate is None else [f"{self.rate:g}"]
        if self.input_bias:
            parts.append("b" + ",".join(f"{value:g}" for value in self.input_bias))
        return ".".join(parts)

    def place(self, mode: str, row: str, contender: str) -> tuple[str, str, str]:
        """Where results are kept: those at other settings apart from the paper's."""
        if not self.name:
            return mode, row, contender
        return "settings", row, f"{contender}.{self.name}"


def chosen(words: Iterable[str], all_of: Iterable[str], what: str) -> list[str]:
    known = list(all_of)
    words = list(words)
    if not words or words == ["all"]:
        return known
    for word in words:
        if word not in known:
            raise SystemExit(f"there is no {what} '{word}': {', '.join(known)}")
    return words


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/long-time-lags", description=__doc__)
    parser.add_argument("rows", nargs="+", help="all, or any of: " + ", ".join(ROWS))
    parser.add_argument("--mode", choices=[*MODES, "both"], default="both")
    parser.add_argument("--contenders", default="", help="comma-separated: " + ",".join(CONTENDERS))
    parser.add_argument("--seeds", type=int, default=10, help="this many, from --first-seed on")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--limit", type=int, default=0, help="most presentations; 0: the row's own")
    parser.add_argument("--rate", type=float, help="faithful: another learning rate than the row's")
    parser.add_argument(
        "--input-bias",
        default="",
        help="faithful: other initial biases of the blocks' input gates, as in --input-bias=-3,-6",
    )
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--out", type=Path, default=HERE.parents[1] / "out" / "long_time_lags")
    arguments = parser.parse_args()
    carousel.set_threads(1)
    keys = chosen(arguments.rows, ROWS, "row")
    modes = MODES if arguments.mode == "both" else (arguments.mode,)
    biases = [float(value) for value in arguments.input_bias.split(",") if value]
    settings = Settings(arguments.rate, tuple(biases))
    if settings.name and modes != ("faithful",):
        parser.error("--rate and --input-bias are for --mode faithful")
    at = f" at {settings.name}" if settings.name else ""
    for key in keys:
        row = settings.of(ROWS[key])
        for mode in modes:
            asked = [word for word in arguments.contenders.split(",") if word]
            names = chosen(asked, CONTENDERS, "contender")
            if not asked and mode == "faithful":
                names = list(row.faithful_contenders)
            limit = arguments.limit or getattr(row, f"{mode}_limit")
            for name in names:
                results = Results(arguments.results, *settings.place(mode, key, name))
                for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
                    if results.has(seed, limit):
                        continue
                    folder = arguments.out / mode
                    folder.mkdir(parents=True, exist_ok=True)
                    with (folder / f"{results.path.stem}.{seed}.log").open("w") as log:
                        work = run if row.criterion is not None else continual.run
                        result = work(row, mode, CONTENDERS[name], seed, limit, log)
                    results.add(result, machine())
                    print(
                        f"{key} {mode} {name}{at} seed {seed}: "
                        + (f"{result['sequences']:,}" if result["success"] else "not met")
                        + f", {result['seconds']:.0f} s",
                        flush=True,
                    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
