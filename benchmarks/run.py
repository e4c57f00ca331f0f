#!/usr/bin/env python3
"""Times Carousel beside other LSTM engines and prints how they compare.

scripts/bench installs the engines and calls this. Every engine runs in a process of its own, pinned
to one processor (or to as many as it has threads), and is first checked against a float64 answer.
Then short bursts of all engines take turns, several rounds of them, so that a drift of the machine
falls on everybody. Bursts during which other programs used the processors are dropped where quiet
ones are left.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import numpy as np
import oracle
import report
import workloads

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
OUT = ROOT / "out" / "bench"

# Peers in C and C++ and where scripts/bench builds them; all others run in
# .venv-bench-<name up to the first underscore>.
NATIVE = {
    "carousel": [OUT / "carousel_lstm"],
    "carousel_bf16": [OUT / "carousel_lstm", "bfloat16"],
    "carousel_int8": [OUT / "carousel_lstm", "int8"],
    "onednn": [OUT / "onednn_lstm"],
    "onednn3": [OUT / "onednn3_lstm"],
}
# Relative to the largest value of each array; bfloat16 keeps 8 bits, and OpenVINO's rounds more
# than weights to it.
TOLERANCE = {"openvino_bf16": 5e-2, "carousel_bf16": 1e-2, "carousel_int8": 2e-2}
FLOAT32_TOLERANCE = 1e-4
# A burst is quiet when others took less than this share of its processors.
QUIET = 0.05


def python_of(peer: str) -> pathlib.Path:
    return ROOT / f".venv-bench-{peer.split('_')[0]}" / "bin" / "python"


class Worker:
    """A peer's process."""

    def __init__(self, peer: str, threads: int):
        self.peer, self.threads = peer, threads
        allowed = sorted(os.sched_getaffinity(0))
        self.processors = allowed[-1:] if threads == 1 else allowed[:threads]
        if peer in NATIVE:
            program, *rest = map(str, NATIVE[peer])
            command = [program, str(threads), *rest]
        elif peer == "carousel_python":
            command = [sys.executable, str(HERE / "worker.py"), peer, str(threads)]
        else:
            command = [str(python_of(peer)), str(HERE / "worker.py"), peer, str(threads)]
        path = f"{HERE}:{os.environ.get('PYTHONPATH', '')}"
        environment = dict(os.environ, CUDA_VISIBLE_DEVICES="", PYTHONPATH=path)
        for name in ("OMP", "MKL", "OPENBLAS"):
            environment[f"{name}_NUM_THREADS"] = str(threads)
        self.log = open(OUT / f"{peer}.log", "w")  # noqa: SIM115 (closed with the worker)
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env=environment,
            preexec_fn=lambda: os.sched_setaffinity(0, self.processors),
        )
        self.version = self.answer().get("version")
        if self.version is None:
            self.close()
            raise RuntimeError(f"{peer} did not start; see {self.log.name}")

    def answer(self) -> dict:
        line = self.process.stdout.readline()
        return json.loads(line) if line else {"error": f"{self.peer} died; see {self.log.name}"}

    def ask(self, *words) -> dict:
        try:
            self.process.stdin.write(" ".join(map(str, words)) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return {"error": f"{self.peer} died; see {self.log.name}"}
        return self.answer()

    def open(self, workload: workloads.Workload, data: pathlib.Path) -> dict:
        return self.ask(
            "open",
            workload.name,
            workload.kind,
            workload.input_size,
            workload.hidden_size,
            workload.time_steps,
            workload.batch,
            workload.layers,
            workload.directions,
            data,
        )

    def burst(self, seconds: float, count: int) -> tuple[list[float], float]:
        """Samples in microseconds, and the share of the processors that others used."""
        before, own_before = processor_ticks(self.processors), self.own_ticks()
        answer = self.ask("run", seconds, count)
        after, own_after = processor_ticks(self.processors), self.own_ticks()
        if "us" not in answer:
            raise RuntimeError(answer.get("error", "no samples"))
        total = max(1, after[1] - before[1])
        others = (after[0] - before[0]) - (own_after - own_before)
        return answer["us"], max(0, others) / total

    def own_ticks(self) -> int:
        try:
            fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text()
        except OSError:
            return 0
        user, system = fields.rsplit(")", 1)[1].split()[11:13]
        return int(user) + int(system)

    def close(self) -> None:
        try:
            self.process.stdin.close()
            self.process.wait(10)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        self.log.close()


def processor_ticks(processors: list[int]) -> tuple[int, int]:
    """Busy (or stolen by the host) and total clock ticks of these processors since boot."""
    busy = total = 0
    for line in pathlib.Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in processors:
            ticks = [int(field) for field in fields[:8]]
            total += sum(ticks)
            busy += sum(ticks) - ticks[3] - ticks[4]  # idle, waiting for a disk
    return busy, total


def run_workload(workload, workers, options, folder) -> list[dict]:
    """One row per peer: its times, or why it has none."""
    data = oracle.make(workload)
    data_file, output_file = folder / "data", folder / "outputs"
    data.write(data_file)
    expected = oracle.reference(workload, data)
    rows, ready = [], []
    for worker in workers:
        row = {"workload": workload.name, "peer": worker.peer, "threads": worker.threads}
        answer = worker.open(workload, data_file)
        if "opened" in answer:
            answer = worker.ask("check", output_file)
        if "skip" in answer:
            continue
        rows.append(row | {"version": worker.version})
        row = rows[-1]
        if "error" in answer:
            row["error"] = answer["error"]
            continue
        row["max_error"] = oracle.error(workload, expected, output_file)
        if not row["max_error"] <= TOLERANCE.get(worker.peer, FLOAT32_TOLERANCE):
            row["error"] = f"wrong numbers: relative error {row['max_error']:.1e}"
            continue
        ready.append((worker, row, []))

    if not ready:
        return rows
    peaks, exchanges = [], []
    for _ in range(options.rounds):
        # The clock drifts by some per cent, and a virtual machine's processors may come to lie
        # far from each other: what the machine can do is measured in each round, too.
        threads = ready[0][0].threads
        peaks.append(peak(threads))
        if threads > 1:
            exchanges.append(exchange())
        for worker, row, bursts in ready:
            if "error" in row:
                continue
            try:
                bursts.append(worker.burst(options.seconds, options.samples))
            except RuntimeError as error:
                row["error"] = str(error)
    for _, row, bursts in ready:
        quiet = [samples for samples, others in bursts if others < QUIET]
        chosen = quiet or [samples for samples, _ in bursts]
        times = sorted(time for samples in chosen for time in samples)
        if not times or "error" in row:
            continue
        median = statistics.median(times)
        low, high = times[len(times) // 10], times[len(times) * 9 // 10]
        row.update(
            median_us=round(median, 4),
            spread=round((high - low) / median, 4),
            min_us=round(times[0], 4),
            samples=len(times),
            quiet=bool(quiet),
            gflops=round(workload.flops() / median / 1e3, 2),
            peak_gflops=statistics.median(peaks),
        )
        if exchanges:
            row["exchange_ns"] = statistics.median(exchanges)
    return rows


def measure_limits(program: str, *arguments) -> list[dict]:
    text = subprocess.run(
        [OUT / program, *map(str, arguments)], check=True, capture_output=True, text=True
    ).stdout
    return [json.loads(line) for line in text.splitlines()]


def peak(threads: int) -> float:
    """Multiply-adds of the present minute, GFLOP/s."""
    return measure_limits("machine_limits", "fma", 3, threads)[0]["max"]


def exchange() -> float:
    """Nanoseconds in which a cache line goes from one processor to another and back, now."""
    return measure_limits("exchange")[0]["median"]


def parse_arguments(arguments=None):
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description=__doc__.split("\n\n")[0],
        epilog="How workloads are named, for any sizes: see the top of benchmarks/workloads.py.",
    )
    parser.add_argument("--quick", action="store_true", help="a subset, in about a minute")
    parser.add_argument(
        "--workloads",
        default="A,B,C,D,E",
        metavar="LIST",
        help="letters for the standard lists (E: cold start and size), scaling, or names such as "
        "A_step_i3_h24,C_b17_t50_h96 (default: A,B,C,D,E)",
    )
    parser.add_argument("--threads", default="1,2", metavar="LIST", help="default: 1,2")
    parser.add_argument("--peers", default="", metavar="LIST", help="default: all; --quick: three")
    parser.add_argument("--json", metavar="FILE", help="also write one JSON object per line")
    parser.add_argument("--rounds", type=int, help="bursts of each peer (default: 5; quick: 3)")
    parser.add_argument("--seconds", type=float, default=0.25, help="length of a burst")
    parser.add_argument("--samples", type=int, default=200, help="most samples in a burst")
    parser.add_argument("--list", action="store_true", help="list the workloads and end")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (3 if options.quick else 5)
    options.threads = [int(word) for word in options.threads.split(",")]
    default = ALL_PEERS if not options.quick else QUICK_PEERS
    options.peers = [word for word in options.peers.split(",") if word] or default
    unknown = [peer for peer in options.peers if peer not in ALL_PEERS + EXTRA_PEERS]
    if unknown:
        parser.error(f"unknown peers {unknown}; there are {ALL_PEERS + EXTRA_PEERS}")
    most = len(os.sched_getaffinity(0))
    if not all(1 <= count <= most for count in options.threads):
        parser.error(f"--threads {options.threads}: this process may use {most} processors")
    options.cold_start = "E" in options.workloads.split(",")
    try:
        options.selected = workloads.select(options.workloads, options.quick)
    except ValueError as error:
        parser.error(str(error))
    return options


QUICK_PEERS = ["carousel", "torch", "torch_cell", "onnxruntime", "onednn", "onednn3"]
ALL_PEERS = [
    *(*QUICK_PEERS, "carousel_python", "openvino", "jax", "tensorflow"),
    *("openvino_bf16", "carousel_bf16", "carousel_int8"),
]
EXTRA_PEERS: list[str] = []


def main() -> int:
    options = parse_arguments()
    if options.list:
        for workload in options.selected:
            print(f"{workload.name:28} {workload.flops() / 1e6:12.3f} MFLOP")
        return 0
    OUT.mkdir(parents=True, exist_ok=True)
    limits_rows = measure_limits("machine_limits", 5 if options.quick else 15, *options.threads)
    rows: list[dict] = []
    with tempfile.TemporaryDirectory(prefix="carousel-bench-") as folder:
        for threads in options.threads:
            workers = []
            for peer in options.peers:
                try:
                    workers.append(Worker(peer, threads))
                except (RuntimeError, OSError) as error:
                    print(f"left out: {peer}: {error}", file=sys.stderr)
            for workload in options.selected:
                done = run_workload(workload, workers, options, pathlib.Path(folder))
                rows += done
                print(report.progress(workload, threads, done), flush=True)
            for worker in workers:
                worker.close()
    if options.cold_start:
        import cold_start

        rows += cold_start.measure(options.peers, runs=3 if options.quick else 7)
    if options.json:
        with open(options.json, "w") as file:
            file.writelines(json.dumps(row) + "\n" for row in limits_rows + rows)
    print(report.tables(options.selected, rows, workloads.Limits(limits_rows), options.threads))
    wrong = [row for row in rows if row.get("peer", "").startswith("carousel") and "error" in row]
    for row in wrong:
        print(f"FAILED: {row['workload']} {row['peer']}: {row['error']}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    np.seterr(over="ignore")
    sys.exit(main())
