"""Random PyTorch modules: state_dicts in HDF5, inputs and outputs, and the network they fit.

python torch_models.py make FOLDER --count 100 --seed 1
python torch_models.py verify FOLDER       loads what Carousel wrote with strict=True
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import command_line
import h5py
import numpy as np
import torch
from torch import nn

VOCABULARY = 13


class Maker:
    """One random model: modules by name, and the same as layers of Carousel."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        torch.manual_seed(seed)
        self.modules: list[tuple[str, nn.Module]] = []
        self.network: list[dict[str, Any]] = []

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def name(self, stem: str) -> str:
        styles = ["{}{}", "my_{}{}", "{}_layer{}"] if self.modules else ["{}"]
        style = self.random.choice(styles)
        return style.format(stem, len(self.modules))

    def add(self, name: str, module: nn.Module, *layers: dict[str, Any]) -> None:
        self.modules.append((name, module))
        self.network += layers

    def recurrent(self, width: int, lengths: bool) -> int:
        r = self.random
        kind, units = r.choice(["LSTM", "LSTM", "GRU", "RNN"]), r.choice([1, 2, 4, 5, 7, 16, 17])
        count, both, bias = r.choice([1, 1, 2, 3]), self.chance(0.4), self.chance(0.85)
        options: dict[str, Any] = {}
        ours: dict[str, Any] = {"units": units, "use_bias": bias, "return_sequences": True}
        if kind == "LSTM" and units > 1 and self.chance(0.3):
            options["proj_size"] = ours["projection_size"] = r.randrange(1, units)
        if kind == "RNN":
            options["nonlinearity"] = ours["activation"] = r.choice(["tanh", "relu"])
        module = getattr(nn, kind)(
            width, units, count, bias=bias, bidirectional=both, batch_first=True, **options
        )
        name = self.name("rnn")
        layers = []
        for index in range(count):
            one = {"class": {"RNN": "SimpleRNN"}.get(kind, kind), **ours}
            if both:
                one = {"class": "Bidirectional", "layer": one}
            one["name"] = name if count == 1 else f"{name}_l{index}"
            layers.append(one)
        self.add(name, module, *layers)
        return (2 if both else 1) * options.get("proj_size", units)

    def cell(self, width: int) -> int:
        kind, units = self.random.choice(["LSTM", "GRU", "RNN"]), self.random.choice([1, 3, 8, 9])
        bias = self.chance(0.8)
        name = self.name("cell")
        ours = {"class": {"RNN": "SimpleRNN"}.get(kind, kind), "units": units, "use_bias": bias}
        ours.update(return_sequences=True, name=name)
        self.add(name, getattr(nn, kind + "Cell")(width, units, bias=bias), ours)
        return units

    def plain(self, width: int) -> int:
        choice = self.random.choice(["Linear", "Linear", "LayerNorm", "PReLU", "Conv1d"])
        name = self.name(choice.lower())
        if choice == "Linear":
            units, bias = self.random.choice([1, 2, 5, 8]), self.chance(0.8)
            layer = {"class": "Dense", "units": units, "use_bias": bias, "name": name}
            self.add(name, nn.Linear(width, units, bias=bias), layer)
            return units
        if choice == "LayerNorm":
            layer = {"class": "LayerNormalization", "epsilon": 1e-5, "name": name}
            self.add(name, nn.LayerNorm(width), layer)
        elif choice == "PReLU":
            self.add(name, nn.PReLU(width), {"class": "PReLU", "shared_axes": [1], "name": name})
        else:
            size = self.random.choice([1, 3])
            layer = {"class": "Conv1D", "filters": 4, "kernel_size": size, "padding": "same"}
            self.add(name, nn.Conv1d(width, 4, size, padding="same"), {**layer, "name": name})
            return 4
        return width

    def make(self) -> tuple[int | None, bool]:
        """The width of the input (None: ids), and whether it has lengths."""
        lengths = self.chance(0.2)
        width = self.random.choice([1, 2, 3, 6])
        given: int | None = width
        if self.chance(0.3):
            given, name = None, self.name("emb")
            layer = {"class": "Embedding", "input_dim": VOCABULARY, "output_dim": width}
            self.add(name, nn.Embedding(VOCABULARY, width), {**layer, "name": name})
        for _ in range(self.random.choice([1, 1, 2])):
            if not lengths and self.chance(0.2):
                width = self.cell(width)
            else:
                width = self.recurrent(width, lengths)
            if not lengths and self.chance(0.5):
                width = self.plain(width)
        return given, lengths


def run(modules: list[tuple[str, nn.Module]], x: torch.Tensor, lengths: Any) -> torch.Tensor:
    time = x.shape[1]
    for _, module in modules:
        if isinstance(module, nn.RNNCellBase):
            state, steps = None, []
            for t in range(time):
                state = module(x[:, t], state)
                steps.append(state[0] if isinstance(state, tuple) else state)
            x = torch.stack(steps, 1)
        elif isinstance(module, nn.RNNBase):
            if lengths is None:
                x = module(x)[0]
            else:
                packed = nn.utils.rnn.pack_padded_sequence(
                    x, lengths, batch_first=True, enforce_sorted=False
                )
                x, _ = nn.utils.rnn.pad_packed_sequence(
                    module(packed)[0], batch_first=True, total_length=time
                )
        elif isinstance(module, (nn.Conv1d, nn.PReLU)):
            x = module(x.swapaxes(1, 2)).swapaxes(1, 2)
        else:
            x = module(x)
    return x


def save(
    path: Path, state: dict[str, torch.Tensor], prefix: str, slashes: bool, r: random.Random
) -> None:
    """The keys in any order; dots, or slashes, which make groups."""
    names = list(state)
    r.shuffle(names)
    with h5py.File(path, "w") as file:
        for name in names:
            key = prefix + name
            file[key.replace(".", "/") if slashes else key] = state[name].numpy()


def make(folder: Path, count: int, seed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        maker = Maker(seed * 1_000_000 + index)
        width, has_lengths = maker.make()
        modules = nn.ModuleDict(dict(maker.modules))
        with torch.no_grad():
            for parameter in modules.parameters():
                parameter.copy_(torch.randn(parameter.shape) * 0.4)
        ids = torch.randint(0, VOCABULARY, (3, 7))
        x = ids if width is None else torch.randn(3, 7, width)
        lengths = torch.tensor([7, 2, 4]) if has_lengths else None
        with torch.no_grad():
            y = run(maker.modules, x, lengths)
        stem = folder / f"{index:04}"
        arrays = {"input0": x.numpy(), "output0": y.numpy()}
        if lengths is not None:
            arrays["lengths"] = lengths.numpy()
        np.savez(f"{stem}.npz", **arrays)
        r = maker.random
        prefix = r.choice(["", "", "module.", "model.", "module.encoder."])
        save(Path(f"{stem}.h5"), modules.state_dict(), prefix, maker.chance(0.4), r)
        about = {
            "framework": f"torch {torch.__version__}",
            "files": {f"{stem.name}.h5": "bound"},
            "network": maker.network,
            "input_size": width,
            "write": ["torch"],
        }
        Path(f"{stem}.json").write_text(json.dumps(about))
        torch.save(modules, f"{stem}.module.pt")
    print(f"{count} modules")


def verify(folder: Path) -> int:
    loaded, failures = 0, []
    for path in sorted(folder.glob("*.back.torch.h5")):
        stem = folder / path.name.split(".")[0]
        modules = torch.load(f"{stem}.module.pt", weights_only=False)
        with (
            h5py.File(path) as file,
            np.load(f"{stem}.npz") as arrays,
            np.load(f"{stem}.back.npz") as ours,
        ):
            try:
                state = {name: torch.from_numpy(np.asarray(file[name][()])) for name in file}
                if any(isinstance(module, nn.RNNCellBase) for module in modules.values()):
                    state = {
                        name.replace("_l0", "")
                        if name.startswith(
                            tuple(
                                key
                                for key, module in modules.items()
                                if isinstance(module, nn.RNNCellBase)
                            )
                        )
                        else name: array
                        for name, array in state.items()
                    }
                modules.load_state_dict(state, strict=True)
                lengths = torch.from_numpy(arrays["lengths"]) if "lengths" in arrays else None
                with torch.no_grad():
                    y = run(list(modules.items()), torch.from_numpy(arrays["input0"]), lengths)
                worst = float(np.abs(y.numpy() - ours["output0"]).max())
                assert worst < 1e-5 * max(1.0, float(np.abs(ours["output0"]).max())), worst
                loaded += 1
            except Exception as error:
                failures.append(f"{path.name}: {type(error).__name__}: {str(error)[:400]}")
    print(*failures, sep="\n")
    print(f"torch: {loaded} files loaded strictly, with the same numbers, {len(failures)} failed")
    return len(failures)


if __name__ == "__main__":
    command_line.run(__doc__, make, verify)
