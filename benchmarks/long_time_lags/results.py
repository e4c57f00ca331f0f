"""Results on disk: one small JSON file for a row, a mode and a contender, all its seeds inside."""

from __future__ import annotations

import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import carousel


class Results:
    """The runs of one contender in one row and mode."""

    def __init__(self, folder: Path, mode: str, row: str, contender: str) -> None:
        self.path = folder / mode / f"{row}.{contender}.json"
        self.content: dict[str, Any] = {
            "row": row,
            "mode": mode,
            "contender": contender,
            "runs": [],
        }
        if self.path.exists():
            self.content = json.loads(self.path.read_text())

    @property
    def runs(self) -> list[dict[str, Any]]:
        runs: list[dict[str, Any]] = self.content["runs"]
        return runs

    def has(self, seed: int, limit: int) -> bool:
        """Whether a run is there that met the criterion, or was given as many presentations."""
        return any(
            run["seed"] == seed and (run["success"] or run["limit"] >= limit) for run in self.runs
        )

    def add(self, run: dict[str, Any], where: dict[str, str]) -> None:
        """Replaces the seed's shorter run, and the file in one step."""
        self.content.update(where)
        others = [one for one in self.runs if one["seed"] != run["seed"]]
        self.content["runs"] = sorted([*others, run], key=lambda one: one["seed"])
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({**self.content, "runs": None}, indent=1, ensure_ascii=False)
        lines = ",\n  ".join(json.dumps(one) for one in self.runs)
        text = text.replace('"runs": null', f'"runs": [\n  {lines}\n ]')
        temporary = self.path.with_suffix(f".{os.getpid()}")
        temporary.write_text(text + "\n")
        temporary.replace(self.path)


def machine() -> dict[str, str]:
    return {
        "processor": _processor(),
        "instruction_set": carousel.instruction_set(),
        "version": carousel.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
