"""Minimum cuts: the best placement of what runs one thing after another, exact for two devices.

Under ``sequential`` a placement takes what its ops take, and one transfer of a tensor to each other device that reads
it, whatever the order. For two devices that is the value of a cut of a network, whose minimum is found in polynomial
time (Greig, Porteous and Seheult, "Exact maximum a posteriori estimation for binary images", 1989); for more, pairs of
devices exchange ops by such cuts until none gains (the swap moves of Boykov, Veksler and Zabih, "Fast approximate
energy minimization via graph cuts", PAMI 2001). Memory is not looked at.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

from tvm_go.errors import UsageError
from tvm_go.graph import Int32
from tvm_go.search.placement.problem import PlacementProblem
from tvm_go.simulate.costs import Costs, costs_of
from tvm_go.simulate.workload import Floats

_SOURCE, _SINK = 0, 1
_UNITS = 1e9  # all finite costs together; capacities are int32
_ENDLESS = np.iinfo(np.int32).max
_PRECISION = 1e-6  # of the value, after rounding
_MOST_SWEEPS = 20


def search(problem: PlacementProblem, rng: np.random.Generator) -> None:
    """Report the best placement, or for three devices and more one that no exchange of two devices betters.

    Raises
    ------
    UsageError
        If the objective is not ``sequential``.
    """
    if problem.objective != "sequential":
        raise UsageError(f"min_cut serves the objective sequential, not '{problem.objective}'; choose another strategy")
    costs = costs_of(problem.workload, problem.machine)
    class_ms = _by_class(costs, costs.op_ms)
    if not np.isfinite(class_ms).any(axis=1).all():
        return  # a colocation class runs nowhere
    device = np.argmin(class_ms, axis=1).astype(np.int32)
    value = float(problem.evaluate(device[costs.colocation][None])[0])
    pairs = list(itertools.combinations(range(problem.machine.num_devices), 2))
    for _ in range(_MOST_SWEEPS):
        before = value
        for first, second in pairs:
            if problem.exhausted:
                return
            swapped = _swapped(costs, class_ms, device, first, second)
            swapped_value = float(problem.evaluate(swapped[costs.colocation][None])[0])
            if swapped_value < value or not np.isfinite(value):
                device, value = swapped, swapped_value
        if len(pairs) == 1:
            problem.raise_bound(value * (1 - _PRECISION))
        if len(pairs) == 1 or not value < before:
            return


@dataclass
class _Network:
    """Arcs of a network between a source and a sink, with milliseconds as capacities."""

    nodes: int
    tails: list[Int32] = field(default_factory=list)
    heads: list[Int32] = field(default_factory=list)
    capacities: list[Floats] = field(default_factory=list)

    def add(
        self, tails: NDArray[np.integer] | int, heads: NDArray[np.integer] | int, capacities: Floats | float
    ) -> None:
        """Arcs; whatever is a single number holds for all."""
        tail, head, capacity = np.broadcast_arrays(tails, heads, capacities)
        self.tails.append(tail.astype(np.int32))
        self.heads.append(head.astype(np.int32))
        self.capacities.append(capacity.astype(np.float64))

    def new_nodes(self, count: int) -> Int32:
        self.nodes += count
        return np.arange(self.nodes - count, self.nodes, dtype=np.int32)

    def source_side(self) -> NDArray[np.bool_]:
        """Nodes that are on the source's side of a minimum cut: bool [nodes]."""
        capacity = np.concatenate(self.capacities)
        endless = np.isinf(capacity)
        total = float(capacity[~endless].sum())
        scale = _UNITS / total if total > 0 else 0.0
        units = np.where(endless, _ENDLESS, np.rint(np.where(endless, 0.0, capacity) * scale))
        place = (np.concatenate(self.tails), np.concatenate(self.heads))
        network = coo_array((units.astype(np.int32), place), shape=(self.nodes, self.nodes)).tocsr()
        left = network - maximum_flow(network, _SOURCE, _SINK).flow
        left.data = np.maximum(left.data, 0)
        left.eliminate_zeros()
        reached = np.zeros(self.nodes, dtype=np.bool_)
        reached[breadth_first_order(left, _SOURCE, return_predecessors=False)] = True
        return reached


def _swapped(costs: Costs, class_ms: Floats, device: Int32, first: int, second: int) -> Int32:
    """The best devices, int32 [C], if what is on two devices may be on either and the rest stays.

    A class is on the source's side where it is on the first device.
    """
    moves = ((device == first) | (device == second)) & np.isfinite(class_ms[:, [first, second]]).any(axis=1)
    network = _Network(2)
    node = np.full(len(device), -1, dtype=np.int32)
    node[moves] = network.new_nodes(int(moves.sum()))
    label, source = costs.colocation, costs.edge_src
    target = np.repeat(np.arange(len(label), dtype=np.int32), np.diff(costs.edge_start))
    apart = label[source] != label[target]
    source, target = source[apart], target[apart]
    settled = ~moves[label[target]]

    alone_ms = class_ms[:, [first, second]].copy()  # of each class on either device, whatever the others do
    for side, here in enumerate((first, second)):
        far = settled & moves[label[source]] & (device[label[target]] != here)
        to = np.unique(np.stack([source[far], device[label[target[far]]]], axis=1), axis=0)
        np.add.at(alone_ms, (label[to[:, 0]], side), _transfer_ms(costs, to[:, 0], here, to[:, 1]))
    alone_ms = alone_ms[moves] - alone_ms[moves].min(axis=1, keepdims=True)  # only the difference matters
    network.add(_SOURCE, node[moves], alone_ms[:, 1])
    network.add(node[moves], _SINK, alone_ms[:, 0])

    uses = np.unique(np.stack([source[~settled], label[target[~settled]]], axis=1), axis=0)
    producers, number = np.unique(uses[:, 0], return_inverse=True)
    reader, home = node[uses[:, 1]], device[label[producers]]
    free = moves[label[producers]]
    # One node per tensor and direction: it is with the producer unless one of the readers is on the other side.
    for here, there in ((first, second), (second, first)):
        copy = network.new_nodes(len(producers))
        from_ms = _transfer_ms(costs, producers, np.where(free, here, home), there)
        owner = np.where(free, node[label[producers]], _SOURCE if here == first else _SINK)
        if here == first:
            network.add(owner, copy, from_ms)
            network.add(copy[number], reader, np.inf)
        else:
            network.add(copy, owner, from_ms)
            network.add(reader, copy[number], np.inf)
    reached = network.source_side()
    result = device.copy()
    result[moves] = np.where(reached[node[moves]], first, second)
    return result


def _by_class(costs: Costs, values: Floats) -> Floats:
    """Sums over the ops of each colocation class: float64 [C, D]."""
    sums = np.zeros((int(costs.colocation.max(initial=-1)) + 1, values.shape[1]))
    np.add.at(sums, costs.colocation, values)
    return sums


def _transfer_ms(
    costs: Costs, op: NDArray[np.integer], source: NDArray[np.integer] | int, target: NDArray[np.integer] | int
) -> Floats:
    """Milliseconds of transfers of the tensors of ops; 0 within a device."""
    ms = costs.latency_ms[source, target] + costs.output_bytes[op] / costs.bytes_per_ms[source, target]
    return np.where(np.equal(source, target), 0.0, ms)
