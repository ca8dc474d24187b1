"""What the networks of `hdp` see: numbers about each colocation class, and about each group of classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tvm_go.arrays import sums
from tvm_go.graph import Int32, Int64
from tvm_go.simulate import Machine, Workload
from tvm_go.simulate.workload import Floats

Float32 = NDArray[np.float32]

_POSITION_WAVES = 6  # the shortest tells parts of 1/64 of the graph apart


@dataclass(frozen=True, eq=False)
class Classes:
    """A workload seen as C colocation classes, the things that are placed.

    Attributes
    ----------
    features : float32 [C, F]
        About zero mean and unit variance.
    allowed : bool [C, D]
        Where all ops of a class can run.
    fallback : int32 [C]
        The quickest device for a class: where it goes if it is sent to one that cannot run it.
    edge_src, edge_dst : int32 [E']
        Edges between different classes.
    edge_weight : float32 [E']
        Logarithm of the bytes that travel, about 1 on average.
    work_ms : float
        Time of all ops, each on its quickest device.
    """

    features: Float32
    allowed: NDArray[np.bool_]
    fallback: Int32
    edge_src: Int32
    edge_dst: Int32
    edge_weight: Float32
    work_ms: float

    @property
    def count(self) -> int:
        return len(self.features)


def classes_of(workload: Workload, machine: Machine) -> Classes:
    """Sum ops up to classes and describe each by costs, bytes, degrees, position and its neighbours."""
    label, count = workload.colocation, workload.num_classes
    op_ms = machine.op_ms(workload)
    class_ms = np.stack([sums(label, column, count) for column in op_ms.T], axis=1)  # [C, D], inf where not
    source, reader = label[workload.edge_src], label[workload.edge_dst]
    across = source != reader
    source, reader = source[across], reader[across]
    edge_weight = np.log1p(workload.output_bytes[workload.edge_src[across]])
    size = np.bincount(label, minlength=count)
    position = sums(label, np.linspace(0.0, 1.0, len(label)), count) / size
    kinds = [device.kind for device in machine.devices]
    own_ms = class_ms[:, sorted(kinds.index(kind) for kind in set(kinds))]  # devices of a kind cost the same
    into, out = np.bincount(reader, minlength=count), np.bincount(source, minlength=count)
    own = np.column_stack(
        [
            _log_scaled(np.where(np.isfinite(own_ms), own_ms, 0.0)),
            ~np.isfinite(own_ms),
            _log_scaled(sums(label, workload.resident_bytes, count)),
            _log_scaled(sums(label, workload.output_bytes, count)),
            np.log1p(size),
            np.log1p(into),
            np.log1p(out),
        ]
    )
    places = np.column_stack([position, *_waves(position)])
    around = [
        sums(ends, values[others], count) / np.maximum(degree, 1)
        for ends, others, degree in ((reader, source, into), (source, reader, out))
        for values in (*own.T, position)
    ]
    best_ms = op_ms.min(axis=1)
    return Classes(
        features=_standard(np.column_stack([own, places, *around])),
        allowed=np.isfinite(class_ms),
        fallback=class_ms.argmin(axis=1).astype(np.int32),
        edge_src=source,
        edge_dst=reader,
        edge_weight=(edge_weight / max(float(edge_weight.mean()) if len(edge_weight) else 0.0, 1e-9)).astype(
            np.float32
        ),
        work_ms=float(best_ms.sum()),
    )


def group_embeddings(classes: Classes, group: Int32, num_groups: int) -> Float32:
    """Describe groups: mean features of their classes, size, and how much each sends to and gets from each other.

    Parameters
    ----------
    group : int32 [M, C]
        Some groupings.

    Returns
    -------
    float32 [M, G, F + 1 + 2 G]
        All zero for an empty group.
    """
    embedding = np.zeros((len(group), num_groups, classes.features.shape[1] + 1 + 2 * num_groups), dtype=np.float32)
    for one, into in zip(group, embedding, strict=True):
        _embed(classes.features, classes.edge_src, classes.edge_dst, classes.edge_weight, one, into)
    return embedding


@njit(cache=True, nogil=True)
def _embed(
    features: Float32, edge_src: Int32, edge_dst: Int32, edge_weight: Float32, group: Int32, embedding: Float32
) -> None:
    width, num_groups = features.shape[1], embedding.shape[0]
    size: Int64 = np.zeros(num_groups, dtype=np.int64)
    for i in range(len(group)):
        size[group[i]] += 1
        for f in range(width):
            embedding[group[i], f] += features[i, f]
    for e in range(len(edge_src)):
        one, other = group[edge_src[e]], group[edge_dst[e]]
        embedding[one, width + 1 + other] += edge_weight[e]
        embedding[other, width + 1 + num_groups + one] += edge_weight[e]
    for g in range(num_groups):
        for f in range(width):
            embedding[g, f] /= max(size[g], 1)
        for f in range(width + 1, embedding.shape[1]):
            embedding[g, f] = np.log1p(embedding[g, f])
        embedding[g, width] = np.log1p(np.float32(size[g]))


def _log_scaled(values: Floats) -> Floats:
    """Logarithm that takes 0: relative to the mean of what is positive, a thousandth of it being the smallest unit."""
    positive = values[values > 0]
    return np.log1p(values / (1e-3 * positive.mean())) if len(positive) else values


def _waves(position: Floats) -> list[Floats]:
    angles = [np.pi * 2.0**k * position for k in range(_POSITION_WAVES)]
    return [wave(angle) for angle in angles for wave in (np.sin, np.cos)]


def _standard(columns: Floats) -> Float32:
    spread = columns.std(axis=0)
    return ((columns - columns.mean(axis=0)) / np.where(spread > 1e-9, spread, 1.0)).astype(np.float32)
