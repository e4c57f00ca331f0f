"""How a run is getting on: a bar where somebody looks, and a line in the log now and then."""

from __future__ import annotations

import sys
import time
from typing import IO, Any


class Progress:
    """Counts sequences of a run up to `total`."""

    def __init__(self, title: str, total: int, log: IO[str]) -> None:
        self.log, self.total, self.begun = log, total, time.perf_counter()
        self.bar: Any = None
        self._next = 0.0
        if sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = tqdm(total=total, desc=title, unit="seq")

    def show(self, done: int, **values: float) -> None:
        now = time.perf_counter() - self.begun
        if now < self._next:
            return
        self._next = now + max(1.0, 0.02 * now)
        if self.bar is not None:
            self.bar.update(done - self.bar.n)
            self.bar.set_postfix({name: f"{value:.4g}" for name, value in values.items()})
        told = ", ".join(f"{name} {value:.5g}" for name, value in values.items())
        print(f"{now:9.1f} s {done:9d} sequences, {told}", file=self.log)
        self.log.flush()

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
