"""Numbers as the C interface takes them."""

from __future__ import annotations

import sys
from typing import Any

from .errors import InvalidArgumentError

_LARGEST = 2**63 - 1


def integer(value: Any, what: str) -> int:
    """An int64; ctypes would wrap larger ones round without a word."""
    try:
        number = value.__index__()
    except (AttributeError, TypeError):
        raise InvalidArgumentError(f"{what} must be an integer, not {value!r}") from None
    if not -_LARGEST - 1 <= number <= _LARGEST:
        raise InvalidArgumentError(f"{what} is out of range: {number}")
    return int(number)


def real(value: Any, what: str, none: float = 0.0) -> float:
    """A float; None becomes ``none``."""
    if value is None:
        return none
    try:
        return float(value)
    except (TypeError, ValueError):
        raise InvalidArgumentError(f"{what} must be a number, not {value!r}") from None


def nonzero(value: Any, what: str) -> float:
    """A float where the library takes zero for "the default"."""
    return real(value, what) or sys.float_info.min
