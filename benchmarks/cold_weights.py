"""What the kernels of a build lose by weights that have left the cache until they are read again.

A kernel that is timed alone finds its weights in the cache. In a whole, all other weights are read before it reads its
own again. So each kernel is timed by turns on as many copies of its weights as have the bytes of all weights together,
and on one copy: the difference is what it loses.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tvm

_ENOUGH_BYTES = 256 << 20  # several times any cache
_MOST_COPIES = 256
_PASSES = 5
_SECONDS = 0.01  # of a pass, at least


class Call(NamedTuple):
    """A kernel of a build, how often it runs, and the arguments of one of its runs.

    Attributes
    ----------
    weights : sequence of int
        Which of the arguments are constants of the build.
    """

    function: Callable[..., Any]
    runs: int
    arguments: Sequence[tvm.nd.NDArray]
    weights: Sequence[int]

    @property
    def weight_bytes(self) -> int:
        return sum(_num_bytes(self.arguments[place]) for place in self.weights)

    def lost_ms(self, all_bytes: float) -> float:
        """Milliseconds that all its runs lose in a whole with so many bytes of weights."""
        copies = min(int(np.ceil(all_bytes / max(self.weight_bytes, 1))), _MOST_COPIES)
        if copies < 2:
            return 0.0
        return self.runs * (self._ms([self._copy() for _ in range(copies)]) - self._ms([self.arguments] * copies))

    def _copy(self) -> list[tvm.nd.NDArray]:
        """The arguments, with weights of its own."""
        device = tvm.cpu(0)
        return [tvm.nd.array(one, device) if i in self.weights else one for i, one in enumerate(self.arguments)]

    def _ms(self, each: Sequence[Sequence[tvm.nd.NDArray]]) -> float:
        """Milliseconds of a run, the median of some passes over several arguments."""
        times: list[float] = []
        first = time.perf_counter()
        while len(times) < _PASSES or time.perf_counter() - first < _PASSES * _SECONDS:
            start = time.perf_counter()
            for arguments in each:
                self.function(*arguments)
            times.append(time.perf_counter() - start)
        return statistics.median(times[1:]) / len(each) * 1e3


def calls_of(library: Any) -> list[Call]:
    """The kernels of a build for TVM's graph executor, those that are the same once."""
    graph, module, constants = json.loads(library.get_graph_json()), library.get_lib(), library.get_params()
    nodes, first = graph["nodes"], graph["node_row_ptr"]
    shapes, dtypes = graph["attrs"]["shape"][1], graph["attrs"]["dltype"][1]
    rng, device = np.random.default_rng(0), tvm.cpu(0)

    def random(entry: int) -> tvm.nd.NDArray:
        return tvm.nd.array(np.abs(rng.normal(size=shapes[entry])).astype(dtypes[entry]), device)

    found: dict[str, Call] = {}
    for number, node in enumerate(nodes):
        name = node["attrs"]["func_name"] if node["op"] == "tvm_op" else "__nop"
        if name == "__nop":
            continue
        if name in found:
            found[name] = found[name]._replace(runs=found[name].runs + 1)
            continue
        sources = [nodes[source]["name"] for source, _, _ in node["inputs"]]
        arguments = [
            constants[source] if source in constants else random(first[producer] + output)
            for source, (producer, output, _) in zip(sources, node["inputs"], strict=True)
        ]
        arguments += [random(first[number] + i) for i in range(int(node["attrs"]["num_outputs"]))]
        weights = [place for place, source in enumerate(sources) if source in constants]
        found[name] = Call(module[name], 1, arguments, weights)
    return list(found.values())


def lost_ms(calls: Sequence[Call], all_bytes: float) -> float:
    """Milliseconds that all kernels lose in a whole with so many bytes of weights."""
    return sum(call.lost_ms(min(all_bytes, _ENOUGH_BYTES)) for call in calls)


def _num_bytes(array: tvm.nd.NDArray) -> int:
    return int(np.prod(array.shape)) * np.dtype(array.dtype).itemsize
