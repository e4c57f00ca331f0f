"""Layers as data: what a network is built from.

Argument names and defaults are Keras's wherever Keras has the thing. A layer is only a
description; parameters come into being when a :class:`~carousel.Network` is made of it::

    net = Network([Embedding(30, 8), LSTM(64, peepholes=True), Dense(1)])

or, for a graph, by calling layers on the results of others::

    x = Input((None, 4))
    y = Dense(2)(Add()([LSTM(8)(x), GRU(8)(x)]))
    net = Network(inputs=x, outputs=y)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, Union

from .errors import InvalidArgumentError

__all__ = [
    "ELU",
    "GRU",
    "LSTM",
    "Activation",
    "Add",
    "AlphaDropout",
    "Average",
    "AveragePooling1D",
    "BatchNormalization",
    "Bidirectional",
    "Concatenate",
    "Conv1D",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "GlobalAveragePooling1D",
    "GlobalMaxPooling1D",
    "Input",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "Masking",
    "MaxPooling1D",
    "Maximum",
    "Minimum",
    "Multiply",
    "PReLU",
    "Permute",
    "ReLU",
    "RepeatVector",
    "Reshape",
    "SimpleRNN",
    "Softmax",
    "SpatialDropout1D",
    "Subtract",
    "Tensor",
    "TimeDistributed",
    "UpSampling1D",
    "ZeroPadding1D",
]

#: A function's Keras name, a layer that is a function (``LeakyReLU(0.1)``), or None for linear.
ActivationLike = Union[None, str, "Activation", "LeakyReLU", "ReLU", "ELU"]


class Tensor:
    """What a layer gives when it is called: an edge of a graph that is being drawn."""

    __slots__ = ("_states", "inputs", "layer")

    def __init__(self, layer: Layer, inputs: tuple[Tensor, ...] = ()) -> None:
        self.layer = layer
        self.inputs = inputs
        self._states: list[Tensor] | None = None

    @property
    def states(self) -> list[Tensor]:
        """The final states of a recurrent layer, (batch, units) each: ``[h]``, ``[h, c]``, or those
        of both directions. To be another layer's ``initial_state=``, or any other value."""
        if self._states is None:
            names = _state_names(self.layer)
            self._states = [Tensor(FinalState(i, n), (self,)) for i, n in enumerate(names)]
        return self._states

    def __repr__(self) -> str:
        return f"<Tensor of {self.layer!r}>"


class Layer:
    """Base of all layers. ``name`` becomes the prefix of the parameter keys."""

    name: str | None
    trainable: bool

    def __call__(
        self,
        inputs: Layer | Tensor | Sequence[Layer | Tensor],
        initial_state: Layer | Tensor | Sequence[Layer | Tensor] = (),
    ) -> Tensor:
        """The layer applied to one tensor, or to a list of them. A layer that is called twice has
        its parameters once. ``initial_state``, of recurrent layers: tensors (batch, units), as
        many as the layer has states (see :attr:`Tensor.states`)."""
        several = inputs if isinstance(inputs, (list, tuple)) else (inputs,)
        states = initial_state if isinstance(initial_state, (list, tuple)) else (initial_state,)
        if states and len(states) != len(_state_names(self)):
            wanted = ", ".join(_state_names(self))
            raise InvalidArgumentError(
                f"{type(self).__name__} takes the initial states ({wanted}), not {len(states)}"
            )
        return Tensor(self, tuple(as_tensor(item) for item in (*several, *states)))

    def __repr__(self) -> str:
        said = []
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if field.default is MISSING:
                said.append(repr(value))
            elif value != field.default:
                said.append(f"{field.name}={value!r}")
        return f"{type(self).__name__}({', '.join(said)})"


def as_tensor(item: Any) -> Tensor:
    """A tensor, also of an :class:`Input`, which may stand for its own."""
    if isinstance(item, Tensor):
        return item
    if isinstance(item, Input):
        return item.tensor
    raise InvalidArgumentError(
        f"a layer is called on an Input or on what another layer gave, not on {item!r}"
    )


# Dataclasses without comparison: a layer is itself, whatever another looks like.


@dataclass(eq=False, repr=False)
class Input(Layer):
    """Where data enters. ``shape`` has no batch: ``(features,)``, ``(time or None, features)``, or,
    with an integer ``dtype`` (ids for an Embedding), ``(time or None,)``."""

    shape: tuple[int | None, ...]
    dtype: str = "float32"
    batch_size: int | None = None
    name: str | None = None
    trainable: bool = True

    def __post_init__(self) -> None:
        self.shape = tuple(self.shape)
        self._tensor: Tensor | None = None

    @property
    def tensor(self) -> Tensor:
        if self._tensor is None:
            self._tensor = Tensor(self)
        return self._tensor

    @property
    def takes_ids(self) -> bool:
        return str(self.dtype).startswith(("int", "uint"))


# --- recurrent layers --------------------------------------------------------------------------


@dataclass(eq=False, repr=False)
class SimpleRNN(Layer):
    """Elman network: ``h(t) = activation(W x(t) + R h(t-1) + b)``."""

    units: int
    activation: ActivationLike = "tanh"
    use_bias: bool = True
    return_sequences: bool = False
    go_backwards: bool = False
    stateful: bool = False
    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    zero_output_for_mask: bool = False
    learn_initial_state: bool = False
    name: str | None = None
    trainable: bool = True


@dataclass(eq=False, repr=False)
class LSTM(Layer):
    """Long short-term memory, every part of its history a switch.

    Args:
        units: width of the cell state.
        activation: of the cell input, g.
        recurrent_activation: of the gates.
        output_activation: of the cell state on its way to the output.
        use_bias: the pre-activations have a bias.
        peepholes: gates see the cell state: True for all, or any of ``"input"``, ``"forget"``,
            ``"output"``; ``"dense"`` has full matrices, as Chainer's.
        input_gate, forget_gate, output_gate: False removes a gate; it is then constantly 1.
        coupled_gates: f = 1 - i; there is then no forget block.
        projection_size: width of the projected output (LSTMP).
        layer_norm: layer normalisation of the pre-activations and of the cell state on its way
            out, as in Ba et al. 2016.
        cell_clip: limit of the cell state's magnitude.
        projection_clip: limit of the projected output's magnitude.
        gate_clip: limit of the pre-activations' magnitude (ONNX's ``clip``).
        zoneout: probability with which a unit keeps its old value in training.
        dropout, recurrent_dropout: probability with which a feature of x(t), or a unit of h(t-1),
            is dropped in training; one mask for the whole sequence.
        truncate_gates: no error flows back through the gates (the algorithm of 1997).
        return_sequences: every step's output instead of the last one's.
        go_backwards: from the last step to the first; outputs come in processing order.
        stateful: each call begins in the state in which the previous one ended.
        zero_output_for_mask: masked steps put out zeros instead of the previous output.
        learn_initial_state: the state before the first step is a parameter.
    """

    units: int
    activation: ActivationLike = "tanh"
    recurrent_activation: ActivationLike = "sigmoid"
    output_activation: ActivationLike = "tanh"
    use_bias: bool = True
    peepholes: bool | str | Sequence[str] = False
    input_gate: bool = True
    forget_gate: bool = True
    output_gate: bool = True
    coupled_gates: bool = False
    projection_size: int | None = None
    layer_norm: bool = False
    layer_norm_epsilon: float = 1e-5
    cell_clip: float | None = None
    projection_clip: float | None = None
    gate_clip: float | None = None
    zoneout: float = 0.0
    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    truncate_gates: bool = False
    return_sequences: bool = False
    go_backwards: bool = False
    stateful: bool = False
    zero_output_for_mask: bool = False
    learn_initial_state: bool = False
    name: str | None = None
    trainable: bool = True


@dataclass(eq=False, repr=False)
class GRU(Layer):
    """Gated recurrent unit, gates in the order z, r, h. ``reset_after``: as cuDNN and PyTorch."""

    units: int
    activation: ActivationLike = "tanh"
    recurrent_activation: ActivationLike = "sigmoid"
    use_bias: bool = True
    reset_after: bool = True
    return_sequences: bool = False
    go_backwards: bool = False
    stateful: bool = False
    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    zero_output_for_mask: bool = False
    learn_initial_state: bool = False
    name: str | None = None
    trainable: bool = True


@dataclass(eq=False, repr=False)
class Bidirectional(Layer):
    """A recurrent layer in both directions. ``merge_mode``: concat, sum, mul or ave.

    ``backward_layer``: the other direction's own layer; without it, a mirror image of the first.

    The two halves have parameters of their own: ``name/forward/kernel``, ``name/backward/kernel``.
    """

    layer: Layer
    merge_mode: str = "concat"
    backward_layer: Layer | None = None
    name: str | None = None
    trainable: bool = True


@dataclass(eq=False, repr=False)
class FinalState(Layer):
    """What :attr:`Tensor.states` is made of: state number ``state`` of a recurrent layer."""

    state: int
    suffix: str
    name: str | None = None
    trainable: bool = True


def _state_names(layer: Layer) -> list[str]:
    if isinstance(layer, LSTM):
        return ["h", "c"]
    if isinstance(layer, (SimpleRNN, GRU)):
        return ["h"]
    if isinstance(layer, Bidirectional):
        backward = layer.backward_layer or layer.layer
        return [f"forward_{name}" for name in _state_names(layer.layer)] + [
            f"backward_{name}" for name in _state_names(backward)
        ]
    raise InvalidArgumentError(f"{layer!r} is not recurrent: it has no states")


# --- layers around the cells -------------------------------------------------------------------


@dataclass(eq=False, repr=False)
class Embedding(Layer):
    """Ids (batch, time) to vectors (batch, time, output_dim). ``mask_zero``: id 0 is padding."""

    input_dim: int
    output_dim: int
    mask_zero: bool = False
    name: str | None = None
    trainable: bool = True


@dataclass(eq=False, repr=False)
class Dense(Layer):
    """``activation(x W + b)``, at every step if the input has steps."""

    units: int
    activation: ActivationLike = None
    use_bias: bool = True
    name: str | None = None
    trainable: bool = True


@dataclass(eq=False, repr=False)
class TimeDistributed(Layer):
    """The inner layer applied to every step."""

    layer: Layer
    name: str | None = None
    trainable: bool = True


@dataclass(eq=False, repr=False)
class Masking(Layer):
    """Masks the steps of which every feature equals ``mask_value``."""

    mask_value: float = 0.0
    name: str | None = None
    trainable: bool = True


@dataclass(eq=False, repr=False)
class Conv1D(Layer):
    """Convolution along time. ``padding``: valid, same or causal."""

    filters: int
    kernel_size: int
    strides: int = 1
    padding: str = "valid"
    dilation_rate: int = 1
    groups: int = 1
    activation: ActivationLike = None
    use_bias: bool = True
    name: str | None = None
    trainable: bool = True


@dataclass(eq=False, repr=False)
class MaxPooling1D(Layer):
    """The largest of ``pool_size`` steps; ``strides`` is the pool size unless given."""

    pool_size: int = 2
    strides: int | None = None
    padding: str = "valid"
    name: str | None = None
    trainable: bool = True


@dataclass(eq=False, repr=False)
class AveragePooling1D(Layer):
    """The mean of ``pool_size`` steps; ``strides`` is the pool size unless given."""

    pool_size: int = 2
    strides: int | None = None
    padding: str = "valid"
    name: str | None = None
    trainable: bool = True


@dataclass(eq=False, repr=False)
class GlobalMaxPooling1D(Layer):
    """The largest of all steps."""

    keepdims: bool = False
    name: str | None = None
    trainable: bool = True


@dataclass(eq=False, repr=False)
class GlobalAveragePooling1D(Layer):
    """The mean of all steps; of the unmasked ones if there is a mask."""

    keepdims: bool = False
    name: str | None = None
    trainable: bool = True


@dataclass(eq=False, repr=False)
class BatchNormalization(Layer):
    """Normalises each feature over the batch; by moving statistics outside training."""

    momentum: float = 0.99
    epsilon: float = 1e-3
    center: bool = True
    scale: bool = True
    name: str | None = None
    trainable: bool = True


@dataclass(eq=False, repr=False)
class LayerNormalization(Layer):
    """Normalises each row over its features."""

    epsilon: float = 1e-3
    center: bool = True
    scale: bool = True
    name: str | None = None
    trainable: bool = True


# --- shapes ------------------------------------------------------------------------------------


@dataclass(eq=False, repr=False)
class RepeatVector(Layer):
    """(batch, features) to (batch, n, features)."""

    n: int
    name: str | None = None
    trainable: bool = True


@dataclass(eq=False, repr=False)
class Flatten(Layer):
    """(batch, time, features) to (batch, time * features)."""

    name: str | None = None
    trainable: bool = True


@dataclass(eq=False, repr=False)
class Reshape(Layer):
    """To ``target_shape``, without the batch: one or two extents, one of which may be -1."""

    target_shape: tuple[int, ...]
    name: str | None = None
    trainable: bool = True


@dataclass(eq=False, repr=False)
class Permute(Layer):
    """Exchanges time and features: ``dims`` is (2, 1)."""

    dims: tuple[int, int] = (2, 1)
    name: str | None = None
    trainable: bool = True


@dataclass(eq=False, repr=False)
class ZeroPadding1D(Layer):
    """Zero steps before and after."""

    padding: int | tuple[int, int] = 1
    name: str | None = None
    trainable: bool = True


@dataclass(eq=False, repr=False)
class UpSampling1D(Layer):
    """Each step ``size`` times."""

    size: int = 2
    name: str | None = None
    trainable: bool = True


# --- functions ---------------------------------------------------------------------------------


@dataclass(eq=False, repr=False)
class Activation(Layer):
    """A function, by its Keras name."""

    activation: ActivationLike
    name: str | None = None
    trainable: bool = True


@dataclass(eq=False, repr=False)
class ReLU(Layer):
    """x from ``threshold`` to ``max_value``, below ``negative_slope * (x - threshold)``."""

    max_value: float | None = None
    negative_slope: float = 0.0
    threshold: float = 0.0
    name: str | None = None
    trainable: bool = True


@dataclass(eq=False, repr=False)
class LeakyReLU(Layer):
    """x, or ``negative_slope * x`` where x is negative."""

    negative_slope: float = 0.3
    name: str | None = None
    trainable: bool = True


@dataclass(eq=False, repr=False)
class ELU(Layer):
    """x, or ``alpha * (exp(x) - 1)`` where x is negative."""

    alpha: float = 1.0
    name: str | None = None
    trainable: bool = True


@dataclass(eq=False, repr=False)
class PReLU(Layer):
    """x, or a learned slope times x where x is negative. ``shared_axes=(1,)`` shares it in time."""

    shared_axes: Sequence[int] | None = None
    name: str | None = None
    trainable: bool = True


@dataclass(eq=False, repr=False)
class Softmax(Layer):
    """Along the features."""

    name: str | None = None
    trainable: bool = True


# --- layers of training ------------------------------------------------------------------------


@dataclass(eq=False, repr=False)
class Dropout(Layer):
    """Sets elements to zero with probability ``rate`` in training and scales the others up."""

    rate: float
    name: str | None = None
    trainable: bool = True


@dataclass(eq=False, repr=False)
class SpatialDropout1D(Layer):
    """Drops whole feature channels of a sequence in training."""

    rate: float
    name: str | None = None
    trainable: bool = True


@dataclass(eq=False, repr=False)
class GaussianDropout(Layer):
    """Multiplies by N(1, rate / (1 - rate)) in training."""

    rate: float
    name: str | None = None
    trainable: bool = True


@dataclass(eq=False, repr=False)
class GaussianNoise(Layer):
    """Adds N(0, stddev²) in training."""

    stddev: float
    name: str | None = None
    trainable: bool = True


@dataclass(eq=False, repr=False)
class AlphaDropout(Layer):
    """Dropout that keeps mean and variance of a SELU network."""

    rate: float
    name: str | None = None
    trainable: bool = True


# --- layers of several inputs ------------------------------------------------------------------


@dataclass(eq=False, repr=False)
class Concatenate(Layer):
    """Side by side, along the features."""

    name: str | None = None
    trainable: bool = True


@dataclass(eq=False, repr=False)
class Add(Layer):
    """Sum of the inputs."""

    name: str | None = None
    trainable: bool = True


@dataclass(eq=False, repr=False)
class Subtract(Layer):
    """First input minus second."""

    name: str | None = None
    trainable: bool = True


@dataclass(eq=False, repr=False)
class Multiply(Layer):
    """Product of the inputs."""

    name: str | None = None
    trainable: bool = True


@dataclass(eq=False, repr=False)
class Average(Layer):
    """Mean of the inputs."""

    name: str | None = None
    trainable: bool = True


@dataclass(eq=False, repr=False)
class Maximum(Layer):
    """Largest of the inputs, element by element."""

    name: str | None = None
    trainable: bool = True


@dataclass(eq=False, repr=False)
class Minimum(Layer):
    """Smallest of the inputs, element by element."""

    name: str | None = None
    trainable: bool = True
