"""Random Chainer links: ``save_hdf5`` files, inputs and outputs, and the network they belong to.

Runs in an environment of its own (Chainer 7.8.1, Python 3.8, NumPy 1.23), without Carousel:

    python chainer_models.py make FOLDER --count 100 --seed 1
    python chainer_models.py verify FOLDER       loads what Carousel wrote with ``load_hdf5``
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import chainer
import chainer.links as L
import command_line
import numpy as np

VOCABULARY = 13
chainer.config.train = False


class Maker:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.rng = np.random.RandomState(seed % 2**31)
        self.links: List[Tuple[str, Any]] = []
        self.network: List[Dict[str, Any]] = []

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def name(self, stem: str) -> str:
        style = self.random.choice(["{}{}", "my_{}{}"]) if self.links else "{}"
        return style.format(stem, len(self.links))

    def add(self, name: str, link: Any, *layers: Dict[str, Any]) -> None:
        self.links.append((name, link))
        self.network += layers

    def stacked(self, width: int) -> int:
        """An NStep link."""
        r = self.random
        kind = r.choice(["LSTM", "GRU", "RNNTanh", "RNNReLU"])
        both, count, units = self.chance(0.4), r.choice([1, 2, 2, 3]), r.choice([2, 3, 4, 5, 8, 9])
        link = getattr(L, "NStep{}{}".format("Bi" if both else "", kind))(count, width, units, 0.0)
        name = self.name("rnn")
        layers = []
        for index in range(count):
            one: Dict[str, Any] = {"class": kind if kind in ("LSTM", "GRU") else "SimpleRNN"}
            one.update(units=units, return_sequences=True)
            if kind == "RNNReLU":
                one["activation"] = "relu"
            if both:
                one = {"class": "Bidirectional", "layer": one}
            one["name"] = name if count == 1 else "{}_l{}".format(name, index)
            layers.append(one)
        self.add(name, link, *layers)
        return 2 * units if both else units

    def single(self, width: int) -> int:
        units = self.random.choice([1, 2, 3, 5, 8])
        kind = self.random.choice(
            ["LSTM", "StatefulPeepholeLSTM", "StatefulZoneoutLSTM", "StatefulGRU"]
        )
        name = self.name("lstm")
        layer: Dict[str, Any] = {
            "class": "LSTM",
            "units": units,
            "return_sequences": True,
            "name": name,
        }
        if kind == "StatefulPeepholeLSTM":
            layer["peepholes"] = "dense"
        if kind == "StatefulGRU":
            layer.update({"class": "GRU", "reset_after": False})
            link = L.StatefulGRU(width, units)
        else:
            link = getattr(L, kind)(width, units)
        self.add(name, link, layer)
        return units

    def make(self) -> Optional[int]:
        width = self.random.choice([1, 2, 3, 6])
        given: Optional[int] = width
        if self.chance(0.3):
            given, name = None, self.name("emb")
            layer = {
                "class": "Embedding",
                "input_dim": VOCABULARY,
                "output_dim": width,
                "name": name,
            }
            self.add(name, L.EmbedID(VOCABULARY, width), layer)
        for _ in range(self.random.choice([1, 1, 2])):
            width = self.stacked(width) if self.chance(0.6) else self.single(width)
            if self.chance(0.4):
                units, name = self.random.choice([1, 2, 5]), self.name("fc")
                nobias = self.chance(0.2)
                layer = {"class": "Dense", "units": units, "name": name, "use_bias": not nobias}
                self.add(name, L.Linear(width, units, nobias=nobias), layer)
                width = units
        return given

    def fill(self) -> None:
        for _, link in self.links:
            for path, parameter in link.namedparams():
                parameter.array[...] = self.rng.normal(size=parameter.shape, scale=0.4)
                # StatefulGRU leaves these out at its first step; Carousel refuses all but zeros.
                if isinstance(link, L.StatefulGRU) and path.startswith("/U") and path.endswith("b"):
                    parameter.array[...] = 0


def run(links: List[Tuple[str, Any]], x: np.ndarray) -> np.ndarray:
    """(batch, time, features) through all links."""
    for _, link in links:
        kind = type(link).__name__
        if kind == "EmbedID":
            x = link(x).array
        elif kind == "Linear":
            x = link(x, n_batch_axes=2).array
        elif kind.startswith("NStep"):
            cells = (None, None) if "LSTM" in kind else (None,)
            result = link(*cells, [chainer.Variable(row) for row in x])
            x = np.stack([row.array for row in result[-1]])
        else:
            link.reset_state()
            steps = [link(np.ascontiguousarray(x[:, t])).array for t in range(x.shape[1])]
            x = np.stack(steps, 1)
    return x


def chain_of(links: List[Tuple[str, Any]]) -> Any:
    chain = chainer.Chain()
    with chain.init_scope():
        for name, link in links:
            setattr(chain, name, link)
    return chain


def make(folder: Path, count: int, seed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        maker = Maker(seed * 1000000 + index)
        width = maker.make()
        maker.fill()
        if width is None:
            x = maker.rng.randint(0, VOCABULARY, (3, 7)).astype("int32")
        else:
            x = maker.rng.normal(size=(3, 7, width)).astype("float32")
        y = run(maker.links, x)
        stem = folder / "{:04}".format(index)
        np.savez("{}.npz".format(stem), input0=x, output0=y)
        target = chain_of(maker.links)
        if len(maker.links) == 1 and maker.chance(0.5):
            target = maker.links[0][1]  # the link by itself, names without a prefix
        chainer.serializers.save_hdf5("{}.h5".format(stem), target, maker.random.choice([4, 0, 9]))
        about = {
            "framework": "chainer {}".format(chainer.__version__),
            "files": {stem.name + ".h5": "bound"},
            "network": maker.network,
            "input_size": width,
            "write": ["chainer"],
            "seed": seed * 1000000 + index,
        }
        Path("{}.json".format(stem)).write_text(json.dumps(about))
    print("{} chains".format(count))


def plain_lstm(link: Any) -> Any:
    """Carousel writes one LSTM of one direction as ``L.LSTM``, also if it was an NStep link."""
    if type(link).__name__ != "NStepLSTM" or link.n_layers != 1:
        return link
    units, width = link[0].w0.shape
    return L.LSTM(width, units)


def verify(folder: Path) -> int:
    loaded, failures = 0, []
    for path in sorted(folder.glob("*.back.chainer.h5")):
        stem = folder / path.name.split(".")[0]
        maker = Maker(json.loads(Path("{}.json".format(stem)).read_text())["seed"])
        maker.make()
        maker.links = [(name, plain_lstm(link)) for name, link in maker.links]
        try:
            chainer.serializers.load_hdf5(str(path), chain_of(maker.links))
            arrays, ours = np.load("{}.npz".format(stem)), np.load("{}.back.npz".format(stem))
            y, expected = run(maker.links, arrays["input0"]), ours["output0"]
            worst = float(np.abs(y - expected).max())
            assert worst < 1e-5 * max(1.0, float(np.abs(expected).max())), worst
            loaded += 1
        except Exception as error:
            failures.append("{}: {}: {}".format(path.name, type(error).__name__, str(error)[:400]))
    print(*failures, sep="\n")
    print("chainer: {} files loaded with the same numbers, {} failed".format(loaded, len(failures)))
    return len(failures)


if __name__ == "__main__":
    command_line.run(__doc__, make, verify)
