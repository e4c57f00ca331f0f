#!/usr/bin/env python3
"""Workload E: from the start of a process to the first output of a saved LSTM, and its memory.

The model is one LSTM, input 64, hidden 128; the first call runs 16 steps of one sequence. Each
engine loads it from the kind of file that its users keep. `cold_start.py make|run PEER FOLDER` is
what runs in the engine's own Python; `measure` drives it.
"""

from __future__ import annotations

import os
import pathlib
import statistics
import subprocess
import sys

INPUT, HIDDEN, STEPS = 64, 128, 16
NAME = f"E_start_i{INPUT}_h{HIDDEN}_t{STEPS}"
# What reading the file costs at least: the system's libhdf5, opened and nothing more.
FLOOR = "libhdf5"
HERE = pathlib.Path(__file__).resolve().parent


def weights():
    """PyTorch's layout: (4 H, I), (4 H, H), (4 H)."""
    import oracle
    import workloads

    ((direction,),) = oracle.make(workloads.parse(f"B_seq_i{INPUT}_h{HIDDEN}_t{STEPS}")).layers
    return direction.input_kernel, direction.recurrent_kernel, direction.bias


# ------------------------------------------------------------------------------- saving the model


def make_carousel(folder):
    import carousel

    kernel, recurrent, bias = weights()
    layer = carousel.LSTM(HIDDEN, return_sequences=True, name="lstm")
    net = carousel.Network([layer], input_size=INPUT, seed=0)
    parameters = net.parameters()
    parameters["lstm/kernel"][:] = kernel.T
    parameters["lstm/recurrent_kernel"][:] = recurrent.T
    parameters["lstm/bias"][:] = bias
    net.save(f"{folder}/carousel.h5", format="carousel")


def make_numpy(folder):
    import numpy as np

    np.savez(f"{folder}/model.npz", *weights())


def make_torch(folder):
    import torch

    module = torch.nn.LSTM(INPUT, HIDDEN)
    kernel, recurrent, bias = (torch.from_numpy(array) for array in weights())
    with torch.no_grad():
        module.weight_ih_l0.copy_(kernel)
        module.weight_hh_l0.copy_(recurrent)
        module.bias_ih_l0.copy_(bias)
        module.bias_hh_l0.zero_()
    torch.save(module.state_dict(), f"{folder}/model.pt")


def make_onnx(folder):
    import oracle
    import workloads
    from peers.onnx_model import onnx_model

    workload = workloads.parse(f"B_seq_i{INPUT}_h{HIDDEN}_t{STEPS}")
    path = pathlib.Path(folder, "model.onnx")
    path.write_bytes(onnx_model(workload, oracle.make(workload)))


def make_keras(folder):
    import keras

    kernel, recurrent, bias = weights()
    inputs = keras.Input((STEPS, INPUT))
    model = keras.Sequential([inputs, keras.layers.LSTM(HIDDEN, return_sequences=True)])
    model.set_weights([kernel.T, recurrent.T, bias])
    model.save(f"{folder}/model.keras")


# ------------------------------------------------- what is timed: load, run once, give one number


def run_carousel(folder):
    import carousel
    import numpy as np

    net = carousel.load(f"{folder}/carousel.h5")
    return net(np.zeros((1, STEPS, INPUT), np.float32))[0, -1, 0]


def run_numpy(folder):
    import numpy as np

    arrays = np.load(f"{folder}/model.npz")
    kernel, recurrent, bias = (arrays[f"arr_{k}"] for k in range(3))
    h = c = np.zeros(HIDDEN, np.float32)
    for x in np.zeros((STEPS, INPUT), np.float32):
        i, f, g, o = np.split(kernel @ x + recurrent @ h + bias, 4)
        c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        h = np.tanh(c) / (1 + np.exp(-o))
    return h[0]


def run_torch(folder):
    import torch

    with torch.inference_mode():
        module = torch.nn.LSTM(INPUT, HIDDEN)
        module.load_state_dict(torch.load(f"{folder}/model.pt"))
        return module(torch.zeros(STEPS, 1, INPUT))[0][-1, 0, 0]


def run_onnxruntime(folder):
    import numpy as np
    import onnxruntime

    session = onnxruntime.InferenceSession(
        f"{folder}/model.onnx", providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": np.zeros((STEPS, 1, INPUT), np.float32)})[0][-1, 0, 0]


def run_openvino(folder):
    import numpy as np
    import openvino

    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    model = openvino.Core().compile_model(f"{folder}/model.onnx", "CPU", settings)
    return model([np.zeros((STEPS, 1, INPUT), np.float32)])[0][-1, 0, 0]


def run_jax(folder):
    import jax
    import jax.numpy as jnp
    import numpy as np
    from peers.jax_scan import forward

    arrays = np.load(f"{folder}/model.npz")
    kernel, recurrent, bias = (arrays[f"arr_{k}"] for k in range(3))
    x = jnp.zeros((STEPS, 1, INPUT))
    return jax.jit(forward)([[(kernel.T, recurrent.T, bias)]], x)[-1, 0, 0]


def run_tensorflow(folder):
    import keras
    import numpy as np

    model = keras.models.load_model(f"{folder}/model.keras")
    return np.asarray(model(np.zeros((1, STEPS, INPUT), np.float32)))[0, -1, 0]


MAKE = {
    "carousel_python": make_carousel,
    "numpy": make_numpy,
    "torch": make_torch,
    "onnxruntime": make_onnx,
    "openvino": make_onnx,
    "jax": make_numpy,
    "tensorflow": make_keras,
}
RUN = {
    "carousel_python": run_carousel,
    "numpy": run_numpy,
    "torch": run_torch,
    "onnxruntime": run_onnxruntime,
    "openvino": run_openvino,
    "jax": run_jax,
    "tensorflow": run_tensorflow,
}

# ------------------------------------------------------------------------------------- the driver


def timed(launcher, command, environment) -> tuple[float, float, str]:
    """Milliseconds from start to end of a process, its peak memory in MiB, and what it printed."""
    done = subprocess.run(
        [launcher, *command], check=True, stdout=subprocess.PIPE, text=True, env=environment
    )
    printed, figures = done.stdout.strip().rsplit("\n", 1)
    took, peak = figures.split()
    return float(took), int(peak) / 1024, printed


def size_mib(path: pathlib.Path) -> float:
    files = [path] if path.is_file() else (p for p in path.rglob("*") if not p.is_symlink())
    return sum(p.stat().st_size for p in files if p.is_file()) / 2**20


def installed_mib(peer: str, python: str, root: pathlib.Path) -> float | None:
    """What an installation weighs: the packages of the engine's environment without pip; ours
    without NumPy, which is the Python package's only need."""
    library = pathlib.Path(os.environ.get("CAROUSEL_LIBRARY", root / "build/libcarousel.so"))
    if peer == "carousel":
        return size_mib(library)
    if peer == "carousel_python":
        return size_mib(library) + size_mib(root / "bindings/python/carousel")
    if peer in ("numpy", FLOOR):
        return None
    (packages,) = pathlib.Path(python).parents[1].glob("lib/python3*/site-packages")
    ignored = ("pip", "setuptools", "onnx-", "onnx")
    return sum(
        size_mib(entry)
        for entry in packages.iterdir()
        if entry.name.split("-")[0] not in ignored and entry.name != "_distutils_hack"
    )


def measure(peers: list[str], runs: int) -> list[dict]:
    """One row per engine that can load a saved model, in turns, warm caches, median of `runs`."""
    import tempfile

    from run import NATIVE, OUT, python_of

    rows: list[dict] = []
    environment = dict(os.environ, PYTHONPATH=f"{HERE}:{os.environ.get('PYTHONPATH', '')}")
    with tempfile.TemporaryDirectory(prefix="carousel-bench-") as folder:
        commands: dict[str, list[str]] = {}
        for peer in [*peers, "numpy"]:
            if peer not in RUN:
                continue
            ours = peer in ("carousel_python", "numpy")
            python = sys.executable if ours else str(python_of(peer))
            script = [python, str(HERE / "cold_start.py")]
            try:
                subprocess.run([*script, "make", peer, folder], check=True, env=environment)
            except (OSError, subprocess.CalledProcessError) as error:
                print(f"left out of the cold start: {peer}: {error}", file=sys.stderr)
                continue
            commands[peer] = [*script, "run", peer, folder]
        saved = pathlib.Path(folder, "carousel.h5")
        if "carousel" in NATIVE and "carousel" in peers:
            if not saved.exists():
                subprocess.run(
                    [sys.executable, HERE / "cold_start.py", "make", "carousel_python", folder],
                    check=True,
                    env=environment,
                )
            commands = {
                "carousel": [str(OUT / "cold_start"), str(saved)],
                FLOOR: [str(OUT / "libhdf5_alone")],
                **commands,
            }
        figures = {peer: [] for peer in commands}
        answers = {}
        for turn in range(runs + 1):
            for peer, command in commands.items():
                took, memory, answers[peer] = timed(OUT / "timed", command, environment)
                if turn > 0:  # the first run only fills the caches
                    figures[peer].append((took, memory))
        expected = float(answers["numpy"])
        for peer, values in figures.items():
            row = {
                "workload": NAME,
                "peer": peer,
                "wall_ms": round(statistics.median(took for took, _ in values), 2),
                "peak_mib": round(statistics.median(memory for _, memory in values), 1),
                "installed_mib": installed_mib(peer, commands[peer][0], HERE.parent),
            }
            if peer != FLOOR and abs(float(answers[peer]) - expected) > 1e-5:
                row["error"] = f"wrong number: {answers[peer].strip()} instead of {expected}"
            rows.append(row)
    return rows


if __name__ == "__main__":
    action, chosen, place = sys.argv[1:]
    if action == "make":
        MAKE[chosen](place)
    else:
        print(f"{float(RUN[chosen](place)):.7f}")
