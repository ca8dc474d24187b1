"""Pages that need no network: the viewer of a plan or a placement (docs/viewer.md), the report of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvm_go.report.page import framed, page
from tvm_go.report.plan_scene import plan_scene
from tvm_go.report.run_page import run_page
from tvm_go.report.split_scene import split_scene

if TYPE_CHECKING:
    from tvm_go.plan import GraphPlan

__all__ = ["framed", "page", "plan_page", "plan_scene", "run_page", "split_scene"]


def plan_page(plan: GraphPlan, against: GraphPlan | None = None) -> str:
    """The page of a plan; see :meth:`tvm_go.GraphPlan.to_html`."""
    return page(plan_scene(plan, against))
