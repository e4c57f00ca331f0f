"""Carousel: run, train and look inside LSTM networks.

::

    import carousel

    net = carousel.load("model.h5")          # Keras, PyTorch, Chainer, TensorFlow 1, ONNX, our own
    y = net(x)                               # x: (batch, time, features), or (batch, time) of ids

    net = carousel.Network([carousel.LSTM(64, peepholes=True), carousel.Dense(1)], input_size=4)
    history = net.fit(x, y, optimizer=carousel.Adam(1e-3), epochs=10)
    net.save("out.h5")

The arithmetic is done by libcarousel, which is loaded when it is first needed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .errors import *  # noqa: F403
from .errors import __all__ as _errors
from .files import inspect, load
from .network import Network

if TYPE_CHECKING:
    from . import layers, plot
    from .layers import *  # noqa: F403

__version__ = "1.0.0"

#: The names of :mod:`carousel.layers`. Its 41 dataclasses take longer to import than all the rest,
#: and a program that loads a model does not need them.
_LAYERS = (
    *("ELU", "GRU", "LSTM", "Activation", "Add", "AlphaDropout", "Average"),
    *("AveragePooling1D", "BatchNormalization", "Bidirectional", "Concatenate", "Conv1D"),
    *("Dense", "Dropout", "Embedding", "Flatten", "GaussianDropout", "GaussianNoise"),
    *("GlobalAveragePooling1D", "GlobalMaxPooling1D", "Input", "Layer"),
    *("LayerNormalization", "LeakyReLU", "Masking", "MaxPooling1D", "Maximum", "Minimum"),
    *("Multiply", "PReLU", "Permute", "ReLU", "RepeatVector", "Reshape", "SimpleRNN"),
    *("Softmax", "SpatialDropout1D", "Subtract", "Tensor", "TimeDistributed"),
    *("UpSampling1D", "ZeroPadding1D"),
)
#: What is imported when it is first asked for, and where it is.
_LATER = {
    **dict.fromkeys(_LAYERS, "layers"),
    "Stream": "stream",
    "Gradients": "tape",
    "Trace": "trace",
    "LayerTrace": "trace",
    "GradientFlow": "trace",
    "Trainer": "training",
    "History": "training",
    "Callback": "training",
    "Checkpoint": "training",
    "EarlyStopping": "training",
    "SGD": "optimizers",
    "RMSprop": "optimizers",
    "Adam": "optimizers",
    "AdamW": "optimizers",
    "ConstantRate": "optimizers",
    "CosineDecay": "optimizers",
    "ExponentialDecay": "optimizers",
    "ReduceLROnPlateau": "optimizers",
    "StepDecay": "optimizers",
    "LayerQuantization": "quantization",
    "OutputError": "quantization",
}
_MODULES = (
    *("block", "layers", "losses", "optimizers", "plot", "quantization", "stream", "tape"),
    *("trace", "training"),
)

__all__ = [
    "Network",
    "build_info",
    "inspect",
    "instruction_set",
    "layers",
    "library_path",
    "library_version",
    "load",
    "plot",
    "set_instruction_set",
    "set_threads",
    "threads",
    *_LATER,
    *(name for name in _errors if name != "error_for_status"),
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f".{name}", __name__)
    if name in _LATER:
        return getattr(importlib.import_module(f".{_LATER[name]}", __name__), name)
    raise AttributeError(f"module 'carousel' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*__all__, *_MODULES, "__version__"})


def _lib() -> Any:
    from ._library import library

    return library()


def library_version() -> str:
    """Version of the libcarousel that is in use."""
    version: str = _lib().carousel_version_string().decode()
    return version


def library_path() -> str:
    """The file that it was loaded from."""
    path: str = _lib().path
    return path


def build_info() -> str:
    """How the library was built and what it found on this machine; for bug reports."""
    from ._library import read_text

    return f"{read_text(_lib().carousel_build_info).rstrip()}\npath: {library_path()}\n"


def threads() -> int:
    """The most threads that a call uses unless it says otherwise."""
    count: int = _lib().carousel_threads()
    return count


def set_threads(count: int) -> None:
    """Sets that number; 0: as many as there are processors."""
    from ._values import integer

    _lib().carousel_set_threads(integer(count, "threads"))


def instruction_set() -> str:
    """``"baseline"``, ``"avx2"``, ``"avx512"`` or ``"avx512_bf16"`` (AVX-512 with its BF16 and VNNI
    instructions, for weights in reduced precision)."""
    name: str = _lib().carousel_instruction_set().decode()
    return name


def set_instruction_set(name: str) -> None:
    """Uses another one, for networks made from now on; for tests and comparisons."""
    from ._library import encode

    _lib().carousel_set_instruction_set(encode(name, "name"))
