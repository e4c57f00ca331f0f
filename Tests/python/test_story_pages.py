"""The pages that explain the code are held to it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: `name` [and `name`] in [file](path)
REFERENCE = re.compile(r"((?:`\w+`(?: and |, )?)+) in \[[^\]]+\]\(([^)#]+)\)")
LINK = re.compile(r"\]\(([^)#:]+)\)")
PAGES = ["equations.md", "how-the-lstm-came-to-be.md", "long-time-lags.md"]


def test_every_formula_has_a_function_that_exists() -> None:
    page = ROOT / "docs" / "equations.md"
    text = page.read_text()
    references = REFERENCE.findall(text)
    assert len(references) > 50
    for names, path in references:
        code = (page.parent / path).read_text()
        for name in re.findall(r"`(\w+)`", names):
            assert re.search(rf"(?:func|def) `?{name}`?\b", code), f"{path} has no function {name}"
    # Every cell that names a function names its file, too.
    rows = [line for line in text.splitlines() if line.startswith("|") and "`" in line]
    for row in rows:
        for cell in row.split("|")[2:]:
            assert "`" not in cell or REFERENCE.search(cell), cell


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    page = ROOT / "docs" / name
    for path in LINK.findall(page.read_text()):
        assert (page.parent / path).exists(), f"{name}: {path}"
