"""Tests/c/check-abi, which holds the header to abi.txt, sees what would break compiled programs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMPILER = shutil.which("cc") or shutil.which("gcc") or "cc"

# What is replaced in the header, by what, and a line of the complaint.
BREAKS = {
    "a function is removed": (
        "carousel_status carousel_network_reset_states(carousel_network *network);",
        "",
        "- function carousel_status carousel_network_reset_states(carousel_network *network)",
    ),
    "an argument has another type": (
        "carousel_status carousel_set_threads(int32_t threads);",
        "carousel_status carousel_set_threads(int64_t threads);",
        "- function carousel_status carousel_set_threads(int32_t threads)",
    ),
    "a result has another type": (
        "int32_t carousel_threads(void);",
        "int64_t carousel_threads(void);",
        "- function int32_t carousel_threads(void)",
    ),
    "the value of an enumeration": (
        "CAROUSEL_INT64 = 3",
        "CAROUSEL_INT64 = 4",
        "- value CAROUSEL_INT64 3",
    ),
    "a status": (
        "X(CAROUSEL_ERROR_SHAPE, 2,",
        "X(CAROUSEL_ERROR_SHAPE, 42,",
        "- value CAROUSEL_ERROR_SHAPE 2",
    ),
    "fields in another order": (
        "    int64_t batch;\n    int64_t batch_count;\n",
        "    int64_t batch_count;\n    int64_t batch;\n",
        "- struct carousel_fit_event.batch ",
    ),
    "a field of another size": (
        "    int32_t reserved;\n    int64_t width;\n} carousel_state_info;",
        "    int64_t reserved;\n    int64_t width;\n} carousel_state_info;",
        "- struct carousel_state_info.reserved ",
    ),
    "a field is removed": (
        "    int64_t width;\n} carousel_state_info;",
        "} carousel_state_info;",
        "- struct carousel_state_info.width ",
    ),
    "a function that nobody recorded": (
        "int32_t carousel_threads(void);",
        "int32_t carousel_threads(void);\nint32_t carousel_news(void);",
        "+ function int32_t carousel_news(void)",
    ),
}


def check(include: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "Tests/c/check-abi"), COMPILER, str(include)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_header_is_as_recorded() -> None:
    result = check(ROOT / "include")
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("name", BREAKS)
def test_breaks_are_seen(name: str, tmp_path: Path) -> None:
    old, new, complaint = BREAKS[name]
    header = (ROOT / "include/carousel.h").read_text()
    assert header.count(old) == 1
    (tmp_path / "carousel.h").write_text(header.replace(old, new))
    result = check(tmp_path)
    assert result.returncode == 1
    assert complaint in result.stdout
