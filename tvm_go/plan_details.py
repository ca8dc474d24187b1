"""What a plan carries for those who look at it: its graph, the times of its kernels, and TVM's default beside it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tvm_go import graph_json
from tvm_go.arrays import freeze_arrays
from tvm_go.graph import Int32, OpGraph

if TYPE_CHECKING:
    from tvm_go.plan import GraphPlan

MEASURED, PREDICTED, FREE, UNKNOWN = "measured", "predicted", "free", "unknown"
SOURCES = (MEASURED, PREDICTED, FREE, UNKNOWN)
"""Where a kernel's time comes from; ``free``: it is a change of view, which TVM's executors do not run."""


@dataclass(frozen=True, eq=False)
class PlanDetails:
    """Graph and kernel times of a plan with N ops and K kernels.

    Attributes
    ----------
    graph : OpGraph
        The prepared model in the plan's forms.
    origin : int32 [N]
        Op of the base graph that each op came from; -1 for changes of layout that TVM put in between.
    ms : float64 [K]
        Milliseconds of each kernel; NaN where nobody knows.
    source : int8 [K]
        Where each time comes from: an index into ``SOURCES``.
    default : GraphPlan or None
        TVM's default plan of the same model, with details of its own; None if the plan is just that.
    """

    graph: OpGraph
    origin: Int32
    ms: NDArray[np.float64]
    source: NDArray[np.int8]
    default: GraphPlan | None = None

    def __post_init__(self) -> None:
        freeze_arrays(self)

    def to_json(self) -> dict[str, Any]:
        """One JSON object; a default plan on the same graph leaves that out."""
        default = self.default.to_json() if self.default is not None else None
        if self.default is not None and default is not None and "details" in default:
            own = self.default.workload == self.graph.structural_hash
            default["details"]["graph"] = None if own else default["details"]["graph"]
        return {
            "graph": graph_json.to_json(self.graph),
            "origin": graph_json.packed(self.origin),
            "ms": [value if math.isfinite(value) else None for value in self.ms.tolist()],
            "source": graph_json.packed(self.source),
            "default": default,
        }

    @staticmethod
    def from_json(data: Any, num_ops: int, num_kernels: int, read_plan: Callable[[Any], GraphPlan]) -> PlanDetails:
        """Read what :meth:`to_json` wrote.

        Parameters
        ----------
        num_ops, num_kernels : int
            Of the plan that the details belong to.
        read_plan : callable
            Reads the default plan's JSON.

        Raises
        ------
        KeyError, TypeError, ValueError, PlanError
            If it is something else, or does not belong to such a plan.
        """
        graph = graph_json.from_json(data["graph"])
        ms = np.array([math.nan if value is None else value for value in data["ms"]], dtype=np.float64)
        origin = graph_json.unpacked(data["origin"]).astype(np.int32)
        source = graph_json.unpacked(data["source"]).astype(np.int8)
        sizes = (graph.num_ops, len(origin), len(ms), len(source))
        if sizes != (num_ops, num_ops, num_kernels, num_kernels):
            raise ValueError(f"details of {sizes[0]} ops and {sizes[2]} kernels")
        if not np.all((source >= 0) & (source < len(SOURCES))):
            raise ValueError("an unknown source of a time")
        default = data["default"]
        if default is not None and default["details"]["graph"] is None:
            default = {**default, "details": {**default["details"], "graph": data["graph"]}}
        return PlanDetails(graph, origin, ms, source, None if default is None else read_plan(default))
