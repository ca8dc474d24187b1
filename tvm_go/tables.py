"""Plans as pandas tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tvm_go.graph import OpGraph
from tvm_go.kernels import members
from tvm_go.lowering import TE
from tvm_go.pandas import pandas
from tvm_go.plan_details import SOURCES
from tvm_go.report.words import labels, short

if TYPE_CHECKING:
    from pandas import DataFrame

    from tvm_go.plan import GraphPlan


def plan_table(plan: GraphPlan) -> DataFrame:
    """The kernels of a plan; see :meth:`tvm_go.GraphPlan.to_pandas`."""
    count = plan.num_kernels
    device = plan.device if len(plan.device) else np.zeros(count, dtype=np.int32)
    lowering = plan.lowering or (TE,) * count
    columns: dict[str, Any] = {
        "num_ops": np.bincount(plan.kernel, minlength=count),
        "device": [plan.devices[number] for number in device.tolist()],
        "lowering": [one.kind for one in lowering],
        "detail": [one.detail for one in lowering],
    }
    if plan.details is not None:
        graph, ms = plan.details.graph, plan.details.ms
        columns |= {
            "ops": _ops(graph, plan),
            "flops": np.bincount(plan.kernel, weights=graph.flops, minlength=count),
            "ms": ms,
            "share": ms / np.nansum(ms) if np.nansum(ms) else np.full(count, np.nan),
            "source": [SOURCES[number] for number in plan.details.source.tolist()],
        }
    table: DataFrame = pandas().DataFrame(columns)
    table.index.name = "kernel"
    return table


def _ops(graph: OpGraph, plan: GraphPlan) -> list[str]:
    starts, ops = members(plan.kernel)
    names = [short(graph.op_names[number]) for number in graph.op_name[ops].tolist()]
    return labels(names, starts.tolist())
