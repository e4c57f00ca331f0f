"""Loading networks, and looking into files."""

from __future__ import annotations

import ctypes
import math
from typing import Any

import numpy as np

from . import _arrays as arrays
from . import _library as c
from ._values import integer
from .errors import InvalidArgumentError
from .network import Network, Path
from .quantization import precision_code

__all__ = ["inspect", "load"]


def _options(
    format: str | None,
    config: Any,
    largest_file: int,
    allow_non_finite: bool,
    dtype: Any,
    precision: str | None = None,
    untrusted: bool = False,
    time_limit: float | None = None,
    memory_limit: int | None = None,
) -> c.LoadOptions:
    if precision is not None:
        if dtype is not None and np.dtype(dtype) != np.float32:
            raise InvalidArgumentError("give dtype or precision, not both")
        code = precision_code(precision)
    else:
        # The library counts from 1; 0 is what the file says.
        code = 0 if dtype is None else arrays.dtype_code(dtype) + 1
    if config is not None and not isinstance(config, str):
        import json

        config = json.dumps(config)
    return c.LoadOptions(
        format=c.encode(format, "format"),
        config_json=c.encode(config, "config"),
        largest_file=integer(largest_file, "largest_file"),
        allow_non_finite=bool(allow_non_finite),
        precision=code,
        **untrusted_options(untrusted, time_limit, memory_limit),
    )


def untrusted_options(
    untrusted: bool, time_limit: float | None, memory_limit: int | None
) -> dict[str, int]:
    """The fields of the options that say how a file which is not trusted is read."""
    for name, limit in (("time_limit", time_limit), ("memory_limit", memory_limit)):
        if limit is not None and (not untrusted or limit <= 0):
            raise InvalidArgumentError(f"{name} is for untrusted=True, and more than 0")
    return {
        "untrusted": bool(untrusted),
        "untrusted_seconds": 0 if time_limit is None else math.ceil(time_limit),
        "untrusted_memory": 0 if memory_limit is None else integer(memory_limit, "memory_limit"),
    }


def load(
    path: Path,
    config: Any = None,
    format: str | None = None,
    *,
    dtype: Any = None,
    precision: str | None = None,
    largest_file: int = 0,
    allow_non_finite: bool = False,
    untrusted: bool = False,
    time_limit: float | None = None,
    memory_limit: int | None = None,
) -> Network:
    """Loads a network with its architecture.

    Args:
        path: the file. Its layout is recognised by content, whatever its name.
        config: for files of weights alone: what Keras's ``model.to_json()`` gave, as text or
            as the dict that the text describes.
        format: the layout, to be held to it.
        dtype: ``"float32"``, or ``"float64"`` for a network on the reference path; None: what the
            file says if it is one of Carousel's own, else float32.
        precision: ``"bfloat16"`` or ``"int8"``: weights in reduced precision, for inference, as
            ``Network.quantize`` makes them; None: as the file has them.
        largest_file: refuse files of more bytes; 0: no limit.
        allow_non_finite: accept weights that are NaN or infinite.
        untrusted: the file may be hostile: a process of its own reads it, in which libhdf5 may
            crash, hang or ask for all memory without harm to this one. Takes some 20 ms more.
        time_limit: whole seconds that this process may take; None: 30.
        memory_limit: bytes of address space that it may have; None: 512 MiB and 16 times the file.

    Raises:
        UnsupportedModelError: naming the layer that Carousel does not have.
        FormatError: the file is damaged, of no known layout, or lacks its architecture.
        FileError: the operating system refuses.
    """
    lib = c.library()
    options = _options(
        format,
        config,
        largest_file,
        allow_non_finite,
        dtype,
        precision,
        untrusted,
        time_limit,
        memory_limit,
    )
    handle = c.make(
        lib.carousel_network_load,
        lib.carousel_network_free,
        c.encode_path(path),
        ctypes.byref(options),
    )
    return Network._of(handle)


def inspect(
    path: Path, config: Any = None, format: str | None = None, *, untrusted: bool = False
) -> dict[str, Any]:
    """What a file holds: layout, framework and version, layers, parameters, what would be ignored.

    Works for files of weights alone, too. ``untrusted`` as for :func:`load`.
    """
    import json

    options = _options(format, config, 0, True, None, untrusted=untrusted)
    text = c.read_text(c.library().carousel_inspect, c.encode_path(path), ctypes.byref(options))
    found: dict[str, Any] = json.loads(text)
    return found
