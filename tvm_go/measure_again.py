"""Measure the kernels of other logs on a target: what a cost model needs of a new device, without the models."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

import numpy as np
import tvm
from tvm import relay

from cost_model.dataset import PROBE
from cost_model.oracle import KernelOracle
from cost_model.rebuild import rebuilt, side_by_side
from cost_model.structure import Structure
from relay_passes.dataflow import read
from relay_passes.extract import to_graph
from tuning_logs import KernelRecord, TuningLog
from tvm_go.collect import oracles_into
from tvm_go.errors import LogError
from tvm_go.kernels import describe, kernel_keys, members, returned_values

_LOGGER = logging.getLogger(__name__)
_BATCH = 200  # kernels of one call, so that the builders have work


def measure_again(
    log: TuningLog,
    records: Iterable[KernelRecord],
    target: tvm.target.Target,
    *,
    seconds: float = float("inf"),
    on_batch: Callable[[int, int], None] = lambda done, kernels: None,
) -> int:
    """Measure each kernel of some records in each lowering that a log lacks of it, after the probes.

    Parameters
    ----------
    log : TuningLog
        Answers first; takes what is measured.
    records : iterable of KernelRecord
        Of any targets.
    target : tvm.target.Target
    seconds : float
        When to stop all the same.
    on_batch : callable
        Gets how many kernels are done, and how many there are.

    Returns
    -------
    int
        Kernels that cannot be built again, and are left out.

    Raises
    ------
    LogError
        If no record says what its kernel is, or the log cannot be written.
    MeasureError
        As the oracle.
    """
    wanted: dict[str, dict[str, Structure]] = {}  # by model and key
    seen: set[str] = set()
    for one in records:
        if one.structure is not None and one.key not in seen and not one.model.startswith(PROBE):
            seen.add(one.key)
            wanted.setdefault(one.model, {})[one.key] = one.structure
    if not wanted:
        raise LogError("no record says what its kernel is: `tvm-go log collect` makes such logs")
    deadline = time.monotonic() + seconds
    done = lost = 0
    with oracles_into(log, target) as oracle_of:
        for model, kernels in wanted.items():
            oracle, keys = oracle_of(model), list(kernels)
            for first in range(0, len(keys), _BATCH):
                if time.monotonic() >= deadline:
                    return lost
                part = keys[first : first + _BATCH]
                lost += len(part) - _measure(oracle, {key: kernels[key] for key in part})
                done += len(part)
                on_batch(done, len(seen))
    return lost


def _measure(oracle: KernelOracle, kernels: dict[str, Structure]) -> int:
    """Measure some kernels at once; how many of them could be built again."""
    found = {key: _rebuilt(one) for key, one in kernels.items()}
    functions = {key: function for key, function in found.items() if function is not None}
    flow = read(side_by_side(list(functions.values())))
    graph = to_graph(flow)
    kernel = np.repeat(np.arange(len(functions)), [len(kernels[key]["ops"]) for key in functions]).astype(np.int32)
    starts, ops = members(kernel)
    returned = returned_values(graph, kernel)
    requests = [
        (key, describe(graph, ops[start:end], returned))
        for key, again, start, end in zip(functions, kernel_keys(graph, kernel), starts[:-1], starts[1:], strict=True)
        if key == again
    ]
    oracle.confirm(flow, graph, requests)
    return len(requests)


def _rebuilt(kernel: Structure) -> relay.Function | None:
    try:
        return rebuilt(kernel)
    except LogError as error:
        _LOGGER.info("%s", error)
        return None
