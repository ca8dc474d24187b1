"""Plans with details, of synthetic graphs, and pages read back."""

from __future__ import annotations

import base64
import gzip
import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.synthetic import synthetic
from tvm_go import Decisions, GraphPlan
from tvm_go.copies import copies
from tvm_go.graph import OpGraph
from tvm_go.kernels import free_kernels, kernel_keys
from tvm_go.lowering import TE, TIR
from tvm_go.plan_details import FREE, MEASURED, SOURCES, UNKNOWN, PlanDetails


def details_of(plan: GraphPlan, graph: OpGraph, default: GraphPlan | None = None) -> PlanDetails:
    """Times that follow from the kernels' keys; one in nine is not known."""
    seeds = np.array([int(key[:6], 16) for key in kernel_keys(graph, plan.kernel)], dtype=np.float64)
    free = free_kernels(graph, plan.kernel)
    ms = np.where(free, 0.0, np.where(seeds % 9 == 0, np.nan, 0.001 + seeds / 2**24))
    source = np.where(free, SOURCES.index(FREE), SOURCES.index(MEASURED))
    source[np.isnan(ms)] = SOURCES.index(UNKNOWN)
    origin = np.arange(graph.num_ops, dtype=np.int32)
    return PlanDetails(graph, origin, ms, source.astype(np.int8), default)


def plan_of(num_ops: int, *, seed: int = 0, compared: bool = True) -> GraphPlan:
    """A random plan, beside another one as TVM's default unless ``compared`` is False."""
    rng = np.random.default_rng(seed)
    graph = synthetic(num_ops, rng)
    own, other = (
        Decisions(fusion=rng.integers(0, 3, size=graph.num_edges)).decode(graph, target="llvm -mcpu=x", rules=rules)
        for rules in ("wide", "tvm")
    )
    lowering = tuple((TE, TIR)[i] for i in rng.integers(0, 2, size=own.num_kernels))
    own = replace(own, lowering=lowering).with_provenance(model="made <up>", default_ms=3.0, plan_ms=2.0)
    default = replace(other, details=details_of(other, graph))
    return replace(own, details=details_of(own, graph, default if compared else None))


def placed_plan_of(num_ops: int, *, seed: int = 0, num_devices: int = 2) -> GraphPlan:
    """A random plan on several devices that says what its copies take; what it is compared with is on the CPU alone."""
    rng = np.random.default_rng(seed)
    plan = plan_of(num_ops, seed=seed)
    assert plan.details is not None
    names = ("cpu", "opencl", "vulkan", "cuda")[:num_devices]
    target = ", ".join(f"{name}={'llvm -mcpu=x' if name == 'cpu' else name}" for name in names)
    device = rng.integers(0, num_devices, size=plan.num_kernels).astype(np.int32)
    lowering = tuple(TE if place else one for one, place in zip(plan.lowering, device.tolist(), strict=True))
    count = copies(plan.details.graph, plan.kernel, device).count
    copy_ms = rng.uniform(0.01, 0.5, size=count).tolist()
    return replace(plan, target=target, device=device, lowering=lowering).with_provenance(copy_ms=copy_ms)


def scene_in(page: str) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Texts and arrays of a page, as its script reads them."""
    found = re.search(r'id="scene-data">([^<]*)<', page)
    assert found
    content = gzip.decompress(base64.b64decode(found[1]))
    length = int.from_bytes(content[:4], "little")
    head = json.loads(content[4 : 4 + length])
    arrays = {
        name: np.frombuffer(content, dtype=f"<{kind}", count=count, offset=4 + length + offset)
        for name, (kind, offset, count) in head["arrays"].items()
    }
    return head["texts"], arrays


def rows_in(page: str, table: str) -> list[list[str]]:
    """Cells of the body of one of a page's tables."""
    found = re.search(rf'<table id="{table}">.*?<tbody>(.*?)</tbody>', page, re.DOTALL)
    assert found
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", found[1], re.DOTALL)
    return [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in rows]
