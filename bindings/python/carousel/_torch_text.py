"""PyTorch modules that a network's state_dict fits, as text for whoever has to write them."""

from __future__ import annotations

import re
from typing import Any

_KINDS = {"lstm": "LSTM", "gru": "GRU", "simple_rnn": "RNN"}


def modules(found: dict[str, Any]) -> list[str]:
    """One line for each module of a file in the layout of ``torch``, from what ``inspect`` says of
    the network."""
    shapes = {array["name"]: array["shape"] for array in found["arrays"]}
    lines: dict[str, str] = {}
    for layer in found["layers"]:
        name, options = layer["name"], layer["options"]
        text = _module(name, options, shapes)
        if text is None:
            continue
        family = re.fullmatch(r"(.+)_l(\d+)", name)
        if family and options["class"] in ("recurrent", "bidirectional"):
            name = family.group(1)
            if family.group(2) != "0" and name in lines:
                count = int(family.group(2)) + 1
                lines[name] = re.sub(r"num_layers=\d+", f"num_layers={count}", lines[name])
                if "num_layers" not in lines[name]:
                    lines[name] = lines[name].replace(
                        "batch_first", f"num_layers={count}, batch_first"
                    )
                continue
        lines[name] = text
    return [f"{name}: {text}" for name, text in lines.items()]


def _module(name: str, options: dict[str, Any], shapes: dict[str, list[int]]) -> str | None:
    kind = options["class"]
    if kind == "time_distributed":
        return _module(name, options["layer"], shapes)
    if kind in ("recurrent", "bidirectional"):
        both = kind == "bidirectional"
        cell = (options["forward"] if both else options["recurrent"])["cell"]
        inputs = shapes[f"{name}/forward/kernel" if both else f"{name}/kernel"][0]
        extra = ["batch_first=True"]
        if both:
            extra.append("bidirectional=True")
        if cell.get("projection_size") is not None:
            extra.append(f"proj_size={cell['projection_size']}")
        if cell.get("use_bias") is False:
            extra.append("bias=False")
        if cell["class"] not in ("lstm", "gru") and _word(cell.get("activation")) == "relu":
            extra.append("nonlinearity='relu'")
        kind = _KINDS.get(cell["class"], "RNN")
        return f"torch.nn.{kind}({inputs}, {cell['units']}, {', '.join(extra)})"
    if kind == "dense":
        rows, columns = shapes[f"{name}/kernel"]
        bias = "" if options.get("use_bias", True) else ", bias=False"
        after = _word(options.get("activation", "linear"))
        comment = "" if after == "linear" else f"  # then {after}"
        return f"torch.nn.Linear({rows}, {columns}{bias}){comment}"
    if kind == "embedding":
        return f"torch.nn.Embedding({options['vocabulary']}, {options['dimension']})"
    if kind == "layer_normalization":
        features = (shapes.get(f"{name}/gamma") or shapes.get(f"{name}/beta") or ["?"])[0]
        return f"torch.nn.LayerNorm({features}, eps={options['epsilon']:g})"
    if kind == "batch_normalization":
        features = shapes[f"{name}/moving_mean"][0]
        return f"torch.nn.BatchNorm1d({features}, eps={options['epsilon']:g})"
    if kind == "conv1d":
        size, inputs, filters = shapes[f"{name}/kernel"]
        return f"torch.nn.Conv1d({inputs}, {filters}, {size})"
    if kind == "prelu":
        return f"torch.nn.PReLU({shapes[f'{name}/alpha'][-1]})"
    return None


def _word(activation: Any) -> str:
    return str(activation["name"] if isinstance(activation, dict) else activation)
