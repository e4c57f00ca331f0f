"""Tables of what run.py measured.

report.py [--least] FILE...     prints them again from files that scripts/bench --json wrote
    --least: the least times, not the medians; for a machine whose neighbours are loud
"""

from __future__ import annotations

import json
import math
import sys

import workloads

# Our own rows, fastest way in first; and what has a table of its own, being no float32 peer.
OURS = ("carousel", "carousel_python")
REDUCED = ("openvino_bf16", "carousel_bf16", "carousel_int8")


def time(us: float) -> str:
    if us < 1:
        return f"{us:.3f}"
    return f"{us:.2f}" if us < 100 else f"{us:,.0f}"


def progress(workload, threads: int, rows: list[dict]) -> str:
    parts = [
        f"{row['peer']} {time(row['median_us'])}" if "median_us" in row else f"{row['peer']} failed"
        for row in rows
    ]
    return f"{workload.name} x{threads}: {', '.join(parts) or 'no peer does this'} us"


def mean(ratios: list[float]) -> float:
    """The geometric mean."""
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def table(header: list[str], lines: list[list[str]]) -> str:
    """A Markdown table, padded so that it can be read as it is."""
    widths = [max(len(line[k]) for line in [header, *lines]) for k in range(len(header))]

    def join(line):
        cells = [
            line[k].ljust(widths[k]) if k == 0 else line[k].rjust(widths[k])
            for k in range(len(line))
        ]
        return "| " + " | ".join(cells) + " |"

    rule = "|" + "|".join("-" * (w + 1) + ("-" if k == 0 else ":") for k, w in enumerate(widths))
    return "\n".join([join(header), rule + "|", *map(join, lines)])


def reduced_precision(selected, times: dict, threads: list[int], field: str) -> list[str]:
    """OpenVINO's bfloat16 beside our reduced precisions: times, ratios and errors."""
    names = [peer for peer in REDUCED if any(peer == key[1] for key in times)]
    lines, ratios = [], {}
    for count in threads:
        for workload in selected:
            have = {p: times.get((workload.name, p, count)) for p in names}
            if not any(have.values()):
                continue
            line = [workload.name, str(count)]
            for peer in names:
                row, other = have[peer], have.get("openvino_bf16")
                line.append(time(row[field]) if row else "")
                line.append(f"{row['max_error']:.1e}" if row else "")
                if peer != "openvino_bf16" and "openvino_bf16" in names:
                    ratio = other[field] / row[field] if row and other else None
                    line.append(f"{ratio:.2f}" if ratio else "")
                    if ratio:
                        ratios.setdefault(peer, []).append(ratio)
            lines.append(line)
    if not lines:
        return []
    header = ["workload", "threads"]
    for peer in names:
        compared = peer != "openvino_bf16" and "openvino_bf16" in names
        header += [peer, "error"] + (["ratio"] if compared else [])
    means = ", ".join(f"{peer} {mean(found):.2f}" for peer, found in ratios.items())
    return [
        "\n## Reduced precision: microseconds per call, errors relative to the largest value\n",
        table(header, lines),
        *([f"\nGeometric means of the ratios to OpenVINO's bfloat16: {means}."] if means else []),
    ]


def exchange(rows: list[dict]) -> list[str]:
    """How near to each other the processors were; what threads hand over takes as long."""
    found = [row["exchange_ns"] for row in rows if "exchange_ns" in row]
    if not found:
        return []
    return [
        f"\nA cache line went from one processor to another and back in {min(found):.0f} to "
        f"{max(found):.0f} ns (`exchange_ns` of a row)."
    ]


def tables(selected, rows: list[dict], limits, threads: list[int], least: bool = False) -> str:
    """Ratios of medians, or of the least times, which other programs disturb least."""
    field, name = ("min_us", "least") if least else ("median_us", "median")
    times = {
        (row["workload"], row["peer"], row["threads"]): row for row in rows if "median_us" in row
    }
    peers = list(dict.fromkeys(row["peer"] for row in rows if "median_us" in row))
    peers = [peer for peer in peers if peer not in REDUCED]
    versions = {row["peer"]: row["version"] for row in rows if "version" in row}
    text, ratios, gains, noisy = [], [], [], 0
    for count in threads:
        lines = []
        for workload in selected:
            have = {
                p: times[workload.name, p, count]
                for p in peers
                if (workload.name, p, count) in times
            }
            if not have:
                continue
            peak = next(iter(have.values())).get("peak_gflops")
            bound = workload.bound_us(count, limits, peak)
            others = {p: r for p, r in have.items() if p not in OURS}
            best = min(others, key=lambda p: others[p][field], default=None)
            ours = have.get("carousel") or have.get("carousel_python")
            line = [workload.name]
            for peer in peers:
                row = have.get(peer)
                cell = "" if row is None else time(row[field]) + ("" if row["quiet"] else "~")
                line.append(f"**{cell}**" if peer == best else cell)
            line.append(time(bound))
            line.append(f"{100 * bound / ours['median_us']:.0f} %" if ours else "")
            line.append(f"{100 * bound / others[best]['median_us']:.0f} %" if best else "")
            if ours and best:
                ratio = others[best][field] / ours[field]
                ratios.append(ratio)
                noisy += not (ours["quiet"] and others[best]["quiet"])
                line.append(f"{ratio:.2f}")
            else:
                line.append("")
            lines.append(line)
        if lines:
            plural = "s" if count > 1 else ""
            text += [f"\n## {count} thread{plural}: microseconds per call ({name})\n"]
            text += [
                table(
                    ["workload", *peers, "bound", "ours of bound", "best peer of bound", "ratio"],
                    lines,
                )
            ]
            text += exchange([r for r in rows if r.get("threads") == count])
    if ratios:
        text += [
            f"\nRatio: the best float32 peer's time over ours; geometric mean {mean(ratios):.2f}, "
            f"worst {min(ratios):.2f}, over {len(ratios)} rows"
            + (f", {noisy} of them noisy." if noisy else ".")
        ]
    if len(threads) > 1:
        first, second = threads[:2]
        for workload in selected:
            pair = [times.get((workload.name, "carousel", n)) for n in (first, second)]
            if all(pair):
                gain = pair[0][field] / pair[1][field]
                gains.append([workload.name, f"{gain:.2f}"])
    if gains:
        text += [f"\n## What {second} threads gain over {first} in Carousel\n"]
        text += [table(["workload", "times as fast"], gains)]
    text += reduced_precision(selected, times, threads, field)
    cold = [row for row in rows if row.get("workload", "").startswith("E_")]
    if cold:
        text += ["\n## Cold start: from process start to the first output of a saved LSTM(128)\n"]
        text += [
            table(
                ["peer", "wall ms", "peak MiB", "installed MiB"],
                [
                    [
                        row["peer"],
                        f"{row['wall_ms']:.1f}",
                        f"{row['peak_mib']:.0f}",
                        f"{row['installed_mib']:.0f}" if row.get("installed_mib") else "",
                    ]
                    for row in cold
                ],
            )
        ]
    errors = [row for row in rows if "error" in row]
    text += [f"\nfailed: {r['workload']} {r['peer']} x{r['threads']}: {r['error']}" for r in errors]
    if versions:
        text += ["\n" + "\n".join(f"- {peer}: {version}" for peer, version in versions.items())]
    text += [
        "- bold: the fastest peer; ~: other programs were running; bound: what this machine's "
        "multiply-add rate and\n  memory allow at best (benchmarks/workloads.py)"
    ]
    return "\n".join(text)


def main() -> None:
    arguments = sys.argv[1:]
    least = "--least" in arguments
    records = []
    for path in arguments:
        if path == "--least":
            continue
        with open(path) as file:
            records += [json.loads(line) for line in file]
    limits = workloads.Limits([r for r in records if "limit" in r])
    rows = [r for r in records if "limit" not in r]
    names = dict.fromkeys(r["workload"] for r in rows if not r["workload"].startswith("E_"))
    threads = sorted({r["threads"] for r in rows if "threads" in r})
    print(tables([workloads.parse(name) for name in names], rows, limits, threads, least))


if __name__ == "__main__":
    main()
