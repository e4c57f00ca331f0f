"""Loads what a campaign's generator left in a folder, compares, and writes everything back.

    python Tests/campaigns/check.py FOLDER

Every file must give the framework's numbers (2e-5), in whatever dress (``disguise.py``), and
after a trip through each of our writers. A refusal is listed with its reason.
"""

from __future__ import annotations

import argparse
import collections
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
for folder in [HERE, HERE.parent / "python", HERE.parent.parent / "bindings" / "python"]:
    sys.path.insert(0, str(folder))

import carousel
from architectures import described
from disguise import disguise


class Case:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.about = json.loads(path.read_text())
        with np.load(path.with_suffix(".npz")) as arrays:
            self.inputs = [arrays[n] for n in sorted(arrays) if n.startswith("input")]
            self.outputs = [arrays[n] for n in sorted(arrays) if n.startswith("output")]
            self.states = [arrays[n] for n in sorted(arrays) if n.startswith("state")]
            self.lengths = arrays["lengths"] if "lengths" in arrays.files else None

    @property
    def framework(self) -> str:
        return self.about["framework"]

    def load(self, path: Path, layout: str) -> carousel.Network:
        if layout == "whole":
            return carousel.load(path)
        if layout == "weights":
            return carousel.load(path, config=self.path.with_suffix(".config.json").read_text())
        net = described(self.about)
        net.load_weights(path, **self.about.get("options", {}))
        return net

    def attempt(self, path: Path, layout: str) -> Any:
        """For ``Tally.compare``: loads and runs."""

        def action() -> Any:
            net = self.load(path, layout)
            return net, self.run(net)

        return action

    def run(self, net: carousel.Network) -> list[np.ndarray]:
        given = self.inputs if len(self.inputs) > 1 else self.inputs[0]
        if not self.states:
            got = net(given, lengths=self.lengths)
            return [np.asarray(x) for x in (got if isinstance(got, (list, tuple)) else [got])]
        got, states = net(given, lengths=self.lengths, return_state=True)
        outputs = list(got) if isinstance(got, (list, tuple)) else [got]
        return outputs + [state for group in states for state in group]


def difference(got: list[np.ndarray], wanted: list[np.ndarray]) -> float:
    """The largest difference, relative to values beyond 1."""
    if len(got) != len(wanted):
        raise AssertionError(f"{len(got)} outputs, expected {len(wanted)}")
    worst = 0.0
    for one, other in zip(got, wanted):
        if one.shape != other.shape:
            raise AssertionError(f"shape {one.shape}, expected {other.shape}")
        if other.size:
            scale = max(1.0, float(np.abs(other).max()))
            worst = max(worst, float(np.abs(one - other).max()) / scale)
    return worst


class Tally:
    def __init__(self) -> None:
        self.counts: collections.Counter[tuple[str, str]] = collections.Counter()
        self.failures: list[str] = []
        self.refusals: collections.Counter[str] = collections.Counter()
        self.worst = 0.0

    def compare(
        self, what: str, kind: str, action: Any, wanted: list[np.ndarray], limit: float
    ) -> Any:
        """Runs ``action``, which gives (network, outputs)."""
        try:
            net, got = action()
            worst = difference(got, wanted)
        except carousel.UnsupportedModelError as error:
            self.counts[kind, "refused"] += 1
            self.refusals[str(error).rsplit(": ", 1)[-1][:110]] += 1
            return None
        except Exception as error:
            self.counts[kind, "failed"] += 1
            self.failures.append(f"{what}: {type(error).__name__}: {str(error)[:600]}")
            return None
        if not worst <= limit:
            self.counts[kind, "failed"] += 1
            self.failures.append(f"{what}: differs by {worst:.3g}")
            return net
        self.worst = max(self.worst, worst)
        self.counts[kind, "passed"] += 1
        return net

    def report(self) -> int:
        for failure in self.failures:
            print(failure)
        for reason, count in self.refusals.most_common():
            print(f"refused {count:4}: {reason}")
        for kind in sorted({kind for kind, _ in self.counts}):
            parts = [f"{self.counts[kind, o]} {o}" for o in ("passed", "refused", "failed")]
            print(f"{kind:32} {', '.join(parts)}")
        print(f"largest difference of those that passed: {self.worst:.2g}")
        return len(self.failures)


KERAS = ["keras-h5", "keras", "keras-weights", "keras-legacy-weights"]
SUFFIXES = {
    "carousel": ".carousel.h5",
    "keras-h5": ".back.h5",
    "keras": ".back.keras",
    "keras-weights": ".back.weights.h5",
    "keras-legacy-weights": ".back.wts.h5",
    "torch": ".back.torch.h5",
    "chainer": ".back.chainer.h5",
    "onnx": ".back.onnx.h5",
    "tf1": ".back.tf1.h5",
}


def train(case: Case, net: carousel.Network) -> None:
    """A few steps, so that what is written back was trained here."""
    given = case.inputs if len(case.inputs) > 1 else case.inputs[0]
    targets = [np.roll(array, 1, axis=0) for array in case.outputs]
    try:
        net.fit(
            given,
            targets if len(targets) > 1 else targets[0],
            epochs=3,
            optimizer=carousel.SGD(0.01),
            clip_norm=1.0,
        )
    except carousel.Error as error:
        print(f"{case.path.name}: not trained: {error}")


def round_trips(case: Case, net: carousel.Network, layouts: list[str], tally: Tally) -> None:
    train(case, net)
    ours = case.run(net)
    stem = str(case.path.with_suffix(""))
    if case.about.get("write", KERAS) is KERAS:
        Path(stem + ".back.config.json").write_text(net.to_json())
    np.savez(stem + ".back.npz", **{f"output{i}": array for i, array in enumerate(ours)})
    for layout in ["carousel", *layouts]:
        file = Path(stem + SUFFIXES[layout])

        def there_and_back(layout: str = layout, file: Path = file) -> Any:
            net.save(file, format=layout)
            if layout in ("carousel", "keras-h5", "keras"):
                copy = carousel.load(file)
            elif layout in KERAS and '"class_name"' in net.to_json():
                copy = carousel.load(file, config=net.to_json())
            else:
                copy = described(case.about) if "network" in case.about else net.copy()
                copy.load_weights(file)
            return copy, case.run(copy)

        limit = 0.0 if layout in ("carousel", *KERAS) else 1e-5
        tally.compare(f"{file.name}", f"{layout}, written here", there_and_back, ours, limit)


def check(folder: Path, dresses: int) -> int:
    tally = Tally()
    paths = [path for path in sorted(folder.glob("*.json")) if path.name.count(".") == 1]
    for number, path in enumerate(paths):
        case = Case(path)
        net = None
        for file, layout in case.about["files"].items():
            kind = f"{case.framework.split()[0]} {''.join(Path(file).suffixes[-2:])}"
            source = folder / file
            limit = case.about.get("limit", 2e-5)
            wanted = case.outputs + case.states

            action = case.attempt(source, layout)
            net = tally.compare(file, kind, action, wanted, limit) or net
            if net is None or source.suffix != ".h5":
                continue
            for dress in range(dresses):
                other = folder / f"{path.stem}.disguised.h5"
                said = disguise(source, other, seed=number * 100 + dress)

                action = case.attempt(other, layout)
                tally.compare(f"{file} ({said})", kind + " disguised", action, wanted, limit)
                other.unlink()
        if net is not None:
            round_trips(case, net, case.about.get("write", KERAS), tally)
    return tally.report()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dresses", type=int, default=1, help="disguises of each HDF5 file")
    arguments = parser.parse_args()
    sys.exit(1 if check(arguments.folder, arguments.dresses) else 0)
