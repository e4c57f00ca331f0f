"""The same HDF5 file in another dress: what tools do to files without changing what they say."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import h5py
import numpy as np


def _text(value: Any, kind: str) -> Any:
    """A string attribute, or a list of strings, in one of HDF5's encodings."""
    is_list = isinstance(value, np.ndarray)
    texts = (
        [item.decode() if isinstance(item, bytes) else str(item) for item in value]
        if is_list
        else [value.decode() if isinstance(value, bytes) else str(value)]
    )
    if kind == "fixed":
        array = np.array([text.encode() for text in texts])
        return array if is_list else np.bytes_(texts[0].encode())
    encoding = "utf-8" if kind == "utf8" or any(not text.isascii() for text in texts) else "ascii"
    array = np.array(texts, dtype=h5py.string_dtype(encoding))
    return array if is_list else array[0]


def _is_text(value: Any) -> bool:
    if isinstance(value, (str, bytes)):
        return True
    return isinstance(value, np.ndarray) and value.size > 0 and value.dtype.kind in "OSU"


def disguise(source: Path, target: Path, seed: int, number: str | None = None) -> str:
    """Copies a file of weights; gives a description of what is different.

    ``number``: the type of the numbers, such as ``>f4`` or ``<f2``; None: one that loses nothing.
    """
    r = random.Random(seed)
    options: dict[str, Any] = {}
    if r.random() < 0.4:
        # All that libhdf5 1.10 knows; what HDF5 2 calls "latest" is beyond it.
        options["libver"] = ("v108", "v110")
    if r.random() < 0.3:
        options["userblock_size"] = r.choice([512, 1024, 4096])
    number = number or r.choice(["<f4", ">f4", "<f8", ">f8"])
    text = r.choice(["fixed", "ascii", "utf8", "mixed"])
    storage = r.choice(["contiguous", "gzip", "all filters", "chunks"])

    def attributes(one: Any, other: Any) -> None:
        for name, value in one.attrs.items():
            if not _is_text(value):
                other.attrs[name] = value
                continue
            kind = r.choice(["fixed", "ascii", "utf8"]) if text == "mixed" else text
            encoded = _text(value, kind)
            dtype = None
            if kind != "fixed":
                dtype = h5py.string_dtype("utf-8" if kind == "utf8" else "ascii")
                if not str(value).isascii():
                    dtype = h5py.string_dtype("utf-8")
            other.attrs.create(name, encoded, dtype=dtype)

    def copy(one: Any, other: Any) -> None:
        attributes(one, other)
        for name, item in one.items():
            if isinstance(item, h5py.Group):
                copy(item, other.create_group(name))
                continue
            array = item[()] if item.shape is not None else None
            if array is None:
                made = other.create_dataset(name, data=h5py.Empty("f4"))
            else:
                array = np.asarray(array)
                if array.dtype.kind == "f":
                    array = array.astype(number)
                filters: dict[str, Any] = {}
                if array.ndim and array.size and storage != "contiguous":
                    chunks = tuple(max(1, -(-extent // 2)) for extent in array.shape)
                    filters["chunks"] = chunks
                    if storage != "chunks":
                        filters["compression"] = "gzip"
                    if storage == "all filters":
                        filters.update(shuffle=True, fletcher32=True)
                made = other.create_dataset(name, data=array, **filters)
            attributes(item, made)

    with h5py.File(source, "r") as one, h5py.File(target, "w", **options) as other:
        copy(one, other)
    return f"{options or 'plain'}, {number}, {text} text, {storage}"
