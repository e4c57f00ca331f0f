"""NumPy arrays as the library sees them: a pointer, a type, a shape, strides. Nothing is copied
that the library can read where it lies."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from ._library import FLOAT32, FLOAT64, INT32, INT64, Array, Handle
from .errors import InvalidArgumentError, ShapeError

_DTYPES = {
    np.dtype(np.float32): FLOAT32,
    np.dtype(np.float64): FLOAT64,
    np.dtype(np.int32): INT32,
    np.dtype(np.int64): INT64,
}
NUMPY_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def dtype_code(dtype: Any) -> int:
    """FLOAT32 or FLOAT64 for anything that NumPy takes for one of them."""
    try:
        code = _DTYPES.get(np.dtype(dtype))
    except TypeError:
        code = None
    if code not in (FLOAT32, FLOAT64):
        raise InvalidArgumentError(f"dtype must be float32 or float64, not {dtype!r}")
    return code


def numbers(value: Any, what: str, dtype: np.dtype, integral: bool = False) -> np.ndarray:
    """``value`` as an array that the library reads: itself, if it is one already.

    Args:
        value: an array, or anything that NumPy makes one of.
        what: its name in messages.
        dtype: the network's type, for values of types that the library does not read.
        integral: ids: integers stay integers.
    """
    try:
        array = np.asarray(value)
    except ValueError as error:  # lists of unequal lengths
        raise ShapeError(f"{what} is no array of numbers: {error}") from None
    kind = array.dtype.kind
    if kind not in "fiub" or array.dtype.itemsize > 8:
        raise InvalidArgumentError(f"{what} must hold real numbers, not {array.dtype}")
    if array.dtype not in _DTYPES or (kind == "i" and not integral):
        array = array.astype(np.int64 if integral and kind in "iub" else dtype)
    return array


def describe(array: np.ndarray) -> Array:
    """The struct of an array. The array must live as long as it."""
    if array.ndim > 4:
        raise ShapeError(f"an array of {array.ndim} dimensions: the most is 4, shape {array.shape}")
    struct = Array()
    struct.data = array.__array_interface__["data"][0]
    struct.dtype = _DTYPES[array.dtype]
    struct.rank = array.ndim
    struct.shape[: array.ndim] = array.shape
    if not array.flags.c_contiguous:
        size = array.itemsize
        struct.strides[: array.ndim] = [stride // size for stride in array.strides]
    return struct


def readable(array: np.ndarray) -> np.ndarray:
    """The array itself, or a copy if its strides are none that the library can follow."""
    size = array.itemsize
    whole = array.flags.aligned and all(stride % size == 0 for stride in array.strides)
    # All strides zero mean "contiguous" to the library.
    return array if whole and any(array.strides) else np.ascontiguousarray(array)


def describe_all(arrays: Sequence[np.ndarray]) -> Any:
    """A C array of structs."""
    structs = (Array * max(len(arrays), 1))()
    for index, array in enumerate(arrays):
        structs[index] = describe(array)
    return structs


def empty_like_struct(struct: Array) -> np.ndarray:
    """An uninitialised array of the type and shape that the library filled in."""
    dtype = NUMPY_DTYPES[struct.dtype]
    return np.empty(tuple(struct.shape[: struct.rank]), dtype)


class _Memory:
    """Foreign memory with its owner, as NumPy finds it through ``__array_interface__``."""

    __slots__ = ("__array_interface__", "__weakref__", "owner")

    def __init__(self, address: int, count: int, dtype: np.dtype, owner: Any) -> None:
        self.owner = owner
        self.__array_interface__ = {
            "data": (address, False),
            "shape": (count,),
            "typestr": dtype.str,
            "version": 3,
        }


def view(address: int, byte_count: int, dtype: np.dtype, owner: Handle) -> tuple[np.ndarray, Any]:
    """Writable memory of the library as a flat array, which keeps ``owner`` alive. Also gives the
    object that lives exactly as long as any view of the array."""
    memory = _Memory(address, byte_count // dtype.itemsize, dtype, owner)
    return np.asarray(memory), memory


def text_array(values: Sequence[bytes]) -> Any:
    """A C array of strings."""
    return (ctypes.c_char_p * max(len(values), 1))(*values)


def int64_array(values: Sequence[int]) -> Any:
    """A C array of int64."""
    return (ctypes.c_int64 * max(len(values), 1))(*values)
