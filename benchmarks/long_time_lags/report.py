"""Writes the tables of docs/long-time-lags.md and docs/how-the-lstm-came-to-be.md from the results
in JSON: what lies between two marks of a page; everything else stays as it is. `--check` changes
nothing and tells whether the pages are up to date."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

from .contenders import CONTENDERS
from .rows import ROWS, Row, most_sequences

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs"
MODES = ("faithful", "modern")


def load(folder: Path) -> dict[tuple[str, str, str], dict[str, Any]]:
    """All results by mode, row and contender."""
    found = {}
    for path in sorted(folder.glob("*/*.json")):
        content = json.loads(path.read_text())
        found[content["mode"], content["row"], content["contender"]] = content
    return found


def cell(content: dict[str, Any] | None) -> str:
    """A contender's result in a few characters: `8/10, 31,000`, or `0/3 (100,000; 50 % wrong)`:
    none of three within 100,000 sequences, and half of new sequences wrong after them."""
    if content is None:
        return "not run"
    runs = content["runs"]
    good = [run["sequences"] for run in runs if run["success"]]
    text = f"{len(good)}/{len(runs)}"
    if good:
        return f"**{text}**, {statistics.median(good):,.0f}"
    text += f" ({max(run['presented'] for run in runs):,}"
    if all("wrong" in run for run in runs):
        rate = statistics.median(run["wrong"] / run["tests"] for run in runs)
        text += f"; {100 * rate:.3g} % wrong"
    elif all("best_error_free_length" in run for run in runs):
        longest = statistics.median(run["best_error_free_length"] for run in runs)
        text += f"; {longest:,.0f} symbols without error"
    return text + ")"


def seconds(contents: list[dict[str, Any]]) -> str:
    runs = [run for content in contents for run in content["runs"]]
    return f"{statistics.median(run['processor_seconds'] for run in runs):,.0f} s" if runs else ""


def table(mode: str, results: dict[tuple[str, str, str], dict[str, Any]]) -> list[str]:
    """One row for each task, one column for each contender."""
    names = list(CONTENDERS)
    lines = [
        "| task | " + " | ".join(CONTENDERS[name].label for name in names) + " | published |",
        "|---|" + "---|" * (len(names) + 1),
    ]
    for row in ROWS.values():
        cells = []
        for name in names:
            content = results.get((mode, row.key, name))
            is_meant = mode == "modern" or name in row.faithful_contenders
            cells.append(cell(content) if content or is_meant else "")
        published = row.published if mode == "faithful" else ""
        lines.append(f"| {row.title} | " + " | ".join(cells) + f" | {published} |")
    if mode == "modern":
        lines = [line.rsplit(" |", 2)[0] + " |" for line in lines]
        lines[1] = "|---|" + "---|" * len(names)
    return lines


def headline_table(results: dict[tuple[str, str, str], dict[str, Any]]) -> list[str]:
    """The paper's own cell beside the paper's own number, with time and errors on new sequences."""
    lines = [
        "| task | cell | met | median sequences | published | wrong of 2,560 new ones "
        "| processor time a run |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in ROWS.values():
        content = results.get(("faithful", row.key, row.headline))
        if content is None:
            continue
        lines.append(_headline(row, content))
    return lines


def _headline(row: Row, content: dict[str, Any]) -> str:
    runs = content["runs"]
    good = [run for run in runs if run["success"]]
    median = f"{statistics.median(run['sequences'] for run in good):,.0f}" if good else "-"
    if good and "first_correct" in good[0] and good[0]["first_correct"] < good[0]["sequences"]:
        first = statistics.median(run["first_correct"] for run in good)
        median = f"ST1 {first:,.0f}, ST2 {median}"
    wrong = [run["wrong"] for run in good or runs if "wrong" in run]
    errors = f"{statistics.median(wrong):,.0f}" if wrong else "-"
    return (
        f"| {row.title} | {CONTENDERS[row.headline].label} | {len(good)} of {len(runs)} | {median} "
        f"| {row.published} | {errors} | {seconds([content])} |"
    )


def other_settings_table(results: dict[tuple[str, str, str], dict[str, Any]]) -> list[str]:
    """The paper's own cell at learning rates and initial biases that are not the paper's."""
    lines = ["| task | cell | the row's rate | otherwise | met, after |", "|---|---|---|---|---|"]
    for row in ROWS.values():
        for (kind, key, contender), content in results.items():
            if (kind, key) != ("settings", row.key):
                continue
            name, settings = contender.split(".", 1)
            rate, _, biases = f".{settings}".partition(".b")
            told = [f"rate {rate[1:]}"] if rate else []
            if biases:
                told.append("input gates' biases " + biases.replace(",", ", "))
            own = cell(results.get(("faithful", key, name)))
            lines.append(
                f"| {row.title} | {CONTENDERS[name].label} | {row.faithful.rate:g}: {own} "
                f"| {'; '.join(told)} | {cell(content)} |"
            )
    return lines


#: For each part of the story: the contender before it, and rows that show what it is good for.
STORY = {
    "cec": ("rnn", ("2c_q100", "3a", "temporal_order_6a")),
    "input_gate": ("cec", ("3a", "temporal_order_6a", "conflict")),
    "output_gate": ("input_gate", ("conflict", "2c_q100", "temporal_order_6a")),
    "forget_gate": (
        "output_gate",
        ("cerg", "msd", "adding_T1000", "2c_q100", "temporal_order_6a", "erg"),
    ),
    "peepholes": ("forget_gate", ("msd", "gts", "pfg")),
}


def story_table(part: str, results: dict[tuple[str, str, str], dict[str, Any]]) -> list[str]:
    """A part of the cell beside the contender without it."""
    before, keys = STORY[part]
    lines = [
        f"| task | mode | {CONTENDERS[before].label} | {CONTENDERS[part].label} |",
        "|---|---|---|---|",
    ]
    for key in keys:
        for mode in MODES:
            pair = [results.get((mode, key, name)) for name in (before, part)]
            if pair[1] is not None:
                cells = " | ".join(cell(one) for one in pair)
                lines.append(f"| {ROWS[key].title} | {mode} | {cells} |")
    return lines


def settings_table() -> list[str]:
    lines = [
        "| task | blocks x cells | rate | initial weights | input gates' biases | forget gates' | "
        "output gates' | stop criterion | most sequences (faithful, modern) |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in ROWS.values():
        recipe = row.faithful
        biases = " | ".join(
            ", ".join(f"{value:g}" for value in values) or "0"
            for values in (recipe.input_bias, recipe.forget_bias, recipe.output_bias)
        )
        lines.append(
            f"| {row.title} | {row.shape.blocks} x {row.shape.cells} | {recipe.rate:g} | "
            f"±{recipe.init:g} | {biases} | {row.criterion_text} | "
            f"{row.faithful_limit:,}, {row.modern_limit:,} |"
        )
    return lines


def machines(results: dict[tuple[str, str, str], dict[str, Any]]) -> list[str]:
    told = sorted(
        {
            f"{one['processor']} ({one['instruction_set']}), Carousel {one['version']}, "
            f"{one['date']}"
            for one in results.values()
        }
    )
    hours = sum(run["processor_seconds"] for one in results.values() for run in one["runs"]) / 3600
    count = sum(len(one["runs"]) for one in results.values())
    return [f"{count} runs, {hours:.1f} hours of one core in all: " + "; ".join(told) + "."]


def cost(path: Path) -> list[str]:
    """Of one row: seconds of one core for a thousand sequences; and of the whole benchmark."""
    if not path.exists():
        return ["Not measured."]
    content = json.loads(path.read_text())
    lines = ["| task | faithful: s per 1,000 sequences | modern |", "|---|---|---|"]
    by = {(one["row"], one["mode"]): one["seconds"] for one in content["rows"]}
    for key, row in ROWS.items():
        lines.append(f"| {row.title} | {by[key, 'faithful']:.2f} | {by[key, 'modern']:.2f} |")
    hours = sum(
        by[key, mode] * most_sequences(row, mode, content["seeds"]) / 1000 / 3600
        for key, row in ROWS.items()
        for mode in MODES
    )
    lines.append("")
    lines.append(
        f"All rows, contenders and {content['seeds']} seeds: at most {hours:.0f} hours "
        f"of one core, {hours / 2:.0f} on two, if every run went on to its limit "
        f"({content['processor']}, {content['date']})."
    )
    return lines


def guessing(results: dict[tuple[str, str, str], dict[str, Any]]) -> list[str]:
    content = results.get(("guessing", "3a", "rnn"))
    if content is None:
        return ["Random weight guessing: not run."]
    runs = content["runs"]
    good = [run for run in runs if run["success"]]
    guesses = f"{statistics.median(run['sequences'] for run in good):,.0f}" if good else "-"
    wrong = f"{statistics.median(run['wrong'] for run in good):,.0f}" if good else "-"
    return [
        f"Random weight guessing solves 3a in {len(good)} of {len(runs)} runs of at most "
        f"{max(run['limit'] for run in runs):,} guesses, after a median of {guesses} guesses and "
        f"{seconds([content])}, with a median of {wrong} of 2,560 new sequences wrong."
    ]


def pages(folder: Path) -> dict[str, dict[str, list[str]]]:
    """By page: what stands between its marks, from the results in a folder."""
    results = load(folder)
    return {
        "long-time-lags.md": {
            "headline": headline_table(results),
            "faithful": table("faithful", results),
            "modern": table("modern", results),
            "settings_else": other_settings_table(results),
            "guessing": guessing(results),
            "settings": settings_table(),
            "cost": cost(folder / "cost.json"),
            "machine": machines(results),
        },
        "how-the-lstm-came-to-be.md": {part: story_table(part, results) for part in STORY},
    }


def filled(page: str, contents: dict[str, list[str]]) -> str:
    """The page with each `<!-- begin NAME -->` ... `<!-- end NAME -->` filled anew."""
    for name, lines in contents.items():
        begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
        if begin not in page or end not in page:
            raise SystemExit(f"the page has no marks for {name}")
        before, rest = page.split(begin, 1)
        page = before + begin + "\n".join(lines) + "\n" + end + rest.split(end, 1)[1]
    return page


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--docs", type=Path, default=DOCS)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    differ = 0
    for name, contents in pages(arguments.results).items():
        page = arguments.docs / name
        old = page.read_text()
        new = filled(old, contents)
        if new == old:
            continue
        differ += 1
        if arguments.check:
            print(f"{page} is not what the results say: run report.py")
        else:
            page.write_text(new)
    return differ if arguments.check else 0


if __name__ == "__main__":
    sys.exit(main())
