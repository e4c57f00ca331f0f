#!/usr/bin/env python3
"""How much memory a load takes beyond what was there, against the file, for every layout.

    scripts/setup && .venv/bin/python benchmarks/load_memory.py [--units 1024] [--json]

Two LSTM layers and a Dense layer; for layouts without an architecture the network that the weights
go into was there before. Each load is in a process of its own (Linux: peaks are reset and read in
/proc).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bindings" / "python"))

import carousel

SELF_DESCRIBING = ["carousel", "keras-h5", "keras"]
OTHERS = ["keras-weights", "keras-legacy-weights", "torch", "chainer", "tf1"]


def network(units: int, seed: int) -> carousel.Network:
    layers: list[carousel.Layer] = [carousel.LSTM(units, return_sequences=True)]
    layers += [carousel.LSTM(units), carousel.Dense(10)]
    return carousel.Network(layers, input_size=units // 2, seed=seed)


def peak() -> int:
    """The process's largest resident set since `forget_peak`, in bytes."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def load(layout: str, path: Path, units: int) -> int:
    """Bytes that a load of this file takes at its worst."""
    carousel.load(path.parent / "small.h5")  # libhdf5 itself
    given = None if layout in SELF_DESCRIBING else network(units, 2)
    forget_peak()
    before = peak()
    if given is None:
        given = carousel.load(path)
    else:
        given.load_weights(path)
    return peak() - before


def measure(units: int) -> list[dict]:
    net = network(units, 1)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        carousel.Network([carousel.LSTM(2)], input_size=2).save(folder / "small.h5")
        for layout in SELF_DESCRIBING + OTHERS:
            for compression in [0, 4] if layout != "keras" else [0]:
                path = folder / (f"model.{layout}" + ("" if layout == "keras" else ".h5"))
                net.save(path, format=layout, compression=compression)
                command = [sys.executable, __file__, "--load", layout, str(path)]
                run = subprocess.run(
                    [*command, "--units", str(units)], check=True, capture_output=True, text=True
                )
                rows.append(
                    {
                        "layout": layout + (", gzip" if compression else ""),
                        "file": path.stat().st_size,
                        "memory": int(run.stdout),
                    }
                )
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--units", type=int, default=1024)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--load", nargs=2, metavar=("LAYOUT", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.load is not None:
        print(load(arguments.load[0], Path(arguments.load[1]), arguments.units))
        return 0
    rows = measure(arguments.units)
    if arguments.json:
        print(json.dumps(rows))
        return 0
    for row in rows:
        file, memory = row["file"] / 2**20, row["memory"] / 2**20
        print(f"{row['layout']:28} {file:6.1f} MiB, {memory:6.1f} MiB: {memory / file:.1f} x")
    return 0


if __name__ == "__main__":
    sys.exit(main())
