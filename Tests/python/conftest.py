"""Shared by all tests: the package of this checkout, the fixtures, and a count by format."""

from __future__ import annotations

import collections
import json
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
FIXTURES = HERE.parent / "fixtures"
PACKAGE = REPOSITORY / "bindings" / "python"

sys.path.insert(0, str(PACKAGE))
sys.path.insert(0, str(HERE))

import carousel  # noqa: E402

_by_format: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)


def manifest() -> list[dict[str, Any]]:
    return json.loads((FIXTURES / "manifest.json").read_text())["cases"]


def pytest_sessionstart() -> None:
    """One message instead of a thousand if there is nothing to test."""
    try:
        carousel.library_version()
    except carousel.LibraryError as error:
        pytest.exit(str(error), returncode=2)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Counts the outcome of every test that says which format it is about."""
    wanted = dict(report.user_properties).get("format")
    if wanted is None:
        return
    if report.when == "call" or report.outcome == "skipped":
        _by_format[wanted][report.outcome] += 1


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not _by_format:
        return
    terminalreporter.section("fixtures by format")
    for name in sorted(_by_format):
        counts = _by_format[name]
        total = sum(counts.values())
        others = ", ".join(f"{n} {outcome}" for outcome, n in counts.items() if outcome != "passed")
        passed = f"{name:28} {counts['passed']:4} of {total:4} passed"
        terminalreporter.write_line(f"{passed}   {others}")
