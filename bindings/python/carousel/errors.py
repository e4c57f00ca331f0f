"""Everything that can go wrong, as one family of exceptions.

Each class belongs to one value of ``carousel_status`` in ``carousel.h``; the message is the
library's own and names the offending thing, what was expected and what was found. Where Python
has a word for the mistake, the class also derives from that: a wrong shape is a ``ValueError``.
"""

from __future__ import annotations

__all__ = [
    "Error",
    "FileError",
    "FormatError",
    "InvalidArgumentError",
    "LibraryError",
    "LimitError",
    "NotFoundError",
    "NumericError",
    "OutOfMemoryError",
    "ShapeError",
    "StateError",
    "StoppedError",
    "UnsupportedModelError",
    "error_for_status",
]


class Error(Exception):
    """Base of all of Carousel's exceptions.

    Attributes:
        status: the ``carousel_status`` value of the class, or of the call that failed.
    """

    status = -1

    def __init__(self, message: str = "", status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        if status is not None:
            self.status = status

    def __str__(self) -> str:
        return self.message


class InvalidArgumentError(Error, ValueError):
    """An argument is outside its domain: a negative size, an unknown name, a wrong type."""

    status = 1


class ShapeError(Error, ValueError):
    """Two shapes that must agree do not."""

    status = 2


class OutOfMemoryError(Error, MemoryError):
    """Memory whose size depends on the caller or on a file could not be had."""

    status = 3


class UnsupportedModelError(Error):
    """The model is well-formed but needs something that Carousel does not do."""

    status = 4


class FormatError(Error, ValueError):
    """A file or text is damaged, or is of no layout that Carousel knows."""

    status = 5


class FileError(Error, OSError):
    """The operating system refused to open, read or write a file."""

    status = 6


class NotFoundError(Error, LookupError):
    """Nothing of the given name exists."""

    status = 7


class NumericError(Error, ArithmeticError):
    """A loss, gradient or weight became NaN or infinite."""

    status = 8


class StateError(Error, RuntimeError):
    """The call is legal, but not in the object's present state."""

    status = 9


class StoppedError(Error):
    """A callback asked to stop."""

    status = 10


class LibraryError(Error, ImportError):
    """libcarousel, or a library that it loads on first use, is missing or unfit."""

    status = 11


class LimitError(Error, ValueError):
    """The input is larger than a limit that was set to protect the process."""

    status = 12


_BY_STATUS = {
    error.status: error
    for error in (
        InvalidArgumentError,
        ShapeError,
        OutOfMemoryError,
        UnsupportedModelError,
        FormatError,
        FileError,
        NotFoundError,
        NumericError,
        StateError,
        StoppedError,
        LibraryError,
        LimitError,
    )
}


def error_for_status(status: int, message: str) -> Error:
    """The exception for a status that a call of the library returned."""
    return _BY_STATUS.get(status, Error)(message, status)
