"""Sums the line coverage that llvm-cov reports for files by module. scripts/coverage calls it."""

from __future__ import annotations

import collections
import pathlib
import sys


def main(path: str) -> None:
    lines: dict[str, list[int]] = collections.defaultdict(lambda: [0, 0])
    files: list[tuple[float, int, str]] = []
    for row in pathlib.Path(path).read_text().splitlines():
        words = row.split()
        # Filename, then count, missed and share of regions, functions, lines, (branches).
        if len(words) < 10 or not words[0].endswith((".swift", ".c")):
            continue
        name = words[0][words[0].index("Sources/") + 8 :] if "Sources/" in words[0] else words[0]
        total, missed = int(words[7]), int(words[8])
        module = name.split("/")[0] if "/" in name else "?"
        lines[module][0] += total
        lines[module][1] += missed
        files.append((missed / max(total, 1), missed, name))
    for module, (total, missed) in sorted(lines.items()):
        print(f"{module:18} {total:6} lines, {100 * (total - missed) / max(total, 1):5.1f} % run")
    print("\nfiles with the most lines that no test runs:")
    for share, missed, name in sorted(files, key=lambda file: -file[1])[:25]:
        print(f"  {missed:4} ({100 * share:3.0f} %)  {name}")


if __name__ == "__main__":
    main(sys.argv[1])
