"""JAX: jit of lax.scan, with the input product of the whole sequence done in one go."""

from __future__ import annotations

import os
import sys

os.environ["JAX_PLATFORMS"] = "cpu"
if sys.argv[-1] == "1":
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import jax
import jax.numpy as jnp
import numpy as np
import oracle


def cell(a, c):
    i, f, g, o = jnp.split(a, 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def forward(parameters, x):
    for layer in parameters:
        outputs = []
        for number, (kernel, recurrent, bias) in enumerate(layer):
            fed = jnp.einsum("tbi,io->tbo", x, kernel) + bias
            zero = jnp.zeros((x.shape[1], recurrent.shape[0]), jnp.float32)

            def step(state, row, recurrent=recurrent):
                h, c = cell(row + state[0] @ recurrent, state[1])
                return (h, c), h

            outputs.append(jax.lax.scan(step, (zero, zero), fed, reverse=number == 1)[1])
        x = outputs[0] if len(outputs) == 1 else jnp.concatenate(outputs, axis=-1)
    return x


class Scan:
    def __init__(self, threads: int):
        self.version = f"JAX {jax.__version__}, jit and lax.scan"

    def build(self, workload, data):
        parameters = [
            [
                (
                    jnp.asarray(d.input_kernel.T.copy()),
                    jnp.asarray(d.recurrent_kernel.T.copy()),
                    jnp.asarray(d.bias),
                )
                for d in layer
            ]
            for layer in data.layers
        ]
        x = jnp.asarray(data.x)
        if workload.kind == "step":
            return self.step(workload, parameters[0][0], x[0])
        if workload.kind == "seq":
            run = jax.jit(forward)
            last = lambda: {"y": np.asarray(run(parameters, x))}  # noqa: E731
        else:
            gradient = jnp.asarray(data.output_gradient)
            run = jax.jit(jax.grad(lambda p, a: jnp.sum(forward(p, a) * gradient), argnums=(0, 1)))

            def last():
                ((kernel, recurrent, bias), *_), *_ = (result := run(parameters, x))[0]
                return {
                    "dx": np.asarray(result[1]),
                    "dw_ih": np.asarray(kernel).T,
                    "dw_hh": np.asarray(recurrent).T,
                    "db": np.asarray(bias),
                }

        def call(count):
            for _ in range(count):
                jax.block_until_ready(run(parameters, x))

        return call, last

    @staticmethod
    def step(workload, weights, x):
        @jax.jit
        def run(weights, x, h, c):
            kernel, recurrent, bias = weights
            return cell(x @ kernel + bias + h @ recurrent, c)

        zero = jnp.zeros((workload.batch, workload.hidden_size), jnp.float32)
        state = (zero, zero)

        def call(count):
            nonlocal state
            h, c = state
            for _ in range(count):
                h, c = run(weights, x, h, c)
                h.block_until_ready()
            state = h, c

        def outputs():
            nonlocal state
            state = (zero, zero)
            call(oracle.CHECKED_STEPS)
            return {"y": np.asarray(state[0])[None]}

        return call, outputs


PEERS = {"jax": Scan}
