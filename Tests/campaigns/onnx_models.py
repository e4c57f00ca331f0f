"""Random LSTM, GRU and RNN operators of ONNX: tensors in HDF5, and what onnxruntime makes of them.

python onnx_models.py make FOLDER --count 100 --seed 1
python onnx_models.py verify FOLDER       runs what Carousel wrote in onnxruntime
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import command_line
import h5py
import numpy as np
import onnxruntime
from onnx import TensorProto, helper

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def operator(seed: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Attributes and tensors of one random operator."""
    r, rng = random.Random(seed), np.random.default_rng(seed)
    kind = r.choice(["LSTM", "LSTM", "GRU", "RNN"])
    units, width, both = r.choice([1, 2, 5, 8, 17]), r.choice([1, 3, 6]), r.random() < 0.4
    directions, rows = 2 if both else 1, GATES[kind] * units
    attributes: dict[str, Any] = {
        "op_type": kind,
        "hidden_size": units,
        "direction": "bidirectional" if both else "forward",
    }
    if r.random() < 0.4:
        gate = r.choice(["Sigmoid", "HardSigmoid"])
        inner = r.choice(["Tanh", "Relu", "Softsign", "Elu"])
        one = {"LSTM": [gate, inner, "Tanh"], "GRU": [gate, inner], "RNN": [inner]}[kind]
        attributes["activations"] = one * directions
    if kind == "GRU" and r.random() < 0.5:
        attributes["linear_before_reset"] = 1
    if kind == "LSTM" and r.random() < 0.2:
        attributes["clip"] = 0.6
    if kind == "LSTM" and r.random() < 0.2:
        attributes["input_forget"] = 1
    tensors = {
        "W": rng.normal(size=(directions, rows, width)),
        "R": rng.normal(size=(directions, rows, units)),
    }
    if r.random() < 0.8:
        tensors["B"] = rng.normal(size=(directions, 2 * rows))
    if kind == "LSTM" and r.random() < 0.4:
        tensors["P"] = rng.normal(size=(directions, 3 * units))
    return attributes, {name: (0.4 * value).astype("f4") for name, value in tensors.items()}


def run(attributes: dict[str, Any], tensors: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """(batch, time, features) through onnxruntime."""
    options = {key: value for key, value in attributes.items() if key != "op_type"}
    names = ["x", "W", "R", "B" if "B" in tensors else ""]
    if "P" in tensors:
        names += ["", "", "", "P"]
    node = helper.make_node(attributes["op_type"], names, ["y"], **options)
    constants = [
        helper.make_tensor(name, TensorProto.FLOAT, array.shape, array.ravel())
        for name, array in tensors.items()
    ]
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.swapaxes(0, 1).shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)])
    model.ir_version = min(model.ir_version, 9)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (y,) = session.run(None, {"x": np.ascontiguousarray(x.swapaxes(0, 1))})
    time, directions, batch, units = y.shape
    return y.transpose(2, 0, 1, 3).reshape(batch, time, directions * units)


def make(folder: Path, count: int, seed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        attributes, tensors = operator(seed * 1_000_000 + index)
        rng = np.random.default_rng(index)
        x = rng.normal(size=(3, 7, tensors["W"].shape[2])).astype("f4")
        stem = folder / f"{index:04}"
        np.savez(f"{stem}.npz", input0=x, output0=run(attributes, tensors, x))
        with h5py.File(f"{stem}.h5", "w") as file:
            file.attrs.update(attributes)
            for name, array in tensors.items():
                file[name] = array
        about = {
            "framework": f"onnxruntime {onnxruntime.__version__}",
            "files": {f"{stem.name}.h5": "whole"},
            "write": ["onnx"],
        }
        Path(f"{stem}.json").write_text(json.dumps(about))
    print(f"{count} operators")


def plain(value: Any) -> Any:
    """An HDF5 attribute as an attribute of an operator: bytes and arrays become text and lists."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, np.ndarray):
        return [plain(one) for one in value.tolist()]
    return value.item() if isinstance(value, np.generic) else value


def verify(folder: Path) -> int:
    ran, failures = 0, []
    for path in sorted(folder.glob("*.back.onnx.h5")):
        stem = folder / path.name.split(".")[0]
        try:
            with h5py.File(path) as file:
                (group,) = [file] if "W" in file else list(file.values())
                attributes = {
                    key: plain(value)
                    for key, value in group.attrs.items()
                    if key not in ("opset", "layout") and not (key == "input_forget" and not value)
                }
                tensors = {name: item[()] for name, item in group.items()}
            with np.load(f"{stem}.npz") as arrays, np.load(f"{stem}.back.npz") as ours:
                y, expected = run(attributes, tensors, arrays["input0"]), ours["output0"]
            worst = float(np.abs(y - expected).max())
            assert worst < 1e-5 * max(1.0, float(np.abs(expected).max())), worst
            ran += 1
        except Exception as error:
            failures.append(f"{path.name}: {type(error).__name__}: {str(error)[:400]}")
    print(*failures, sep="\n")
    print(f"onnxruntime: {ran} files gave the same numbers, {len(failures)} failed")
    return len(failures)


if __name__ == "__main__":
    command_line.run(__doc__, make, verify)
