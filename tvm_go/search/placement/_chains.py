"""Dynamic program over chains of states: each link is one more device that takes what lies between two states."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tvm_go.graph import Int32
from tvm_go.simulate.workload import Floats


class Chains(NamedTuple):
    """The best chain to each of S states, by how many of A accelerators it uses and whether the host.

    Attributes
    ----------
    value_ms : float64 [S, A + 1, 2]
    before : int32 [S, A + 1, 2]
        The state before the last link.
    on_host : bool [S, A + 1, 2]
        Whether the last link is the host's.
    """

    value_ms: Floats
    before: Int32
    on_host: NDArray[np.bool_]


def empty_chains(states: int, accelerators: int) -> Chains:
    """Only the empty chain to state 0 is known."""
    shape = (states, accelerators + 1, 2)
    value_ms = np.full(shape, np.inf)
    value_ms[0, 0, 0] = 0.0
    return Chains(value_ms, np.zeros(shape, dtype=np.int32), np.zeros(shape, dtype=np.bool_))


@njit(cache=True, nogil=True)
def extend(chains: Chains, start: int, end: int, accelerator_ms: float, host_ms: float, summed: bool) -> None:
    """Try one link from a state to another, on an accelerator and on the host.

    A chain's value is the sum of its links, or the largest; in the latter case the host takes at most one of them.
    """
    value_ms, before, on_host = chains
    for used in range(value_ms.shape[1]):
        for host in range(2):
            base_ms = value_ms[start, used, host]
            if base_ms == np.inf:
                continue
            if used + 1 < value_ms.shape[1]:
                then_ms = base_ms + accelerator_ms if summed else max(base_ms, accelerator_ms)
                if then_ms < value_ms[end, used + 1, host]:
                    value_ms[end, used + 1, host] = then_ms
                    before[end, used + 1, host] = start
                    on_host[end, used + 1, host] = False
            if summed or host == 0:
                then_ms = base_ms + host_ms if summed else max(base_ms, host_ms)
                after = host if summed else 1
                if then_ms < value_ms[end, used, after]:
                    value_ms[end, used, after] = then_ms
                    before[end, used, after] = start
                    on_host[end, used, after] = True


def links(chains: Chains, summed: bool) -> list[tuple[int, int, int]]:
    """Links of the best chain to the last state: its two states and 0 for the host or 1, 2, .. for an accelerator.

    No links if there is no such chain.
    """
    end = len(chains.value_ms) - 1
    used, host = divmod(int(np.argmin(chains.value_ms[end])), 2)
    if not np.isfinite(chains.value_ms[end, used, host]):
        return []
    result = []
    while end:
        start, on_host = int(chains.before[end, used, host]), bool(chains.on_host[end, used, host])
        result.append((start, end, 0 if on_host else used))
        if not on_host:
            used -= 1
        elif not summed:
            host = 0
        end = start
    return result[::-1]
