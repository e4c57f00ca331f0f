"""What a load takes stays in proportion to the file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="reads peaks of memory in /proc")
def test_a_load_takes_a_small_multiple_of_the_file() -> None:
    program = Path(__file__).resolve().parents[2] / "benchmarks" / "load_memory.py"
    command = [sys.executable, str(program), "--units", "256", "--json"]
    rows = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert len(rows) == 15
    for row in rows:  # 2 to 4 for large files; 16 MiB are room for an allocator's and libhdf5's own
        assert row["memory"] < 6 * row["file"] + 2**24, row
