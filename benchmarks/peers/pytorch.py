"""PyTorch: nn.LSTM (oneDNN inside), and nn.LSTMCell, its faster way to take single steps."""

from __future__ import annotations

import oracle
import torch


def fill(module: torch.nn.Module, layers) -> None:
    with torch.no_grad():
        for number, layer in enumerate(layers):
            for direction, weights in zip(("", "_reverse"), layer):
                suffix = f"_l{number}{direction}"
                getattr(module, "weight_ih" + suffix).copy_(torch.from_numpy(weights.input_kernel))
                getattr(module, "weight_hh" + suffix).copy_(
                    torch.from_numpy(weights.recurrent_kernel)
                )
                getattr(module, "bias_ih" + suffix).copy_(torch.from_numpy(weights.bias))
                getattr(module, "bias_hh" + suffix).zero_()


class LSTM:
    def __init__(self, threads: int):
        torch.set_num_threads(threads)
        self.version = f"PyTorch {torch.__version__}, nn.LSTM"

    def build(self, workload, data):
        module = torch.nn.LSTM(
            workload.input_size,
            workload.hidden_size,
            workload.layers,
            bidirectional=workload.bidirectional,
        )
        fill(module, data.layers)
        x = torch.from_numpy(data.x.copy())
        return getattr(self, workload.kind)(workload, data, module, x)

    def step(self, workload, data, module, x):
        state = self.zeros(workload, 1)

        def call(count):
            nonlocal state
            with torch.inference_mode():
                for _ in range(count):
                    _, state = module(x, state)

        def outputs():
            nonlocal state
            state = self.zeros(workload, 1)
            call(oracle.CHECKED_STEPS)
            return {"y": state[0].numpy().copy()}

        return call, outputs

    @staticmethod
    def zeros(workload, *leading):
        return tuple(torch.zeros(*leading, workload.batch, workload.hidden_size) for _ in "hc")

    def seq(self, workload, data, module, x):
        def call(count):
            with torch.inference_mode():
                for _ in range(count):
                    module(x)

        def outputs():
            with torch.inference_mode():
                return {"y": module(x)[0].numpy()}

        return call, outputs

    def train(self, workload, data, module, x):
        x.requires_grad_(True)
        gradient = torch.from_numpy(data.output_gradient.copy())

        def call(count):
            for _ in range(count):
                x.grad = None
                module.zero_grad(set_to_none=True)
                module(x)[0].backward(gradient)

        def outputs():
            call(1)
            return {
                "dx": x.grad.numpy(),
                "dw_ih": module.weight_ih_l0.grad.numpy(),
                "dw_hh": module.weight_hh_l0.grad.numpy(),
                "db": module.bias_ih_l0.grad.numpy(),
            }

        return call, outputs


class Cell(LSTM):
    def __init__(self, threads: int):
        super().__init__(threads)
        self.version = f"PyTorch {torch.__version__}, nn.LSTMCell"

    def build(self, workload, data):
        if workload.kind != "step":
            raise NotImplementedError("steps only")
        cell = torch.nn.LSTMCell(workload.input_size, workload.hidden_size)
        weights = data.layers[0][0]
        with torch.no_grad():
            cell.weight_ih.copy_(torch.from_numpy(weights.input_kernel))
            cell.weight_hh.copy_(torch.from_numpy(weights.recurrent_kernel))
            cell.bias_ih.copy_(torch.from_numpy(weights.bias))
            cell.bias_hh.zero_()
        x = torch.from_numpy(data.x[0].copy())
        state = self.zeros(workload)

        def call(count):
            nonlocal state
            with torch.inference_mode():
                for _ in range(count):
                    state = cell(x, state)

        def outputs():
            nonlocal state
            state = self.zeros(workload)
            call(oracle.CHECKED_STEPS)
            return {"y": state[0].numpy()[None].copy()}

        return call, outputs


PEERS = {"torch": LSTM, "torch_cell": Cell}
