"""Kernels that tell what a device can do: measured once per log, like all others, and kept there as such."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import tvm
from tvm import relay

from cost_model.dataset import PROBE, PROBE_STEPS, PROBES
from cost_model.oracle import KernelOracle
from relay_passes.dataflow import read
from relay_passes.extract import to_graph
from tvm_go.kernels import describe, kernel_keys, returned_values
from tvm_go.lowering import TE


def probe(name: str) -> tvm.IRModule:
    """One of :data:`~cost_model.dataset.PROBES`, as a module whose ops are one kernel."""
    x = relay.var("x", shape=PROBES[name])
    if name == "serial":
        body = relay.cumsum(x, axis=1)
    elif name == "compute":
        body = x
        for _ in range(PROBE_STEPS):
            body = body * relay.const(0.5) + relay.const(0.25)
    else:
        body = x + relay.const(1.0)
    return relay.transform.InferType()(tvm.IRModule.from_expr(relay.Function([x], body)))


def measure_probes(oracle: KernelOracle) -> None:
    """Make sure that the log holds what the probes take on the oracle's device.

    Raises
    ------
    MeasureError, LogError
        As the oracle.
    """
    for name in PROBES:
        flow = read(probe(name))
        graph = to_graph(flow)
        kernel = np.zeros(graph.num_ops, dtype=np.int32)
        (key,) = kernel_keys(graph, kernel)
        whole = describe(graph, np.arange(graph.num_ops, dtype=np.int32), returned_values(graph, kernel))
        replace(oracle, model=PROBE + name, answers={}).measure(flow, graph, [(key, whole, [TE])])
