"""Weights in reduced precision: what they cost and what they save."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _library as c
from .errors import InvalidArgumentError

if TYPE_CHECKING:
    from .network import Network, _Call

__all__ = ["PRECISIONS", "LayerQuantization", "OutputError"]

#: What weights can be held in; the library's number of each is its place, counted from 1.
PRECISIONS = ("float32", "float64", "bfloat16", "int8")


class LayerQuantization(NamedTuple):
    """What became of a layer.

    ``precision`` is that of its matrices; ``weight_count`` of its numbers were rounded, and all of
    its parameters take ``size`` bytes. The errors are those of the rounded numbers against what
    they were made from, since the network was quantized or loaded: the largest, the root of the
    mean square, and that divided by the root mean square of the numbers.
    """

    name: str
    precision: str
    weight_count: int
    size: int
    max_error: float
    rms_error: float
    relative_error: float


class OutputError(NamedTuple):
    """Differences of an output from that of another network, and the size of the other's values:
    the largest, and the root of the mean square; ``relative_error`` is ``rms_error /
    rms_reference``."""

    max_error: float
    rms_error: float
    max_reference: float
    rms_reference: float
    relative_error: float


def precision_code(precision: Any) -> int:
    """The library's number of a precision."""
    if precision not in PRECISIONS:
        raise InvalidArgumentError(
            f"precision must be one of {', '.join(PRECISIONS)}, not {precision!r}"
        )
    return PRECISIONS.index(precision) + 1


def layer_quantization(network: Network, index: int, name: str) -> LayerQuantization:
    info = c.QuantizationInfo()
    c.library().carousel_network_get_quantization(network._handle, index, ctypes.byref(info))
    return LayerQuantization(
        name,
        PRECISIONS[info.precision - 1],
        info.weight_count,
        info.size,
        info.max_error,
        info.rms_error,
        info.relative_error,
    )


def measure(network: Network, reference: Network, call: _Call) -> list[OutputError]:
    """One error for each output."""
    errors = (c.OutputError * len(network.outputs))()
    for error in errors:
        error.struct_size = ctypes.sizeof(c.OutputError)
    c.library().carousel_network_measure_error(
        network._handle,
        reference._handle,
        call.inputs,
        len(call.held),
        ctypes.byref(call.options),
        errors,
        len(errors),
    )
    return [
        OutputError(*(getattr(error, field) for field in OutputError._fields)) for error in errors
    ]


def read_parameter(network: Network, index: int, shape: tuple[int, ...]) -> Any:
    """A copy of a parameter's values."""
    import numpy as np

    values = np.empty(shape, network.dtype)
    c.library().carousel_network_read_parameter(
        network._handle, index, values.ctypes.data, values.nbytes
    )
    values.flags.writeable = False
    return values
