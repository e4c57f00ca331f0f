"""The workload as an ONNX model, for ONNX Runtime and OpenVINO."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper, numpy_helper


def reorder(array: np.ndarray) -> np.ndarray:
    """Gates i, f, g, o to ONNX's i, o, f, c."""
    i, f, g, o = np.split(array, 4)
    return np.concatenate([i, o, f, g])


def onnx_model(workload, data) -> bytes:
    """x (T, B, I) -> y (T, B, D * H); of a step x, h0, c0 -> hn, cn."""
    hidden, directions = workload.hidden_size, workload.directions
    step = workload.kind == "step"
    constants, nodes, source = [], [], "x"

    def constant(name, array):
        constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    for number, layer in enumerate(data.layers):
        zeros = np.zeros(4 * hidden, np.float32)
        inputs = [
            source,
            constant(f"W{number}", np.stack([reorder(d.input_kernel) for d in layer])),
            constant(f"R{number}", np.stack([reorder(d.recurrent_kernel) for d in layer])),
            constant(f"B{number}", np.stack([np.r_[reorder(d.bias), zeros] for d in layer])),
        ]
        outputs = [f"Y{number}"]
        if step:
            inputs += ["", "h0", "c0"]
            outputs += ["hn", "cn"]
        direction = "bidirectional" if directions == 2 else "forward"
        nodes.append(
            helper.make_node("LSTM", inputs, outputs, hidden_size=hidden, direction=direction)
        )
        if step:
            break
        # (T, D, B, H) -> (T, B, D * H)
        turned = outputs[0]
        if directions == 2:
            turned = f"turned{number}"
            nodes.append(helper.make_node("Transpose", outputs, [turned], perm=[0, 2, 1, 3]))
        shape = np.array([workload.time_steps, workload.batch, directions * hidden], np.int64)
        source = "y" if number == workload.layers - 1 else f"y{number}"
        nodes.append(
            helper.make_node("Reshape", [turned, constant(f"shape{number}", shape)], [source])
        )

    def value(name, *shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    steps, batch = workload.time_steps, workload.batch
    inputs, outputs = [value("x", steps, batch, workload.input_size)], []
    if step:
        inputs += [value(name, 1, batch, hidden) for name in ("h0", "c0")]
        outputs += [value(name, 1, batch, hidden) for name in ("hn", "cn")]
    else:
        outputs += [value("y", steps, batch, directions * hidden)]
    graph = helper.make_graph(nodes, "lstm", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)])
    model.ir_version = 8
    return model.SerializeToString()
