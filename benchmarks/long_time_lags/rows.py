"""The rows of the benchmark: a task, the settings of both modes, the stop criterion, and what was
published.

Where they come from: docs/long-time-lags.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

import numpy as np

from . import tasks
from .contenders import CONTENDERS
from .criteria import Consecutive, Criterion, Recent, TestSet, draw
from .networks import Shape
from .students import Faithful, Modern
from .tasks import Rng, Sequence, Task


@dataclass(frozen=True)
class Row:
    key: str
    title: str
    task: Task
    #: Cells of the paper, and of the modern mode.
    shape: Shape
    modern_shape: Shape
    faithful: Faithful
    modern: Modern
    #: Makes the criterion for a seed; None: `continual` has one of its own.
    criterion: Callable[[int], Criterion] | None
    criterion_text: str
    #: Presentations after which a run has failed, in each mode.
    faithful_limit: int
    modern_limit: int
    #: The paper's own result.
    published: str
    #: Contenders in the faithful mode; the modern mode has all.
    faithful_contenders: tuple[str, ...] = ("rnn", "cec", "input_gate", "output_gate")
    #: Contender whose result stands beside the published one.
    headline: str = "output_gate"
    #: So many training sequences, drawn again and again; 0: always new ones.
    training_set: int = 0

    def sampler(self, seed: int) -> Callable[[Rng], Sequence]:
        """Draws a training sequence."""
        if not self.training_set:
            return self.task.sample
        training = training_sequences(self.task, self.training_set, seed)
        return lambda rng: training[rng.integers(len(training))]


def consecutive(count: int) -> Callable[[int], Criterion]:
    return lambda seed: Consecutive(count)


def recent(wrong: int = 1, error: float = float("inf")) -> Callable[[int], Criterion]:
    return lambda seed: Recent(2000, wrong, error)


def test_set(
    task: Task, count: int, interval: int, error: float = float("inf")
) -> Callable[[int], Criterion]:
    return lambda seed: TestSet(
        draw(task, count, np.random.default_rng([seed, 2])), interval, error
    )


def training_sequences(task: Task, count: int, seed: int) -> list[Sequence]:
    return draw(task, count, np.random.default_rng([seed, 5]))


def training_and_test_set(task: Task, count: int, interval: int) -> Callable[[int], Criterion]:
    """HS97, experiment 1: all training sequences, and as many others that are not among them."""

    def make(seed: int) -> Criterion:
        training = training_sequences(task, count, seed)
        known = {one.symbols.tobytes() for one in training if one.symbols is not None}
        rng, tests = np.random.default_rng([seed, 2]), []
        while len(tests) < count:
            one = task.sample(rng)
            if one.symbols is not None and one.symbols.tobytes() not in known:
                tests.append(one)
        return TestSet([*training, *tests], interval)

    return make


def generated(longer: Task) -> Callable[[int], Criterion]:
    """What was learned has to come out right for ten times as long."""
    return lambda seed: TestSet([longer.sample(np.random.default_rng(0))], 50)


MARKED = Faithful(0.5, 0.1, input_bias=(-3, -6))
NUMBERS = Modern(loss="mse")
IN_A_ROW = "10,000 sequences in a row; counted before the row began"
TIMING = ("output_gate", "forget_gate", "peepholes")


def _very_long(q: int, p: int, published: str, limit: int) -> Row:
    return Row(
        f"2c_q{q}",
        f"2c: very long lags, q = {q}, {p} distractors",
        tasks.VeryLongLags(q, p),
        Shape(2),
        Shape(8),
        Faithful(0.01, 0.2, biased=()),
        Modern(),
        consecutive(10_000),
        f"both outputs within 0.2, {IN_A_ROW}",
        limit,
        16_000,
        published,
    )


def _adding(T: int, published: str, limit: int) -> Row:
    return Row(
        f"adding_T{T}",
        f"4: adding problem, T = {T}",
        tasks.Adding(T),
        Shape(2, 2),
        Shape(8),
        MARKED,
        NUMBERS,
        recent(1, 0.01),
        "the last 2,000 sequences right (error < 0.04), their mean error < 0.01",
        limit,
        60_000,
        published,
    )


def _order(markers: int, shape: Shape, recipe: Faithful, published: str, limit: int) -> Row:
    task = tasks.TemporalOrder(markers)
    return Row(
        task.name,
        f"6{'a' if markers == 2 else 'b'}: temporal order, {2**markers} classes",
        task,
        shape,
        Shape(8),
        recipe,
        Modern(),
        recent(1, 0.1),
        "the last 2,000 sequences right (every error < 0.3), their mean error < 0.1",
        limit,
        20_000 if markers == 2 else 60_000,
        published,
    )


#: 2a and 2b.
_ONE_CELL = Shape(1, shortcuts=True, linear_output=True, activation="sigmoid")
_GROWN = Faithful(1.0, 0.2, biased=(), grown=True)
#: GSS02: one cell, g and h left out.
_TIMING_CELL = Shape(1, linear_output=True, activation="linear")
_TIMING_RECIPE = Faithful(0.1, 0.1, (0,), (-2,), (2,))
_2002 = "peephole LSTM solves it [M]; the table is not known to us"
_ERG, _TWO = tasks.EmbeddedReber(), tasks.TwoSequence(100, 3)

_ALL = [
    Row(
        "erg",
        "1: embedded Reber grammar",
        _ERG,
        Shape(3, 2),
        Shape(16),
        Faithful(0.1, 0.2, output_bias=(-1, -2, -3), biased=("gates",)),
        Modern(0.01, 8),
        training_and_test_set(_ERG, 256, 256),
        "every symbol of the 256 training and 256 other strings right; looked at every 256",
        200_000,
        30_000,
        "100 % of 30 trials, 21,730 strings (8,440 with rate 0.5)",
        training_set=256,
    ),
    Row(
        "2a",
        "2a: noise-free, p = 100",
        tasks.NoiseFree(100),
        _ONE_CELL,
        Shape(8, shortcuts=True),
        _GROWN,
        Modern(base_rates=True),
        consecutive(10_000),
        f"every output within 0.25 at every step, {IN_A_ROW}",
        100_000,
        20_000,
        "100 % of 18 trials, 5,040 sequences",
        headline="input_gate",
    ),
    Row(
        "2b",
        "2b: no local regularity, p = 100",
        tasks.NoiseFree(100, shuffled=True),
        _ONE_CELL,
        Shape(8, shortcuts=True),
        _GROWN,
        Modern(base_rates=True),
        consecutive(10_000),
        f"every output within 0.25 at the last step, {IN_A_ROW}",
        100_000,
        20_000,
        "100 % of 18 trials, 5,680 sequences",
        headline="input_gate",
    ),
    _very_long(100, 100, "31,000 sequences", 400_000),
    _very_long(1000, 1000, "49,000 sequences", 100_000),
    Row(
        "3a",
        "3a: two sequences, T = 100, N = 3",
        _TWO,
        Shape(3),
        Shape(8),
        Faithful(1.0, 0.1, (-1, -3, -5), (), (-2, -4, -6), biased=("gates", "cells")),
        Modern(),
        test_set(_TWO, 256, 500, 0.01),
        "ST2: all of 256 test sequences right (error < 0.2), their mean error < 0.01; looked at "
        "every 500",
        150_000,
        20_000,
        "ST1 27,380, ST2 39,850 sequences",
    ),
    _adding(100, "74,000 sequences", 1_000_000),
    _adding(500, "209,000 sequences", 1_500_000),
    _adding(1000, "853,000 sequences", 1_500_000),
    Row(
        "multiplication",
        "5: multiplication, T = 100",
        tasks.Multiplication(100),
        Shape(2, 2),
        Shape(8),
        Faithful(0.1, 0.1),
        NUMBERS,
        recent(140),
        "fewer than 140 of the last 2,000 wrong (error < 0.04)",
        500_000,
        60_000,
        "482,000 sequences",
    ),
    _order(2, Shape(2, 2), Faithful(0.5, 0.1, (-2, -4)), "31,390 sequences", 60_000),
    _order(3, Shape(3, 2), Faithful(0.1, 0.1, (-2, -4, -6)), "571,100 sequences", 600_000),
    Row(
        "cerg",
        "continual embedded Reber grammar",
        _ERG,
        Shape(4, 2, shortcuts=True),
        Shape(16),
        Faithful(
            0.5,
            0.2,
            (-0.5, -1, -1.5, -2),
            (0.5, 1, 1.5, 2),
            (-0.5, -1, -1.5, -2),
            ("gates", "outputs"),
        ),
        Modern(0.02, 8),
        None,
        "perfect: 10 test streams of 100,000 symbols without an error; counted in training streams "
        "(faithful; a stream ends at its first error) or in strings (modern)",
        20_000,
        200_000,
        "standard LSTM 0 % perfect, forget gates 18 % (18,889 streams), with decaying rate 62 % "
        "(14,087) [M]",
        ("output_gate", "forget_gate"),
        "forget_gate",
    ),
    Row(
        "conflict",
        "input and output weight conflict, lag 10 (ours)",
        tasks.Conflict(10),
        Shape(4),
        Shape(4),
        Faithful(0.2, 0.1, output_bias=(-1, -2, -3, -4)),
        Modern(),
        test_set(tasks.Conflict(10), 256, 256),
        "all of 256 test sequences right at every step; looked at every 256",
        12_000,
        12_000,
        "ours: nothing published",
    ),
    Row(
        "msd",
        "measure spike delays, 10 or 11 steps",
        tasks.MeasureSpikeDelays(F=10),
        _TIMING_CELL,
        Shape(4),
        _TIMING_RECIPE,
        Modern(),
        test_set(tasks.MeasureSpikeDelays(F=10), 256, 500),
        "all of 256 test streams right; looked at every 500",
        20_000,
        12_000,
        _2002,
        TIMING,
        "peepholes",
    ),
    Row(
        "gts",
        "generate timed spikes, every 10 steps",
        tasks.GenerateTimedSpikes(F=10),
        _TIMING_CELL,
        Shape(4),
        _TIMING_RECIPE,
        Modern(batch=1),
        generated(tasks.GenerateTimedSpikes(F=10, spikes=100)),
        "100 spikes right after training on 10; looked at every 50",
        20_000,
        6_000,
        _2002,
        TIMING,
        "peepholes",
    ),
    Row(
        "pfg",
        "periodic function, cosine of period 25",
        tasks.PeriodicFunction("cosine", F=25, periods=4),
        _TIMING_CELL,
        Shape(4),
        _TIMING_RECIPE,
        Modern(batch=1, loss="mse"),
        generated(tasks.PeriodicFunction("cosine", F=25, periods=40)),
        "root mean square error < 0.05 over 40 periods after training on 4; looked at every 50",
        20_000,
        10_000,
        _2002,
        TIMING,
        "peepholes",
    ),
]


def most_sequences(row: Row, mode: str, seeds: int) -> int:
    """Presentations to all contenders, if no run succeeds before its limit."""
    if mode == "modern":
        return row.modern_limit * len(CONTENDERS) * seeds
    return row.faithful_limit * len(row.faithful_contenders) * seeds


ROWS: dict[str, Row] = {row.key: row for row in _ALL}
