"""From layers to a network: one call of the C builder for each layer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Callable, Union

from . import _library as c
from . import layers
from ._arrays import int64_array, text_array
from ._values import integer, nonzero, real
from .errors import InvalidArgumentError, UnsupportedModelError

# --- activations -------------------------------------------------------------------------------


_LINEAR, _HARD, _RELU, _ELU = 1, 4, 6, 7
_ACTIVATIONS: dict[str, tuple[int, dict[str, float]]] = {
    "linear": (_LINEAR, {}),
    "tanh": (2, {}),
    "sigmoid": (3, {}),
    "hard_sigmoid": (_HARD, {}),
    "hard_sigmoid_keras2": (5, {}),
    "relu": (_RELU, {}),
    "relu6": (_RELU, {"has_maximum": 1, "maximum": 6.0}),
    "leaky_relu": (_RELU, {"slope": 0.2}),
    "elu": (_ELU, {"alpha": 1.0}),
    "selu": (8, {}),
    "gelu": (9, {}),
    "gelu_tanh": (10, {}),
    "silu": (11, {}),
    "swish": (11, {}),
    "softplus": (12, {}),
    "softsign": (13, {}),
    "exponential": (14, {}),
    "softmax": (15, {}),
}


def activation(value: Any) -> c.Activation:
    """The struct of an activation's name, of a layer that is a function, or of None (linear)."""
    if value is None:
        return c.Activation(kind=_LINEAR)
    if isinstance(value, str):
        found = _ACTIVATIONS.get(value)
        if found is None:
            known = ", ".join(_ACTIVATIONS)
            raise UnsupportedModelError(f"unknown activation '{value}'; known are {known}")
        return c.Activation(kind=found[0], **found[1])
    if isinstance(value, layers.Activation):
        return activation(value.activation)
    if isinstance(value, layers.Softmax):
        return activation("softmax")
    if isinstance(value, layers.LeakyReLU):
        return c.Activation(kind=_RELU, slope=real(value.negative_slope, "negative_slope"))
    if isinstance(value, layers.ReLU):
        return c.Activation(
            kind=_RELU,
            has_maximum=value.max_value is not None,
            maximum=real(value.max_value, "max_value"),
            slope=real(value.negative_slope, "negative_slope"),
            threshold=real(value.threshold, "threshold"),
        )
    if isinstance(value, layers.ELU):
        alpha = real(value.alpha, "alpha")
        return c.Activation(kind=_ELU, alpha=alpha) if alpha else c.Activation(kind=_RELU)
    raise InvalidArgumentError(
        f"an activation is a name, an activation layer or None, not {value!r}"
    )


def choice(value: Any, what: str, choices: dict[str, int]) -> int:
    """The number of a word."""
    if value not in choices:
        raise InvalidArgumentError(f"{what} must be one of {', '.join(choices)}, not {value!r}")
    return choices[value]


_MERGE_MODES = {"concat": 1, "sum": 2, "mul": 3, "ave": 4}
_PADDINGS = {"valid": 0, "same": 1, "causal": 2}
_PEEPHOLES = {"input": 1, "forget": 2, "output": 4}
_PADDING_HOLD, _PADDING_ZERO = 1, 2


# --- one function for each kind of layer -------------------------------------------------------

Adder = Callable[..., None]
_ADDERS: dict[type, Adder] = {}


def _adds(*kinds: type) -> Callable[[Adder], Adder]:
    """Registers a function ``(builder, name, layer)`` for classes of layers."""

    def register(function: Adder) -> Adder:
        for kind in kinds:
            _ADDERS[kind] = function
        return function

    return register


def _recurrent(layer: Any, merge_mode: str | None) -> c.RecurrentOptions:
    return c.RecurrentOptions(
        return_sequences=bool(layer.return_sequences),
        go_backwards=bool(layer.go_backwards),
        stateful=bool(layer.stateful),
        bidirectional=choice(merge_mode, "merge_mode", _MERGE_MODES) if merge_mode else 0,
        padding=_PADDING_ZERO if layer.zero_output_for_mask else 0,
        learn_initial_state=bool(layer.learn_initial_state),
        dropout=real(layer.dropout, "dropout"),
        recurrent_dropout=real(layer.recurrent_dropout, "recurrent_dropout"),
    )


def _peepholes(layer: layers.LSTM) -> tuple[int, bool]:
    """The bits of ``peepholes=``, and whether they are whole matrices. True and "dense" by itself
    mean all gates that the cell has."""
    value = layer.peepholes
    names = [value] if isinstance(value, str) else [] if isinstance(value, bool) else list(value)
    named = [name for name in names if name != "dense"]
    bits = 0
    for name in named:
        bits |= choice(name, "peepholes", _PEEPHOLES)
    if value is True or (names and not named):
        has_forget = layer.forget_gate and not layer.coupled_gates
        for name, has in zip(_PEEPHOLES, (layer.input_gate, has_forget, layer.output_gate)):
            bits |= _PEEPHOLES[name] if has else 0
    return bits, "dense" in names


@_adds(layers.SimpleRNN, layers.LSTM, layers.GRU)
def _add_recurrent(
    builder: GraphBuilder, name: bytes, layer: Any, merge_mode: str | None = None
) -> None:
    options: Any
    common: dict[str, Any] = {
        "units": integer(layer.units, "units"),
        "recurrent": _recurrent(layer, merge_mode),
        "activation": activation(layer.activation),
        "no_bias": not layer.use_bias,
    }
    if isinstance(layer, layers.SimpleRNN):
        options = c.SimpleRNNOptions(**common)
        builder.call("add_simple_rnn", name, options)
        return
    common["recurrent_activation"] = activation(layer.recurrent_activation)
    if isinstance(layer, layers.GRU):
        options = c.GRUOptions(**common, reset_before=not layer.reset_after)
        builder.call("add_gru", name, options)
        return
    peepholes, dense = _peepholes(layer)
    options = c.LSTMOptions(
        **common,
        output_activation=activation(layer.output_activation),
        no_input_gate=not layer.input_gate,
        no_forget_gate=not layer.forget_gate,
        no_output_gate=not layer.output_gate,
        couple_gates=bool(layer.coupled_gates),
        peepholes=peepholes,
        dense_peepholes=dense,
        layer_norm=bool(layer.layer_norm),
        layer_norm_epsilon=nonzero(layer.layer_norm_epsilon, "layer_norm_epsilon"),
        projection_size=integer(layer.projection_size or 0, "projection_size"),
        projection_clip=real(layer.projection_clip, "projection_clip"),
        cell_clip=real(layer.cell_clip, "cell_clip"),
        gate_clip=real(layer.gate_clip, "gate_clip"),
        zoneout=real(layer.zoneout, "zoneout"),
        truncate_gates=bool(layer.truncate_gates),
    )
    builder.call("add_lstm", name, options)


@_adds(layers.Bidirectional)
def _add_bidirectional(builder: GraphBuilder, name: bytes, layer: layers.Bidirectional) -> None:
    if not isinstance(layer.layer, (layers.SimpleRNN, layers.LSTM, layers.GRU)):
        raise InvalidArgumentError(f"Bidirectional takes a recurrent layer, not {layer.layer!r}")
    _add_recurrent(builder, name, layer.layer, layer.merge_mode)
    backward = layer.backward_layer
    if backward is None:
        return
    if not isinstance(backward, (layers.SimpleRNN, layers.LSTM, layers.GRU)):
        raise InvalidArgumentError(f"backward_layer must be a recurrent layer, not {backward!r}")
    if not backward.go_backwards:
        raise InvalidArgumentError("backward_layer must have go_backwards=True, as in Keras")
    builder.call("set_backward", name)
    _add_recurrent(builder, name + b".backward", backward)


@_adds(layers.FinalState)
def _add_final_state(builder: GraphBuilder, name: bytes, layer: layers.FinalState) -> None:
    builder.call("add_final_state", name, integer(layer.state, "state"))


@_adds(layers.TimeDistributed)
def _add_time_distributed(
    builder: GraphBuilder, name: bytes, layer: layers.TimeDistributed
) -> None:
    add = _ADDERS.get(type(layer.layer))
    if add is None:
        raise InvalidArgumentError(f"TimeDistributed takes a layer, not {layer.layer!r}")
    builder.call("distribute")
    add(builder, name, layer.layer)


@_adds(layers.Input)
def _add_input(builder: GraphBuilder, name: bytes, layer: layers.Input) -> None:
    shape = layer.shape
    rank = 1 if layer.takes_ids else 2
    if not 1 <= len(shape) <= rank:
        wanted = "(time,) for ids" if layer.takes_ids else "(features,) or (time, features)"
        raise InvalidArgumentError(f"the shape of an Input is {wanted}, not {shape}")
    steps = shape[0] if len(shape) == rank else 0
    options = c.InputOptions(
        features=0 if layer.takes_ids else integer(shape[-1], "features"),
        time=-1 if steps is None else integer(steps, "time"),
        is_ids=layer.takes_ids,
        batch=integer(layer.batch_size or 0, "batch_size"),
    )
    builder.call("add_input", name, options)


@_adds(layers.Dense)
def _add_dense(builder: GraphBuilder, name: bytes, layer: layers.Dense) -> None:
    options = c.DenseOptions(
        units=integer(layer.units, "units"),
        activation=activation(layer.activation),
        no_bias=not layer.use_bias,
    )
    builder.call("add_dense", name, options)


@_adds(layers.Embedding)
def _add_embedding(builder: GraphBuilder, name: bytes, layer: layers.Embedding) -> None:
    options = c.EmbeddingOptions(
        vocabulary=integer(layer.input_dim, "input_dim"),
        dimension=integer(layer.output_dim, "output_dim"),
        mask_zero=bool(layer.mask_zero),
    )
    builder.call("add_embedding", name, options)


@_adds(layers.Conv1D)
def _add_conv1d(builder: GraphBuilder, name: bytes, layer: layers.Conv1D) -> None:
    options = c.Conv1DOptions(
        filters=integer(layer.filters, "filters"),
        kernel_size=_single(layer.kernel_size, "kernel_size"),
        stride=_single(layer.strides, "strides"),
        dilation=_single(layer.dilation_rate, "dilation_rate"),
        groups=integer(layer.groups, "groups"),
        activation=activation(layer.activation),
        padding=choice(layer.padding, "padding", _PADDINGS),
        no_bias=not layer.use_bias,
    )
    builder.call("add_conv1d", name, options)


def _single(value: Any, what: str) -> int:
    """Keras also writes one number as a tuple of one."""
    is_tuple = isinstance(value, (tuple, list)) and len(value) == 1
    return integer(value[0] if is_tuple else value, what)


@_adds(layers.MaxPooling1D, layers.AveragePooling1D)
def _add_pooling(builder: GraphBuilder, name: bytes, layer: Any) -> None:
    options = c.Pooling1DOptions(
        kind=int(isinstance(layer, layers.AveragePooling1D)),
        pad_to_same=choice(layer.padding, "padding", {"valid": 0, "same": 1}),
        pool_size=_single(layer.pool_size, "pool_size"),
        stride=0 if layer.strides is None else _single(layer.strides, "strides"),
    )
    builder.call("add_pooling1d", name, options)


@_adds(layers.GlobalMaxPooling1D, layers.GlobalAveragePooling1D)
def _add_global_pooling(builder: GraphBuilder, name: bytes, layer: Any) -> None:
    kind = int(isinstance(layer, layers.GlobalAveragePooling1D))
    builder.call("add_global_pooling1d", name, kind, bool(layer.keepdims))


@_adds(layers.BatchNormalization, layers.LayerNormalization)
def _add_normalization(builder: GraphBuilder, name: bytes, layer: Any) -> None:
    options = c.NormalizationOptions(
        epsilon=nonzero(layer.epsilon, "epsilon"),
        no_scale=not layer.scale,
        no_center=not layer.center,
    )
    if isinstance(layer, layers.BatchNormalization):
        options.momentum = nonzero(layer.momentum, "momentum")
        builder.call("add_batch_normalization", name, options)
    else:
        builder.call("add_layer_normalization", name, options)


@_adds(layers.Activation, layers.ReLU, layers.LeakyReLU, layers.ELU, layers.Softmax)
def _add_activation(builder: GraphBuilder, name: bytes, layer: Any) -> None:
    builder.call("add_activation", name, activation(layer))


@_adds(layers.PReLU)
def _add_prelu(builder: GraphBuilder, name: bytes, layer: layers.PReLU) -> None:
    axes = list(layer.shared_axes or ())
    if axes not in ([], [1]):
        raise UnsupportedModelError(f"PReLU can share its slopes in time, (1,), not over {axes}")
    builder.call("add_prelu", name, bool(axes))


@_adds(layers.Masking)
def _add_masking(builder: GraphBuilder, name: bytes, layer: layers.Masking) -> None:
    builder.call("add_masking", name, real(layer.mask_value, "mask_value"))


_DROPOUTS = {
    layers.Dropout: (0, "rate"),
    layers.SpatialDropout1D: (1, "rate"),
    layers.GaussianDropout: (2, "rate"),
    layers.GaussianNoise: (3, "stddev"),
    layers.AlphaDropout: (4, "rate"),
}


@_adds(*_DROPOUTS)
def _add_dropout(builder: GraphBuilder, name: bytes, layer: Any) -> None:
    kind, field = _DROPOUTS[type(layer)]
    builder.call("add_dropout", name, kind, real(getattr(layer, field), field))


@_adds(layers.Flatten)
def _add_flatten(builder: GraphBuilder, name: bytes, layer: layers.Flatten) -> None:
    builder.call("add_flatten", name)


@_adds(layers.Reshape)
def _add_reshape(builder: GraphBuilder, name: bytes, layer: layers.Reshape) -> None:
    target = layer.target_shape
    shape = target if isinstance(target, (tuple, list)) else (target,)
    extents = [integer(extent, "target_shape") for extent in shape]
    builder.call("add_reshape", name, int64_array(extents), len(extents))


@_adds(layers.Permute)
def _add_permute(builder: GraphBuilder, name: bytes, layer: layers.Permute) -> None:
    if tuple(layer.dims) != (2, 1):
        raise UnsupportedModelError(
            f"Permute exchanges time and features, dims (2, 1), not {layer.dims}"
        )
    builder.call("add_permute", name)


@_adds(layers.RepeatVector)
def _add_repeat_vector(builder: GraphBuilder, name: bytes, layer: layers.RepeatVector) -> None:
    builder.call("add_repeat_vector", name, integer(layer.n, "n"))


@_adds(layers.ZeroPadding1D)
def _add_zero_padding(builder: GraphBuilder, name: bytes, layer: layers.ZeroPadding1D) -> None:
    padding = layer.padding
    left, right = padding if isinstance(padding, (tuple, list)) else (padding, padding)
    builder.call("add_zero_padding1d", name, integer(left, "padding"), integer(right, "padding"))


@_adds(layers.UpSampling1D)
def _add_up_sampling(builder: GraphBuilder, name: bytes, layer: layers.UpSampling1D) -> None:
    builder.call("add_up_sampling1d", name, integer(layer.size, "size"))


_MERGES = (
    layers.Concatenate,
    layers.Add,
    layers.Subtract,
    layers.Multiply,
    layers.Average,
    layers.Maximum,
    layers.Minimum,
)


@_adds(*_MERGES)
def _add_merge(builder: GraphBuilder, name: bytes, layer: Any) -> None:
    builder.call("add_merge", name, _MERGES.index(type(layer)))


# --- the graph ---------------------------------------------------------------------------------


class GraphBuilder:
    """The C builder, with names for layers that have none."""

    def __init__(self, name: str | None) -> None:
        lib = c.library()
        self.handle = c.make(
            lib.carousel_builder_create, lib.carousel_builder_free, c.encode(name, "name")
        )
        self.names: dict[layers.Tensor, bytes] = {}
        #: By layer: the name under which it was added first.
        self._owners: dict[layers.Layer, bytes] = {}
        self._taken: set[str] = set()

    def call(self, function: str, *arguments: Any) -> None:
        getattr(c.library(), f"carousel_builder_{function}")(self.handle, *arguments)

    def reserve(self, tensors: Iterable[layers.Tensor]) -> None:
        """Keeps the names that are given from being made up for others."""
        self._taken.update(one.layer.name for one in tensors if one.layer.name)

    def name_of(self, tensor: layers.Tensor) -> str:
        """The layer's own name, or one like ``lstm``, ``lstm_1``, of a state ``lstm.h``."""
        layer = tensor.layer
        owner = self._owners.get(layer)
        if layer.name is not None and owner is None:
            return layer.name
        if isinstance(layer, layers.FinalState):
            stem = f"{self.names[tensor.inputs[0]].decode()}.{layer.suffix}"
        else:
            stem = owner.decode() if owner else _snake_case(type(layer).__name__)
        name, number = stem, 0
        while name in self._taken:
            number += 1
            name = f"{stem}_{number}"
        self._taken.add(name)
        return name

    def add(self, tensor: layers.Tensor) -> None:
        layer = tensor.layer
        add = _ADDERS.get(type(layer))
        if add is None:
            raise InvalidArgumentError(f"a network is made of layers, not of {layer!r}")
        text = self.name_of(tensor)
        owner = self._owners.get(layer)
        name = c.encode(text, "layer name") or b""
        try:
            if tensor.inputs:
                names = [self.names[item] for item in tensor.inputs]
                self.call("read", text_array(names), len(names))
            if owner is not None:
                self.call("share", owner)
            add(self, name, layer)
            inner = getattr(layer, "layer", layer)
            if not (layer.trainable and inner.trainable) and owner is None:
                self.call("freeze", name)
        except InvalidArgumentError as error:
            if f"'{text}'" in error.message:
                raise
            raise type(error)(f"layer '{text}': {error.message}") from None
        self.names[tensor] = name
        self._owners.setdefault(layer, name)

    def build(self, outputs: Sequence[layers.Tensor], dtype: int, seed: int) -> c.Handle:
        lib = c.library()
        for tensor in outputs:
            self.call("add_output", self.names[tensor])
        return c.make(
            lib.carousel_builder_build, lib.carousel_network_free, self.handle, dtype, seed
        )


def _snake_case(name: str) -> str:
    """``TimeDistributed`` to ``time_distributed``, ``LSTM`` to ``lstm``, as Keras."""
    spread = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", spread).lower()


def chain(
    stack: Sequence[layers.Layer], input_size: Any
) -> tuple[list[layers.Tensor], list[layers.Tensor]]:
    """Inputs and outputs of layers that feed each other in turn."""
    if not stack:
        raise InvalidArgumentError("a network needs at least one layer")
    for layer in stack:
        if not isinstance(layer, layers.Layer):
            raise InvalidArgumentError(f"a network is made of layers, not of {layer!r}")
    first, rest = stack[0], stack[1:]
    if not isinstance(first, layers.Input):
        first, rest = _implied_input(first, input_size), stack
    elif input_size is not None:
        raise InvalidArgumentError("give either an Input layer or input_size, not both")
    tensor = start = first.tensor
    for layer in rest:
        tensor = layer(tensor)
    return [start], [tensor]


def _implied_input(first: layers.Layer, input_size: Any) -> layers.Input:
    """The input that the first layer reads: ids, sequences, or vectors for a RepeatVector."""
    if isinstance(first, layers.Embedding):
        return layers.Input((None,), dtype="int32")
    if input_size is None:
        raise InvalidArgumentError(
            "input_size= is missing: the number of features of a step (or begin with an Input)"
        )
    if isinstance(input_size, (tuple, list)):
        return layers.Input(tuple(input_size))
    features = integer(input_size, "input_size")
    return layers.Input((features,) if isinstance(first, layers.RepeatVector) else (None, features))


Tensors = Union[layers.Tensor, layers.Input, Sequence[Union[layers.Tensor, layers.Input]]]


def as_tensors(value: Tensors) -> list[layers.Tensor]:
    several = value if isinstance(value, (list, tuple)) else [value]
    return [layers.as_tensor(item) for item in several]


def sort(inputs: Sequence[layers.Tensor], outputs: Sequence[layers.Tensor]) -> list[layers.Tensor]:
    """All tensors, each after those that it is made of; inputs first, in the order given."""
    ordered: list[layers.Tensor] = list(inputs)
    known = set(inputs)
    for output in outputs:
        pending = [(output, False)]
        while pending:
            tensor, is_ready = pending.pop()
            if tensor in known:
                continue
            if is_ready:
                known.add(tensor)
                ordered.append(tensor)
                continue
            if isinstance(tensor.layer, layers.Input):
                raise InvalidArgumentError(f"{tensor.layer!r} is used but is none of the inputs")
            pending.append((tensor, True))
            pending.extend((item, False) for item in reversed(tensor.inputs))
    return ordered


def build(
    inputs: Sequence[layers.Tensor],
    outputs: Sequence[layers.Tensor],
    name: str | None,
    dtype: int,
    seed: int,
) -> c.Handle:
    """The network between inputs and outputs."""
    builder = GraphBuilder(name)
    ordered = sort(inputs, outputs)
    builder.reserve(ordered)
    for tensor in ordered:
        builder.add(tensor)
    return builder.build(outputs, dtype, seed)
