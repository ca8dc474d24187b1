"""Devices that can be exchanged without any difference, and one name for placements that differ in nothing else."""

from __future__ import annotations

import numpy as np

from tvm_go.graph import Int64
from tvm_go.simulate import Machine


def alike_devices(machine: Machine) -> Int64:
    """Group of each device: int64 [D]; devices of one group may swap their names.

    Two are alike if they are of the same kind, with the same memory, and their links to and from all others, and to one
    another, are equally quick. Which transfers wait for one another is not looked at.
    """
    tables = (machine.bytes_per_ms, machine.latency_ms)
    group = np.arange(machine.num_devices)
    for later in range(machine.num_devices):
        for first in range(later):
            one, other = machine.devices[first], machine.devices[later]
            same = (one.kind, one.memory_bytes) == (other.kind, other.memory_bytes)
            if group[first] == first and same and all(_swaps(table, first, later) for table in tables):
                group[later] = first
                break
    return group


def canonical(device: Int64, group: Int64) -> Int64:
    """Rename alike devices so that, in each group, they stand in the order of what they hold: int64 [C].

    Colocation classes are numbered along the graph, so a device is before another if the mean number of its classes is
    smaller. Devices with less than a quarter of an equal share of the classes come after the others, and those with
    nothing last: a few classes that went astray do not rename what holds the graph.

    Parameters
    ----------
    device : int64 [C]
        Device of each class.
    group : int64 [D]
        See `alike_devices`.
    """
    count = len(group)
    held = np.bincount(device, minlength=count)
    total = np.bincount(device, weights=np.arange(len(device), dtype=np.float64), minlength=count)
    mean = total / np.maximum(held, 1)
    rank = np.where(held == 0, 2, held * 4 * count < len(device))
    name = np.arange(count)
    for label in np.unique(group):
        members = np.flatnonzero(group == label)
        name[members[np.lexsort((mean[members], rank[members]))]] = members
    return name[device]


def _swaps(table: np.typing.NDArray[np.float64], one: int, other: int) -> bool:
    """Whether a table of links is the same after two devices swap."""
    order = np.arange(len(table))
    order[[one, other]] = other, one
    return bool(np.array_equal(table, table[np.ix_(order, order)]))
