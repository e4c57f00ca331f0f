"""The workloads: what they are called, how much arithmetic they hold, what they must read.

A name says everything, in any order after its letter: `i` input size (the hidden size unless
given; 1 in a step), `h` hidden size, `t` time steps, `b` batch rows, `2layer`, `bidi`, and the
kind: `step` (one step per call), `train` (forward and backward), else a whole sequence.

    A_step_i64_h128    B_seq_i64_h128_t1000    C_b32_t100_h256_bidi    D_train_b32_t100_h96_i40
"""

from __future__ import annotations

import dataclasses
import re

GATES = 4
BYTES = 4  # float32

STANDARD = {
    "A": [
        "A_step_i1_h16",
        "A_step_i1_h32",
        "A_step_i1_h64",
        "A_step_i64_h128",
        "A_step_i256_h256",
        "A_step_i512_h512",
        "A_step_i1024_h1024",
    ],
    "B": [
        "B_seq_i64_h128_t1000",
        "B_seq_i256_h256_t500",
        "B_seq_i512_h512_t200",
        "B_seq_i1024_h1024_t100",
    ],
    "C": [
        "C_b32_t100_h128",
        "C_b32_t100_h256",
        "C_b32_t100_h512",
        "C_b32_t100_h1024",
        "C_b128_t50_h512",
        "C_b32_t100_h256_2layer",
        "C_b32_t100_h256_bidi",
    ],
    "D": [
        "D_train_b32_t100_h64",
        "D_train_b32_t100_h128",
        "D_train_b32_t100_h256",
        "D_train_b32_t100_h512",
        "D_train_b1_t1000_i2_h64",
        "D_train_b64_t50_h1024",
    ],
}
# How the cost grows with each size, the others as in C_b32_t100_h128 (plot_scaling.py).
SCALING = {
    "hidden size": [f"C_b32_t100_h{h}" for h in (16, 32, 64, 128, 256, 512, 1024)],
    "steps": [f"C_b32_t{t}_h128" for t in (1, 10, 100, 1000)],
    "batch": [f"C_b{b}_t100_h128" for b in (1, 2, 4, 8, 16, 32, 64, 128)],
    "layers": [f"C_b32_t100_h128_{n}layer" for n in (1, 2, 4, 8)],
}
STANDARD["scaling"] = list(dict.fromkeys(name for names in SCALING.values() for name in names))
# About a minute with two or three peers.
QUICK = {
    "A": ["A_step_i1_h32", "A_step_i64_h128", "A_step_i256_h256"],
    "B": ["B_seq_i64_h128_t1000", "B_seq_i256_h256_t500"],
    "C": ["C_b32_t100_h128", "C_b32_t100_h256"],
    "D": ["D_train_b32_t100_h64", "D_train_b32_t100_h128"],
}


@dataclasses.dataclass(frozen=True)
class Workload:
    name: str
    kind: str  # step, seq, train
    input_size: int
    hidden_size: int
    time_steps: int = 1
    batch: int = 1
    layers: int = 1
    bidirectional: bool = False

    @property
    def directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def output_size(self) -> int:
        return self.directions * self.hidden_size

    def layer_input_sizes(self) -> list[int]:
        return [self.input_size] + [self.output_size] * (self.layers - 1)

    def flops(self) -> float:
        """Multiplications and additions of the matrix products; a backward pass has twice as many
        as its forward pass. Activations are left out, as is usual."""
        weights = sum(n + self.hidden_size for n in self.layer_input_sizes())
        forward = 2.0 * GATES * self.hidden_size * self.directions * weights
        return forward * self.time_steps * self.batch * (3 if self.kind == "train" else 1)

    def bound_us(self, threads: int, limits: Limits, peak: float | None = None) -> float:
        """No program can need less time on a machine with these limits: the larger of the flops at
        the peak rate (`peak`, GFLOP/s, if it was measured beside the workload), and of reading in
        each time step the weights which that step needs. In a sequence these are the recurrent
        ones (the input product of all steps can be one product, whose flops are added when the
        batch is 1). Activations, latency and synchronisation are left out, so 100 % cannot be
        reached."""
        hidden, directions = self.hidden_size, self.directions
        arithmetic = self.flops() / (peak * 1e3 if peak else limits.flops_per_us(threads))
        if self.kind == "step":
            weights = sum(n + hidden for n in self.layer_input_sizes())
            return max(
                arithmetic,
                limits.read_us(BYTES * GATES * hidden * directions * weights, threads),
            )
        recurrent = BYTES * GATES * hidden * hidden * directions * self.layers
        passes = 2 if self.kind == "train" else 1
        reading = passes * self.time_steps * limits.read_us(recurrent, threads)
        if self.batch == 1:
            share = sum(self.layer_input_sizes()) / sum(
                n + hidden for n in self.layer_input_sizes()
            )
            reading += arithmetic * share
        return max(arithmetic, reading)


def parse(name: str) -> Workload:
    words = name.split("_")[1:]
    kind, numbers, layers, bidirectional = "seq", {}, 1, False
    for word in words:
        if word in ("step", "seq", "train"):
            kind = word
        elif word == "bidi":
            bidirectional = True
        elif match := re.fullmatch(r"(\d+)layers?", word):
            layers = int(match[1])
        elif match := re.fullmatch(r"([ihtb])(\d+)", word):
            numbers[match[1]] = int(match[2])
        else:
            raise ValueError(f"workload {name!r}: cannot read {word!r}")
    if "h" not in numbers or min(numbers.values()) < 1:
        raise ValueError(f"workload {name!r}: needs a hidden size such as h128, and sizes above 0")
    if kind == "step" and (bidirectional or layers > 1 or numbers.get("t", 1) > 1):
        raise ValueError(
            f"workload {name!r}: a step has one layer, one direction and one time step"
        )
    return Workload(
        name,
        kind,
        input_size=numbers.get("i", numbers["h"]),
        hidden_size=numbers["h"],
        time_steps=numbers.get("t", 1 if kind == "step" else 100),
        batch=numbers.get("b", 1),
        layers=layers,
        bidirectional=bidirectional,
    )


def select(text: str, quick: bool) -> list[Workload]:
    """`A,B,scaling` are standard lists, anything else is a name of its own."""
    table = QUICK if quick else STANDARD
    names: list[str] = []
    for word in text.split(","):
        if word.strip():
            names += table.get(word, [] if word == "E" else [word])
    return [parse(name) for name in names]


class Limits:
    """What benchmarks/native/machine_limits.c measured on this machine: the fastest of its runs,
    since other programs can only make a limit look lower than it is."""

    def __init__(self, rows: list[dict]):
        self.rates = {(row["limit"], row["threads"]): row["max"] for row in rows}
        self.sizes = sorted(
            int(name.split("_")[1]) for name, threads in self.rates if name[:5] == "read_"
        )

    def flops_per_us(self, threads: int) -> float:
        return self.rates["fma", threads] * 1e3

    def read_us(self, size: int, threads: int) -> float:
        """Reading `size` bytes once with all threads, each its share, at the rate measured for a
        buffer of the next larger size."""
        share = size / threads
        chosen = next((s for s in self.sizes if s >= 0.98 * share), self.sizes[-1])
        return size / (self.rates[f"read_{chosen}", threads] * 1e3)
