"""The continual embedded Reber grammar (GSC00): an endless stream of strings, and no resets.

Faithful: a training stream ends at the first wrong prediction; the state is then set to zero, and a
new one begins. The weights change after every symbol, as in the paper; whether a symbol was
predicted rightly is judged by the weights from before its string.
Modern: several streams at once, Adam on chunks of 48 symbols, through which the error flows back;
the streams begin anew after ten chunks.
"""

from __future__ import annotations

import time
from typing import IO, Any

import carousel
import numpy as np

from .contenders import Contender
from .networks import build, trainable_count
from .progress import Progress
from .rows import Row
from .students import FaithfulStudent, ModernStudent
from .tasks import Array, ReberStream

#: Modern mode: symbols in a chunk, how many strings that is about, and chunks in a stream.
CHUNK, STRINGS, CHUNKS = 48, 4, 10
TEST_STREAMS = 10
TEST_LENGTH = 100_000
TEST_BLOCK = 250


def right(outputs: Array, allowed: Array) -> Array:
    """(…, time): whether all allowed symbols rank before all others; both are (…, time, 7)."""
    lowest = np.where(allowed > 0, outputs, np.inf).min(-1)
    highest = np.where(allowed > 0, -np.inf, outputs).max(-1)
    return lowest > highest


def error_free_lengths(
    network: carousel.Network, seed: int, length: int = TEST_LENGTH
) -> list[int]:
    """For each test stream the number of symbols before the first error, at most `length`."""
    streams = [ReberStream(np.random.default_rng([seed, 4, n])) for n in range(TEST_STREAMS)]
    found = [0] * TEST_STREAMS
    alive, state = list(range(TEST_STREAMS)), None
    done = 0
    while alive and done < length:
        taken = [streams[n].take(TEST_BLOCK) for n in alive]
        x, allowed = (np.stack([one[k] for one in taken]) for k in (0, 2))
        outputs, state = network(x, initial_state=state, return_state=True, threads=1)
        kept = []
        for row, (n, flags) in enumerate(zip(alive, right(outputs, allowed))):
            if flags.all():
                found[n] += TEST_BLOCK
                kept.append(row)
            else:
                found[n] += int(flags.argmin())
        alive = [alive[row] for row in kept]
        state = [tuple(part[kept] for part in group) for group in state]
        done += TEST_BLOCK
    return found


class _FaithfulTrainer:
    """One training stream at a time."""

    def __init__(self, row: Row, contender: Contender, seed: int) -> None:
        # The learning network keeps its stream's state; a copy without is judged and tested.
        self.student = FaithfulStudent(
            row.task, contender, row.shape, row.faithful, seed, stateful=True
        )
        self.learning = self.student.network
        self.network = build(row.task, contender, row.shape)
        self.network.parameter_buffer()[:] = self.learning.parameter_buffer()
        self.trainer = self.student.learner.trainer
        self.rng = np.random.default_rng([seed, 1])
        self.unit, self.count = 1, 0
        self.told: dict[str, float] = {}

    def train(self) -> None:
        """A stream to its first error."""
        stream, state, symbols, wrong = ReberStream(self.rng), None, 0, False
        self.learning.reset_states()
        while symbols < 1_000_000 and not wrong:
            x, y, allowed = (part[None] for part in stream.take_strings(1))
            outputs, state = self.network(x, initial_state=state, return_state=True, threads=1)
            flags = right(outputs, allowed)[0]
            wrong = not flags.all()
            steps = int(flags.argmin()) + 1 if wrong else len(flags)
            self.trainer.step(x[:, :steps], y[:, :steps])
            self.network.parameter_buffer()[:] = self.learning.parameter_buffer()
            symbols += steps
        self.told["stream"] = symbols
        self.count += 1

    @property
    def is_testable(self) -> bool:
        return self.count % 10 == 0


class _ModernTrainer:
    """A chunk of every one of the streams at a time."""

    def __init__(self, row: Row, contender: Contender, seed: int) -> None:
        # The trainer's network keeps its streams' states; a copy without is tested.
        self.unit = row.modern.batch * STRINGS
        student = ModernStudent(row.task, contender, row.modern_shape, row.modern, seed)
        self.network = student.network
        self.learning = build(
            row.task, contender, row.modern_shape, stateful=True, batch=row.modern.batch
        )
        self.learning.parameter_buffer()[:] = self.network.parameter_buffer()
        self.trainer = carousel.Trainer(
            self.learning,
            row.modern.loss,
            carousel.Adam(row.modern.rate),
            clip_norm=row.modern.clip_norm,
            threads=1,
        )
        self.rng = np.random.default_rng([seed, 1])
        self.batch, self.count = row.modern.batch, 0
        self.told: dict[str, float] = {}

    def train(self) -> None:
        """A chunk of every stream."""
        if self.count % CHUNKS == 0:
            self.learning.reset_states()
            self.streams = [ReberStream(self.rng) for _ in range(self.batch)]
        taken = [stream.take(CHUNK) for stream in self.streams]
        x, y = (np.stack([one[k] for one in taken]) for k in (0, 1))
        self.told["loss"] = self.trainer.step(x, y).loss
        self.count += 1
        if self.is_testable:
            self.network.parameter_buffer()[:] = self.learning.parameter_buffer()

    @property
    def is_testable(self) -> bool:
        return self.count % 50 == 0


def run(
    row: Row, mode: str, contender: Contender, seed: int, limit: int, log: IO[str]
) -> dict[str, Any]:
    """As `run.run`. `sequences`: training streams (faithful) or strings (modern)."""
    begun = time.perf_counter(), time.process_time()
    kind = _FaithfulTrainer if mode == "faithful" else _ModernTrainer
    trainer = kind(row, contender, seed)
    progress = Progress(f"{row.key} {mode} {contender.key} seed {seed}", limit, log)
    done, best, best_at = 0, 0.0, 0
    lengths = [0]
    met = False
    while done < limit and not met:
        trainer.train()
        done += trainer.unit
        if getattr(trainer, "is_testable", True):
            lengths = error_free_lengths(trainer.network, seed)
            met = min(lengths) >= TEST_LENGTH
            if np.mean(lengths) > best:
                best, best_at = float(np.mean(lengths)), done
        progress.show(done, error_free=float(np.mean(lengths)), **trainer.told)
    progress.close()
    result = {
        "seed": seed,
        "success": met,
        "sequences": done if met else None,
        "presented": done,
        "limit": limit,
        "best_error_free_length": best,
        "best_at": best_at,
        "seconds": round(time.perf_counter() - begun[0], 2),
        "processor_seconds": round(time.process_time() - begun[1], 2),
        "weights": trainable_count(trainer.network),
    }
    print(result, file=log)
    return result
