"""The plan viewer: a plan, or a placement, as one HTML page that needs no network (docs/viewer.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvm_go.report.page import framed, page
from tvm_go.report.plan_scene import plan_scene
from tvm_go.report.split_scene import split_scene

if TYPE_CHECKING:
    from tvm_go.plan import GraphPlan

__all__ = ["framed", "page", "plan_page", "plan_scene", "split_scene"]


def plan_page(plan: GraphPlan, against: GraphPlan | None = None) -> str:
    """The page of a plan; see :meth:`tvm_go.GraphPlan.to_html`."""
    return page(plan_scene(plan, against))
