"""Draws how the speed grows with hidden size, steps, batch and layers.

scripts/bench --workloads scaling --json out/scaling.json
python benchmarks/plot_scaling.py out/scaling.json docs/images/scaling.svg
"""

from __future__ import annotations

import json
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import workloads

ATTRIBUTES = {
    "hidden size": "hidden_size",
    "steps": "time_steps",
    "batch": "batch",
    "layers": "layers",
}
STYLES = {1: "-", 2: "--"}


def main(source: str, target: str) -> None:
    with open(source) as file:
        records = [json.loads(line) for line in file]
    limits = workloads.Limits([r for r in records if "limit" in r])
    rows = [r for r in records if "gflops" in r]
    peers = list(dict.fromkeys(row["peer"] for row in rows))
    threads = sorted({row["threads"] for row in rows})
    plt.rcParams["svg.hashsalt"] = "carousel"
    figure, axes = plt.subplots(2, 2, figsize=(9, 6.5), sharey=True)
    for axis, (title, names) in zip(axes.flat, workloads.SCALING.items()):
        for index, peer in enumerate(peers):
            for count in threads:
                points = sorted(
                    (getattr(workloads.parse(row["workload"]), ATTRIBUTES[title]), row["gflops"])
                    for row in rows
                    if row["peer"] == peer and row["threads"] == count and row["workload"] in names
                )
                if points:
                    label = f"{peer}, {count} thread" + ("s" if count > 1 else "")
                    axis.plot(
                        *zip(*points), STYLES[count], color=f"C{index}", marker=".", label=label
                    )
        for count in threads:
            axis.axhline(
                limits.flops_per_us(count) / 1e3, color="0.6", linewidth=0.8, linestyle=":"
            )
        axis.set_xscale("log", base=10 if title == "steps" else 2)
        ticks = sorted({getattr(workloads.parse(name), ATTRIBUTES[title]) for name in names})
        axis.set_xticks(ticks, [str(tick) for tick in ticks])
        axis.minorticks_off()
        axis.set_xlabel(title)
        axis.set_ylim(0)
        axis.grid(alpha=0.3)
    for axis in axes[:, 0]:
        axis.set_ylabel("GFLOP/s")
    axes[0, 0].legend(fontsize="small")
    figure.suptitle(
        "Batched inference; 32 sequences of 100 steps, 128 units, unless the axis says otherwise.\n"
        "Dotted: multiply-adds that the machine can do.",
        fontsize="medium",
    )
    figure.tight_layout()
    figure.savefig(target, metadata={"Date": None} if target.endswith(".svg") else None)


if __name__ == "__main__":
    main(*sys.argv[1:])
