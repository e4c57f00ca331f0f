"""Running on an instruction set of one's choice."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import carousel
import pytest

INSTRUCTION_SETS = ("baseline", "avx2", "avx512", "avx512_bf16")


@contextlib.contextmanager
def instruction_set(name: str, skips: bool = False) -> Iterator[None]:
    """Networks made within use this one.

    Raises UnsupportedModelError if the processor does not have it, or skips the test.
    """
    usual = carousel.instruction_set()
    try:
        carousel.set_instruction_set(name)
    except carousel.UnsupportedModelError as error:
        if skips:
            pytest.skip(str(error))
        raise
    try:
        yield
    finally:
        carousel.set_instruction_set(usual)
