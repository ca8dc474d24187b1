"""The nine light ONNX models of the onnx package, with weights that are worth computing with."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

Array = npt.NDArray[Any]
Weights = dict[str, tuple[str, tuple[int, ...]]]
"""Name of a weight -> its role (`conv`, `dense`, `scale`, `variance`, `offset`) and its shape."""

NAMES = (
    "alexnet",
    "densenet121",
    "inception_v1",
    "inception_v2",
    "resnet50",
    "shufflenet",
    "squeezenet",
    "vgg19",
    "zfnet512",
)

_ROLES = {
    ("Conv", 1): "conv",
    ("Gemm", 1): "dense",
    ("BatchNormalization", 1): "scale",
    ("BatchNormalization", 4): "variance",
    ("Mul", 1): "scale",
}


def load(name: str, draw: Callable[[Weights], dict[str, Array]]) -> onnx.ModelProto:
    """Return one of `NAMES` with initializers for all weights.

    A weight is an initializer or the output of ConstantOfShape, perhaps behind Unsqueeze or Reshape; the operator that
    reads it tells its role.

    Parameters
    ----------
    name
        One of `NAMES`.
    draw
        Gives the values of all weights: name -> float32 array of the shape asked for.
    """
    file = "light_bvlc_alexnet.onnx" if name == "alexnet" else f"light_{name}.onnx"
    model = onnx.load(Path(onnx.__file__).parent / "backend/test/data/light" / file)
    graph = model.graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    shapes = {key: value.shape for key, value in stored.items() if value.dtype == np.float32}
    nodes = []
    for node in graph.node:  # weights are drawn in the shape in which they are used
        if node.op_type == "ConstantOfShape":
            shapes[node.output[0]] = tuple(stored[node.input[0]].tolist())
        elif node.op_type == "Unsqueeze" and node.input[0] in shapes:
            (axes,) = (tuple(attribute.ints) for attribute in node.attribute)
            shapes[node.output[0]] = np.expand_dims(np.broadcast_to(0, shapes[node.input[0]]), axes).shape
        elif node.op_type == "Reshape" and node.input[0] in shapes:
            shapes[node.output[0]] = tuple(stored[node.input[1]].tolist())
        else:
            nodes.append(node)
    weights: Weights = {}
    kept: dict[str, Array] = {}
    for node in nodes:
        for index, key in enumerate(node.input):
            if key in shapes:
                weights[key] = (_ROLES.get((node.op_type, index), "offset"), shapes[key])
            elif key in stored:
                kept[key] = stored[key]
    initializers = [numpy_helper.from_array(value, key) for key, value in (kept | draw(weights)).items()]
    inputs = [value for value in graph.input if value.name not in stored]
    plain = onnx.helper.make_graph(nodes, graph.name, inputs, graph.output, initializer=initializers)
    return onnx.helper.make_model(plain, opset_imports=model.opset_import)
