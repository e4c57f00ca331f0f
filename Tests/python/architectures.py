"""Networks for the fixtures whose files hold no architecture, from their ``.arch.json``."""

from __future__ import annotations

from typing import Any

import carousel
from carousel import layers


def network_for(entry: dict[str, Any], arch: dict[str, Any], dtype: str) -> carousel.Network:
    """The network that a weights-only file of another framework belongs to."""
    if "network" in arch:
        return described(arch, dtype)
    build = {
        "torch-state-dict-h5": from_torch,
        "chainer-hdf5": from_chainer,
        "tf1-variables-h5": from_tf1,
        "onnx-lstm-h5": from_onnx,
    }[entry["format"]]
    stack, input_size = build(arch)
    return carousel.Network(stack, input_size=input_size, dtype=dtype)


def described(arch: dict[str, Any], dtype: str = "float32") -> carousel.Network:
    """A chain of layers that the text spells out: class, arguments and name of each."""
    stack = [layer(one) for one in arch["network"]]
    return carousel.Network(stack, input_size=arch.get("input_size"), dtype=dtype)


def layer(one: dict[str, Any]) -> layers.Layer:
    """A layer from its class and arguments, of which one may be a layer again."""
    arguments = {
        key: layer(value) if isinstance(value, dict) else value
        for key, value in one.items()
        if key != "class"
    }
    return getattr(layers, one["class"])(**arguments)


def forget_bias(arch: dict[str, Any]) -> list[float] | None:
    """What ``load_weights`` has to be told of a TF1 file: one value per cell."""
    if "cells" not in arch:
        return None
    return [cell.get("forget_bias", 1.0) for cell in arch["cells"]]


def from_torch(arch: dict[str, Any]) -> tuple[list[layers.Layer], int | None]:
    stack: list[layers.Layer] = []
    modules = arch["modules"]
    for module in modules:
        kind, name = module["type"], module["name"]
        if kind == "Embedding":
            stack.append(
                layers.Embedding(module["num_embeddings"], module["embedding_dim"], name=name)
            )
        elif kind == "Linear":
            stack.append(layers.Dense(module["out_features"], name=name))
        else:
            stack += _torch_recurrent(module, name or "rnn", arch.get("select") != "last")
    return stack, modules[0].get("input_size")


def _torch_recurrent(module: dict[str, Any], name: str, sequences: bool) -> list[layers.Layer]:
    units, count = module["hidden_size"], module.get("num_layers", 1)
    use_bias = module.get("bias", True)
    stack: list[layers.Layer] = []
    for index in range(count):
        emits = sequences or index + 1 < count
        cell: layers.Layer
        if module["type"] == "LSTM":
            cell = layers.LSTM(
                units,
                use_bias=use_bias,
                projection_size=module.get("proj_size") or None,
                return_sequences=emits,
            )
        elif module["type"] == "GRU":
            cell = layers.GRU(units, use_bias=use_bias, return_sequences=emits)
        else:
            activation = module.get("nonlinearity", "tanh")
            cell = layers.SimpleRNN(
                units, activation=activation, use_bias=use_bias, return_sequences=emits
            )
        layer_name = name if count == 1 else f"{name}_l{index}"
        if module.get("bidirectional"):
            cell = layers.Bidirectional(cell)
        cell.name = layer_name
        stack.append(cell)
    return stack


def from_chainer(arch: dict[str, Any]) -> tuple[list[layers.Layer], int | None]:
    links = arch.get("chain") or [{"name": "lstm", **arch}]
    stack: list[layers.Layer] = []
    input_size = None
    for link in links:
        kind, name, args = link["link"], link["name"], link["args"]
        if kind == "Linear":
            stack.append(layers.Dense(args[1], name=name))
        elif kind == "EmbedID":
            stack.append(layers.Embedding(args[0], args[1], name=name))
        elif kind.startswith("NStep"):
            count, width, units = args[:3]
            cell = layers.GRU if "GRU" in kind else layers.LSTM
            for index in range(count):
                one: layers.Layer = cell(units, return_sequences=True)
                if "Bi" in kind:
                    one = layers.Bidirectional(one)
                one.name = name if count == 1 else f"{name}_l{index}"
                stack.append(one)
            input_size = input_size or width
        else:
            peepholes = "dense" if "Peephole" in kind else False
            stack.append(
                layers.LSTM(args[1], peepholes=peepholes, return_sequences=True, name=name)
            )
            input_size = input_size or args[0]
    return stack, input_size


def from_tf1(arch: dict[str, Any]) -> tuple[list[layers.Layer], int | None]:
    stack: list[layers.Layer] = []
    for index, cell in enumerate(arch["cells"]):
        lstm: layers.Layer = layers.LSTM(
            cell["units"],
            peepholes=cell.get("use_peepholes", False) or cell.get("use_peephole", False),
            projection_size=cell.get("num_proj"),
            cell_clip=cell.get("cell_clip"),
            projection_clip=cell.get("proj_clip"),
            return_sequences=True,
        )
        if arch["bidirectional"]:
            lstm = layers.Bidirectional(lstm)
        lstm.name = f"cell_{index}"
        stack.append(lstm)
    if arch["dense"]:
        stack.append(layers.Dense(arch["dense"], name="dense"))
    return stack, arch["input_size"]


def from_onnx(arch: dict[str, Any]) -> tuple[list[layers.Layer], int | None]:
    names = [name.lower() for name in arch["activations"]]
    lstm: layers.Layer = layers.LSTM(
        arch["hidden_size"],
        recurrent_activation=names[0],
        activation=names[1],
        output_activation=names[2],
        peepholes=arch.get("peepholes", False),
        coupled_gates=bool(arch["input_forget"]),
        gate_clip=arch.get("clip"),
        return_sequences=True,
    )
    if arch["direction"] == "bidirectional":
        lstm = layers.Bidirectional(lstm)
    lstm.name = "lstm"
    return [lstm], arch["input_size"]
