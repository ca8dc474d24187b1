"""What the policy sees of a whole plan that it may improve: graph, machine, and what happens when the plan runs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numba import njit

from tvm_go.graph import Int32, Int64, Pattern
from tvm_go.kernels import members
from tvm_go.policy.draft import DRAFT_OP_FEATURES, DRAFT_PAIR_FEATURES, Draft, draft_features
from tvm_go.policy.edge_choices import EdgeChoices, legal_pairs
from tvm_go.policy.features import graph_input
from tvm_go.policy.form_choices import form_choices, form_units
from tvm_go.policy.inputs import PLAN_GRAPH_FEATURES, PLAN_OP_FEATURES, PLAN_UNIT_FEATURES, Float32, GraphInput
from tvm_go.policy.kernel_graph import graph_features, op_features, op_types
from tvm_go.rules import RuleView, kernel_breach, rule_view
from tvm_go.search.sites import edge_classes
from tvm_go.simulate import Workload
from tvm_go.simulate.from_graph import from_graph
from tvm_go.simulate.plans import PlannedGraph, WholePlan
from tvm_go.simulate.workload import Floats

_SLOWEST = 1e4  # as in `tvm_go.policy.features`
_SMALL = 1e-12


@dataclass(frozen=True, eq=False)
class PlanFrame:
    """What all plans of one graph on one machine have in common.

    Attributes
    ----------
    base : GraphInput
        Of the ops, each alone.
    forms : int32 [U]
        Ops with more than one form; each is a unit of the task ``variant``.
    edges : int32 [E]
        Those of the graph at which to fuse is a choice; each is a unit of the task ``fusion``.
    alike : int64 [E]
        Equal for edges at the same place of equal kernels of FuseOps.
    """

    planned: PlannedGraph
    workload: Workload
    base: GraphInput
    own_op_features: Float32
    own_graph_features: Float32
    forms: Int32
    edges: Int32
    alike: Int64

    @staticmethod
    def of(planned: PlannedGraph) -> PlanFrame:
        """Describe a graph on a machine.

        Raises
        ------
        UnsupportedModelError
            If the graph is empty.
        """
        graph = planned.graph
        workload = from_graph(graph, planned.specs, planned.name)
        edges = legal_pairs(graph, planned.rules)
        return PlanFrame(
            planned=planned,
            workload=workload,
            base=replace(graph_input(workload, planned.machine, "concurrent"), op_type=op_types(graph)),
            own_op_features=op_features(graph, planned.default),
            own_graph_features=graph_features(graph),
            forms=form_units(planned),
            edges=edges,
            alike=np.unique(edge_classes(graph, planned.default)[edges], return_inverse=True)[1].reshape(-1),
        )


def plan_input(frame: PlanFrame, plan: WholePlan, levels: int) -> GraphInput:
    """Describe a plan, with the `choices` and `forms` of `GraphInput`; ``levels`` is how many there are of priority."""
    planned, base, graph = frame.planned, frame.base, frame.planned.graph
    kernel, device = plan.kernel, plan.device
    model, node_device, node_priority = planned.workload(plan)
    node = model.node[kernel]
    of_node, of_pair = draft_features(model.workload, planned.machine, "concurrent", Draft(node_device, node_priority))
    kernel_ms = planned.kernel_ms(plan.form, kernel)
    size = np.bincount(kernel)
    count = len(size)
    home = np.empty(count, dtype=np.int64)
    home[kernel] = device
    own_ms = kernel_ms[np.arange(count), home]
    makespan_ms = max(planned.milliseconds(plan), _SMALL)
    best_ms = kernel_ms.min(axis=1)
    ratio = np.where(kernel_ms > 0, kernel_ms / np.maximum(best_ms[:, None], kernel_ms / _SLOWEST + _SMALL), 1.0)
    slower = np.log(ratio) / 2
    launch_ms = planned.view.launch_ms
    busy = np.bincount(device, weights=(own_ms / size)[kernel], minlength=planned.machine.num_devices) / makespan_ms
    of_op = [
        np.log2(size[kernel]) / 4,
        np.log1p(1e3 * own_ms[kernel] / makespan_ms) / 7,
        np.where(own_ms > 0, launch_ms[home] / np.maximum(own_ms, _SMALL), 0.0)[kernel],
        plan.level / max(levels - 1, 1) - 0.5,
        slower[kernel, device],
        busy[device],
        (own_ms == 0)[kernel],
        device == 0,
    ]
    features = np.column_stack([base.op_features, frame.own_op_features, *of_op]).astype(np.float32)
    draft = slice(base.op_features.shape[1] - DRAFT_OP_FEATURES, base.op_features.shape[1])
    features[:, draft] = of_node[node]
    pair = base.pair_features.copy()
    pair[..., 0] = slower[kernel]
    pair[..., -DRAFT_PAIR_FEATURES:] = of_pair[node]
    of_graph = [
        np.log(count / graph.num_ops),
        np.log(max(best_ms.sum(), _SMALL) / makespan_ms) / 2,
        np.sum(own_ms > 0) * float(launch_ms[home].mean()) / makespan_ms,
        len(np.unique(device)) / planned.machine.num_devices,
    ]
    assert features.shape[1] == PLAN_OP_FEATURES
    of_all = np.concatenate([base.graph_features, frame.own_graph_features, of_graph]).astype(np.float32)
    assert len(of_all) == PLAN_GRAPH_FEATURES
    share = best_ms / size / max(float(best_ms.sum()), _SMALL)
    start, slack, critical = of_node[model.node, 1:4].astype(np.float64).T
    return replace(
        base,
        op_features=features,
        pair_features=pair,
        graph_features=of_all,
        op_share=share[kernel].astype(np.float32),
        choices=_choices(frame, plan, own_ms / makespan_ms, start, slack, critical, makespan_ms),
        forms=form_choices(planned, plan, frame.forms, base.colocation, makespan_ms),
    )


def _choices(
    frame: PlanFrame,
    plan: WholePlan,
    share: Floats,
    start: Floats,
    slack: Floats,
    critical: Floats,
    makespan_ms: float,
) -> EdgeChoices:
    """Each edge as a unit of its own, with features; times of kernels, float64 [K], are shares of the makespan."""
    planned, graph = frame.planned, frame.planned.graph
    source, reader = graph.edge_src[frame.edges], graph.edge_dst[frame.edges]
    kernel, device, default = plan.kernel, plan.device, planned.default
    a, b = kernel[source], kernel[reader]
    size = np.bincount(kernel)
    anchors = np.bincount(kernel, weights=graph.pattern >= Pattern.REDUCTION)
    view = planned.view
    bytes_ = graph.edge_bytes[frame.edges].astype(np.float64)
    travel = bytes_ / view.roofline_bytes_per_ms[device[reader]] / makespan_ms
    launch = view.launch_ms[device[reader]] / makespan_ms
    together = (device[source] == device[reader]) & ~planned.changed_edges(plan.form)[frame.edges]
    out_degree = np.bincount(graph.edge_src, minlength=graph.num_ops)
    in_degree = np.bincount(graph.edge_dst, minlength=graph.num_ops)
    readers = out_degree[source]
    saved = np.where(together, launch + travel * (1 + (readers == 1)), 0.0)
    waits = _latest_other(graph.edge_src, graph.edge_dst, kernel, start + share, frame.edges) - start[a]
    columns = [
        np.ones(len(bytes_)),
        a == b,
        together,
        default[source] == default[reader],
        np.log2(1 + bytes_) / 32,
        np.log1p(1e3 * travel) / 5,
        np.log1p(1e3 * launch) / 5,
        np.log1p(1e3 * saved) / 5,
        np.log1p(readers),
        np.log1p(in_degree[reader]),
        graph.op_returned[source],
        graph.edge_elementwise[frame.edges],
        graph.moves_whole[reader],
        graph.free[source],
        graph.free[reader],
        np.log2(size[a]) / 4,
        np.log2(size[b]) / 4,
        anchors[a],
        anchors[b],
        _legal_together(*members(kernel), a, b, rule_view(graph, planned.rules)),
        slack[a],
        slack[b],
        np.clip(start[b] - start[a] - share[a], -1, 1),
        critical[a],
        critical[b],
        np.clip(waits, -1, 1),
        np.log2(np.bincount(frame.alike)[frame.alike]) / 6 if len(bytes_) else np.empty(0),
    ]
    assert len(columns) == PLAN_UNIT_FEATURES
    return EdgeChoices(
        edge=frame.edges,
        source=source,
        reader=reader,
        unit=np.arange(len(bytes_)),
        unit_features=np.column_stack(columns).astype(np.float32),
        merges_by_default=default[source] == default[reader],
        colocation=frame.base.colocation[reader].astype(np.int64),
    )


@njit(cache=True, nogil=True)
def _latest_other(edge_src: Int32, edge_dst: Int32, kernel: Int32, finish: Floats, edges: Int32) -> Floats:
    """When the last input of each edge's reading kernel, from any third kernel, was made: float64 [edges]."""
    count = 0
    for op in range(len(kernel)):
        count = max(count, kernel[op] + 1)
    first, second = np.zeros(count), np.zeros(count)  # the latest input of a kernel, and the latest of another producer
    producer = np.full(count, -1, dtype=np.int64)
    for e in range(len(edge_src)):
        a, b = kernel[edge_src[e]], kernel[edge_dst[e]]
        if a == b:
            continue
        if producer[b] == a:
            continue
        if finish[a] > first[b]:
            second[b] = first[b]
            first[b], producer[b] = finish[a], a
        elif finish[a] > second[b]:
            second[b] = finish[a]
    result = np.zeros(len(edges))
    for i in range(len(edges)):
        a, b = kernel[edge_src[edges[i]]], kernel[edge_dst[edges[i]]]
        result[i] = second[b] if producer[b] == a else first[b]
    return result


@njit(cache=True, nogil=True)
def _legal_together(starts: Int64, ops: Int32, a: Int32, b: Int32, view: RuleView) -> Float32:
    """Whether the two kernels of each edge would be a legal one, apart from cycles and outputs: float32 [edges].

    ``starts`` and ``ops`` are the kernels' members, see `tvm_go.kernels.members`.
    """
    inside, after = np.zeros(len(ops), dtype=np.bool_), np.zeros(len(ops), dtype=np.bool_)
    result = np.ones(len(a), dtype=np.float32)
    for i in range(len(a)):
        if a[i] == b[i]:
            continue
        both = np.concatenate((ops[starts[a[i]] : starts[a[i] + 1]], ops[starts[b[i]] : starts[b[i] + 1]]))
        both.sort()
        result[i] = kernel_breach(both, view, inside, after) == 0
    return result
