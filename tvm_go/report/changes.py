"""What differs between two plans of one model: which kernels became which."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tvm_go.arrays import sums
from tvm_go.graph import Int32, Int64

KINDS = ("same", "merged", "split", "regrouped", "lowering", "form", "moved", "added")
"""Of a kernel: several of the other plan's; part of one; parts of several; the same ops in another lowering, in another
form or on another device; nothing there before."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """A plan of K kernels beside another one of K' kernels.

    Attributes
    ----------
    other_title : str
    kinds : tuple of str
        Vocabulary of ``change``.
    change : int32 [K]
        What became of each kernel, against the other plan.
    group, other_group : int32 [K], int32 [K']
        Kernels of both plans that have ops in common, directly or over others, are one group; -1 for the same ones.
    other_label : tuple of str [K']
        Names of the ops of the other plan's kernels; empty for those that are the same here.
    other_device : int32 [K']
        An index into this plan's devices; -1 for one that it does not have.
    other_ms : float64 [K']
        NaN where nobody knows.
    other_start_ms : float64 [K']
        When each of them starts if they run one after another, copies between them; NaN where nobody knows.
    """

    other_title: str
    kinds: tuple[str, ...]
    change: Int32
    group: Int32
    other_group: Int32
    other_label: tuple[str, ...]
    other_device: Int32
    other_ms: NDArray[np.float64]
    other_start_ms: NDArray[np.float64]

    @property
    def num_groups(self) -> int:
        return max(int(self.group.max(initial=-1)), int(self.other_group.max(initial=-1))) + 1

    def group_ms(self, ms: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Milliseconds of each group in the other plan, and in this one whose kernels take ``ms``: float64 [G]."""
        return _ms_of_groups(self.other_group, self.other_ms, self.num_groups), _ms_of_groups(
            self.group, ms, self.num_groups
        )


def links(identity: Int32, kernel: Int32, other_identity: Int32, other_kernel: Int32) -> tuple[Int64, Int64]:
    """Pairs of kernels, one of each partition, that have an op in common.

    Parameters
    ----------
    identity, kernel : int32 [N]
        What each op is, equal in both graphs for ops that are the same, -1 for one that is in no other graph; and its
        kernel.
    other_identity, other_kernel : int32 [N']

    Returns
    -------
    kernel, other_kernel : int64 [L]
        Sorted, each pair once.
    """
    known, other_known = np.flatnonzero(identity >= 0), np.flatnonzero(other_identity >= 0)
    order = other_known[np.argsort(other_identity[other_known], kind="stable")]
    sorted_identity = other_identity[order]
    first = np.searchsorted(sorted_identity, identity[known], side="left")
    count = np.searchsorted(sorted_identity, identity[known], side="right") - first
    mine = np.repeat(kernel[known].astype(np.int64), count)
    within = np.arange(len(mine)) - np.repeat(np.cumsum(count) - count, count)
    theirs = other_kernel[order[np.repeat(first, count) + within]]
    width = int(other_kernel.max(initial=-1)) + 1
    pairs = np.unique(mine * width + theirs)
    return pairs // max(width, 1), pairs % max(width, 1)


def changes(
    pairs: tuple[Int64, Int64],
    counts: tuple[int, int],
    one_to_one: tuple[tuple[str, NDArray[np.bool_]], ...],
) -> tuple[Int32, Int32, Int32]:
    """What became of each kernel, and which kernels of both plans belong to one change.

    Parameters
    ----------
    pairs : int64 [L] twice
        From :func:`links`.
    counts : int
        Kernels of both plans, K and K'.
    one_to_one : pairs of a kind and bool [L]
        Reasons why two kernels that hold the same ops differ all the same; the first that holds counts.

    Returns
    -------
    change : int32 [K]
        An index into :data:`KINDS`.
    group, other_group : int32 [K], int32 [K']
        As in :class:`Comparison`.
    """
    mine, theirs = pairs
    degree, other_degree = np.bincount(mine, minlength=counts[0]), np.bincount(theirs, minlength=counts[1])
    shared = np.zeros(counts[0], dtype=np.bool_)  # of whose other kernels a part is elsewhere
    shared[mine[other_degree[theirs] > 1]] = True
    change = np.full(counts[0], KINDS.index("same"), dtype=np.int32)
    change[(degree > 1) & ~shared] = KINDS.index("merged")
    change[(degree > 1) & shared] = KINDS.index("regrouped")
    change[(degree == 1) & shared] = KINDS.index("split")
    change[degree == 0] = KINDS.index("added")
    for kind, differs in reversed(one_to_one):
        change[mine[differs & (degree[mine] == 1) & (other_degree[theirs] == 1)]] = KINDS.index(kind)
    total = counts[0] + counts[1]
    joined = coo_array((np.ones(len(mine)), (mine, counts[0] + theirs)), shape=(total, total))
    number, part = connected_components(joined, directed=False)
    changed = np.zeros(number, dtype=np.bool_)
    changed[part[: counts[0]][change != KINDS.index("same")]] = True
    changed[part[counts[0] :][other_degree == 0]] = True
    renumbered = np.where(changed, np.cumsum(changed) - 1, -1).astype(np.int32)[part]
    return change, renumbered[: counts[0]], renumbered[counts[0] :]


def _ms_of_groups(group: Int32, ms: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    inside = group >= 0
    return sums(group[inside], ms[inside], count)
