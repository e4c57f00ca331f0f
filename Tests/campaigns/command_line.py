"""The command line that all generators of random models have: ``make`` and ``verify`` in a folder.

Runs in the frameworks' own environments, from Python 3.7 on.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Callable


def run(
    purpose: str, make: Callable[[Path, int, int], None], verify: Callable[[Path], int]
) -> None:
    """Ends the process with 1 if ``verify`` counted failures."""
    parser = argparse.ArgumentParser(description=purpose.splitlines()[0])
    parser.add_argument("command", choices=["make", "verify"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.command == "verify":
        sys.exit(1 if verify(arguments.folder) else 0)
    make(arguments.folder, arguments.count, arguments.seed)
