"""The command line: ``python -m carousel inspect|convert|run|diff|verify``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import (
    Error,
    FormatError,
    InvalidArgumentError,
    Network,
    __version__,
    _torch_text,
    inspect,
    load,
)

FORMATS = (
    "carousel",
    "keras-h5",
    "keras",
    "keras-weights",
    "keras-legacy-weights",
    "torch",
    "chainer",
    "tf1",
    "onnx",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; gives the exit status: 0, 1 for a difference, 2 for an error."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except BrokenPipeError:  # the reader has seen enough
        return 0
    except (Error, OSError) as error:
        print(f"carousel: {error}", file=sys.stderr)
        return 2
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m carousel", description="Look into, convert, run and compare LSTM models."
    )
    parser.add_argument("--version", action="version", version=f"carousel {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: Any, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=function)
        sub.add_argument("--json", action="store_true", help="as JSON instead of text")
        sub.add_argument(
            "--config",
            metavar="JSON",
            help="file with the architecture (model.to_json()), for files of weights alone",
        )
        sub.add_argument(
            "--untrusted",
            action="store_true",
            help="the files may be hostile: read them in a process of their own, with limits",
        )
        return sub

    sub = command("inspect", _inspect, "What a file holds, and what would be ignored.")
    sub.add_argument("file")

    sub = command("convert", _convert, "Writes a model in another layout.")
    sub.add_argument("file")
    sub.add_argument("output")
    sub.add_argument("--format", choices=FORMATS, help="found from the output's name if it tells")
    sub.add_argument("--prefix", help="what names in the new file begin with ('': no prefix)")
    sub.add_argument("--compression", type=int, default=0, metavar="0-9", help="gzip level")
    sub.add_argument(
        "--precision",
        choices=("float32", "bfloat16", "int8"),
        help="of the weights, for inference; prints what rounding did to them",
    )
    sub.add_argument("--forget-bias", type=float, nargs="+", help="of TF1 files, which lack it")

    sub = command("run", _run, "Runs a model on an array.")
    sub.add_argument("file")
    sub.add_argument("--input", required=True, nargs="+", metavar="FILE", help=".npy, .csv or .h5")
    sub.add_argument("--output", metavar="FILE", help=".npy, .csv or .h5; printed otherwise")
    sub.add_argument("--dataset", default="input", help="which dataset of an .h5 (default: input)")
    sub.add_argument("--lengths", metavar="FILE", help="steps of each row, as .npy or .csv")

    sub = command("diff", _diff, "Numeric differences of two files of any layouts.")
    sub.add_argument("a")
    sub.add_argument("b")
    sub.add_argument("--atol", type=float, default=0.0, help="differences that do not count")

    sub = command("verify", _verify, "Runs a model and compares with outputs computed elsewhere.")
    sub.add_argument("file")
    sub.add_argument(
        "--against", required=True, metavar="IO.h5", help="datasets input, output, ..."
    )
    sub.add_argument("--atol", type=float, default=2e-5)
    sub.add_argument("--rtol", type=float, default=1e-5)
    return parser


# --- inspect -----------------------------------------------------------------------------------


def _inspect(options: argparse.Namespace) -> int:
    found = inspect(options.file, config=_config(options), untrusted=options.untrusted)
    if options.json:
        print(json.dumps(found, indent=2))
        return 0
    print(f"{options.file}")
    for name, value in found.items():
        if isinstance(value, (str, int, float)) and not isinstance(value, bool):
            print(f"  {name.replace('_', ' ')}: {value}")
    for name, value in found.items():
        if isinstance(value, list) and value:
            print(f"\n{name.replace('_', ' ')}:")
            _print_rows(value)
        elif isinstance(value, dict) and value:
            print(f"\n{name.replace('_', ' ')}:")
            _print_rows([{"name": key, "value": entry} for key, entry in value.items()])
    return 0


def _print_rows(rows: Sequence[Any]) -> None:
    """A table with a column for each key."""
    if not all(isinstance(row, dict) for row in rows):
        for row in rows:
            print(f"  {_cell(row)}")
        return
    names = list(dict.fromkeys(name for row in rows for name in row))
    # What is nested is for --json.
    names = [name for name in names if not any(isinstance(row.get(name), dict) for row in rows)]
    cells = [[_cell(row.get(name, "")) for name in names] for row in rows]
    head = [name.replace("_", " ") for name in names]
    widths = [max(map(len, column)) for column in zip(head, *cells)]
    for line in [head, ["-" * width for width in widths], *cells]:
        print("  " + "  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip())


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, list):
        return "(" + ", ".join(map(_cell, value)) + ")"
    return str(value) if isinstance(value, (str, int)) else json.dumps(value)


# --- convert -----------------------------------------------------------------------------------


def _convert(options: argparse.Namespace) -> int:
    form = options.format or _format_of(options.output)
    net = _load(options.file, options)
    if options.precision:
        net = net.quantize(options.precision)
    net.save(options.output, form, prefix=options.prefix, compression=options.compression)
    layers = [one._asdict() for one in net.quantization()] if options.precision else []
    if options.json:
        result = {"output": options.output, "format": form, "bytes": _size(options.output)}
        print(json.dumps({**result, "layers": layers} if layers else result))
    else:
        print(f"{options.file} -> {options.output} ({form}, {_size(options.output):,} bytes)")
        if form == "torch":
            _explain_state_dict(options)
        if layers:
            _print_rows(layers)
    return 0


def _explain_state_dict(options: argparse.Namespace) -> None:
    """What a newcomer to PyTorch has to write next."""
    found = inspect(options.file, config=_config(options))
    if "layers" not in found:
        return
    print("\nThe modules whose state_dict this is:")
    for line in _torch_text.modules(found):
        print(f"    {options.prefix or ''}{line}")
    print(
        "\nAnd how they take it:\n"
        f'    with h5py.File("{options.output}") as file:\n'
        "        state = {name: torch.as_tensor(file[name][()]) for name in file}\n"
        "    model.load_state_dict(state, strict=True)"
    )


def _size(path: str) -> int:
    return Path(path).stat().st_size


def _format_of(path: str) -> str:
    """The layout that a file's name promises."""
    if path.endswith(".weights.h5"):
        return "keras-weights"
    if path.endswith(".keras"):
        return "keras"
    raise InvalidArgumentError(
        f"the name '{path}' does not tell the layout: give --format, one of {', '.join(FORMATS)}"
    )


def _config(options: argparse.Namespace) -> str | None:
    return Path(options.config).read_text(encoding="utf-8") if options.config else None


def _load(path: str, options: argparse.Namespace, like: Network | None = None) -> Network:
    """A network from a file; weights alone go into the architecture of --config, or of ``like``."""
    bias = getattr(options, "forget_bias", None)
    try:
        if bias is None:
            return load(path, config=_config(options), untrusted=options.untrusted)
    except FormatError:
        if like is None:
            raise
    if like is not None:
        net = like.copy()
    elif options.config:
        net = Network.from_json(_config(options) or "")
    else:
        raise InvalidArgumentError("--forget-bias needs --config, the architecture")
    net.load_weights(path, forget_bias=bias, untrusted=options.untrusted)
    return net


# --- run ---------------------------------------------------------------------------------------


def _run(options: argparse.Namespace) -> int:
    net = _load(options.file, options)
    inputs = [_read(path, options.dataset) for path in options.input]
    inputs = [_shaped(array, signal) for array, signal in zip(inputs, net.inputs)]
    lengths = None if options.lengths is None else _read(options.lengths, "lengths").reshape(-1)
    output = net(inputs if len(net.inputs) > 1 else inputs[0], lengths=lengths)
    outputs = output if isinstance(output, list) else [output]
    if options.output:
        _write(options.output, outputs)
        for array in outputs:
            print(f"{options.output}: {array.shape} {array.dtype}")
    elif options.json:
        print(json.dumps([array.tolist() for array in outputs]))
    else:
        for array in outputs:
            print(np.array2string(array, threshold=1000, precision=6))
    return 0


def _shaped(array: np.ndarray, signal: Any) -> np.ndarray:
    """A table of numbers is one row of a batch: (time, features) becomes (1, time, features)."""
    if array.ndim == len(signal.shape) - 1:
        return array[np.newaxis]
    return array


def _read(path: str, dataset: str) -> np.ndarray:
    if path.endswith(".npy"):
        array: np.ndarray = np.load(path, allow_pickle=False)
        return array
    if path.endswith((".csv", ".txt")):
        return _read_csv(path)
    with _h5py().File(path, "r") as file:
        if dataset not in file:
            raise InvalidArgumentError(
                f"{path} has no dataset '{dataset}': it has {', '.join(file)}"
            )
        return np.asarray(file[dataset])


def _read_csv(path: str) -> np.ndarray:
    """Numbers separated by commas, with or without a line of names."""
    with open(path, encoding="utf-8") as file:
        first = file.readline()
    try:
        [float(cell) for cell in first.split(",")]
        skipped = 0
    except ValueError:
        skipped = 1
    return np.loadtxt(path, delimiter=",", skiprows=skipped, ndmin=2)


def _write(path: str, outputs: Sequence[np.ndarray]) -> None:
    if path.endswith((".npy", ".csv", ".txt")) and len(outputs) > 1:
        raise InvalidArgumentError(f"{len(outputs)} outputs: write them to an .h5")
    if path.endswith(".npy"):
        np.save(path, outputs[0])
    elif path.endswith((".csv", ".txt")):
        np.savetxt(path, outputs[0].reshape(-1, outputs[0].shape[-1]), delimiter=",", fmt="%.9g")
    else:
        with _h5py().File(path, "w") as file:
            for index, array in enumerate(outputs):
                file["output" if index == 0 else f"output_{index + 1}"] = array


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise InvalidArgumentError("arrays in .h5 files need h5py (pip install h5py)") from error
    return h5py


# --- diff --------------------------------------------------------------------------------------


def _diff(options: argparse.Namespace) -> int:
    try:
        a = _load(options.a, options)
        b = _load(options.b, options, like=a)
    except FormatError:  # only the second one may know the architecture
        b = _load(options.b, options)
        a = _load(options.a, options, like=b)
    rows = list(_differences(a, b))
    differ = any(row["largest"] is None or row["largest"] > options.atol for row in rows)
    if options.json:
        print(json.dumps({"differ": differ, "parameters": rows}, indent=2))
    else:
        _print_rows([{name: "-" if v is None else v for name, v in row.items()} for row in rows])
        worst = max((row["largest"] for row in rows if row["largest"] is not None), default=0.0)
        print(f"\nlargest difference: {worst:.5g}" + ("" if differ else " (no difference)"))
    return int(differ)


def _differences(a: Network, b: Network) -> Iterable[dict[str, Any]]:
    """One row for each parameter; those of the same name are compared, else those of the same
    place if all shapes agree."""
    ours, theirs = a.parameters(), b.parameters()
    shapes = [[array.shape for array in side.values()] for side in (ours, theirs)]
    if ours.keys() != theirs.keys() and shapes[0] == shapes[1]:
        theirs = dict(zip(ours, theirs.values()))
    for name in dict.fromkeys([*ours, *theirs]):
        one, two = ours.get(name), theirs.get(name)
        row: dict[str, Any] = {"name": name, "shape": None, "largest": None, "mean": None}
        if one is None or two is None:
            row["shape"] = "only in " + ("the second file" if one is None else "the first file")
        elif one.shape != two.shape:
            row["shape"] = f"{one.shape} and {two.shape}"
        else:
            gaps = np.abs(one.astype(np.float64) - two)
            row["shape"] = str(one.shape)
            row["largest"] = float(gaps.max(initial=0.0))
            row["mean"] = float(gaps.mean()) if gaps.size else 0.0
        yield row


# --- verify ------------------------------------------------------------------------------------


def _verify(options: argparse.Namespace) -> int:
    net = _load(options.file, options)
    with _h5py().File(options.against, "r") as file:
        arrays = {name: np.asarray(item) for name, item in file.items()}
        layout = file.attrs.get("layout", "batch_first")
        calls = int(file.attrs.get("stateful_calls", 1))
    names = sorted(name for name in arrays if name.startswith("input"))
    if not names:
        raise InvalidArgumentError(f"{options.against} has no dataset 'input'")
    inputs = [_batch_first(arrays[name], layout) for name in names]
    lengths = arrays.get("lengths")
    if calls > 1:
        outputs = [net(array) for array in inputs]
    else:
        output = net(inputs if len(net.inputs) > 1 else inputs[0], lengths=lengths)
        outputs = output if isinstance(output, list) else [output]
    rows = []
    for index, got in enumerate(outputs):
        name = "output" if index == 0 else f"output_{index + 1}"
        wanted = _batch_first(arrays[name], layout)
        is_same = got.shape == wanted.shape and bool(
            np.allclose(got, wanted, atol=options.atol, rtol=options.rtol)
        )
        largest = float(np.abs(got - wanted).max(initial=0)) if got.shape == wanted.shape else None
        rows.append({"name": name, "shape": list(got.shape), "largest": largest, "ok": is_same})
    good = all(row["ok"] for row in rows)
    if options.json:
        print(json.dumps({"ok": good, "outputs": rows}, indent=2))
    else:
        _print_rows(rows)
        print("\nthe same numbers" if good else "\nDIFFERENT numbers")
    return int(not good)


def _batch_first(array: np.ndarray, layout: Any) -> Any:
    if layout != "time_major":
        return array
    if array.ndim == 4:  # ONNX: (time, directions, batch, units)
        time, directions, batch, units = array.shape
        return array.transpose(2, 0, 1, 3).reshape(batch, time, directions * units)
    return array.swapaxes(0, 1)


if __name__ == "__main__":
    sys.exit(main())
