"""The ops of a plan that have more than one form, and what the policy sees of each form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tvm_go.arrays import freeze_arrays, sums
from tvm_go.graph import Int32, Int64, ValueKind
from tvm_go.simulate.forms import FORMS, Int8, layouts_of
from tvm_go.simulate.layout_changes import more_changes_ms
from tvm_go.simulate.plans import PlannedGraph, WholePlan
from tvm_go.simulate.workload import Floats

Bools = NDArray[np.bool_]
Float32 = NDArray[np.float32]

FORM_FEATURES = 13
_SMALL = 1e-12
_EITHER = 0.5  # what a layout change of the model itself wants


@dataclass(frozen=True, eq=False)
class FormChoices:
    """U ops of a graph, each with several of F forms.

    Attributes
    ----------
    op : int32 [U]
        Ascending.
    has : bool [U, F]
    features : float32 [U, F, FORM_FEATURES]
        Arithmetic and traffic of a form, relative to the usual one; how near the roofline it comes on the op's device
        and at best on any; the op's time there, relative to the usual form, to the present one, to the best form on
        the best device, and to the makespan; what the present form takes more; its layout, how far the op's producers
        and readers agree with that, and what it makes layout changes take more.
    colocation : int64 [U]
        Class of each op.
    """

    op: Int32
    has: Bools
    features: Float32
    colocation: Int64

    def __post_init__(self) -> None:
        freeze_arrays(self)


def form_units(planned: PlannedGraph) -> Int32:
    """Ops with more than one form: int32 [U]."""
    return np.flatnonzero(planned.view.forms.has.sum(axis=1) > 1).astype(np.int32)


def form_choices(
    planned: PlannedGraph, plan: WholePlan, op: Int32, colocation: Int32, makespan_ms: float
) -> FormChoices:
    """Describe the forms of some ops, int32 [U], in a plan; ``colocation`` is int32 [N]."""
    view, forms = planned.view, planned.view.forms
    here, now = plan.device[op], plan.form[op]
    image, weight, made = (part[op][:, None] for part in _op_bytes(planned))
    ms = _op_ms(planned, op, image, weight, made)
    unit = np.arange(len(op))
    own_ms = ms[unit, :, here]  # [U, F]
    present_ms = own_ms[unit, now][:, None]
    arithmetic, of_image = (np.array([getattr(form, name) for form in FORMS]) for name in ("arithmetic", "image"))
    traffic = (image * of_image + weight * forms.weight_bytes + made) / np.maximum(image + weight + made, _SMALL)
    reach = 1 / forms.result  # [F, D]
    layout = np.asarray(layouts_of(forms, plan.form))
    last = forms.layout.astype(np.float64)[None]  # [1, F]: channels last
    before, after = (part[op][:, None] for part in _wanted(planned, layout))
    shape = (len(op), len(FORMS))
    columns = [
        np.log(arithmetic)[None] / 2,
        np.log(np.maximum(traffic, _SMALL)) / 2,
        np.log(reach.T[here]),
        np.log(reach.max(axis=1))[None],
        np.log((own_ms + _SMALL) / (own_ms[:, :1] + _SMALL)) / 2,
        np.log((own_ms + _SMALL) / (present_ms + _SMALL)) / 2,
        np.log((ms.min(axis=2) + _SMALL) / (_best(ms, forms.has[op])[:, None] + _SMALL)) / 2,
        np.log1p(1e3 * own_ms / makespan_ms) / 7,
        _signed_log(1e3 * (present_ms - own_ms) / makespan_ms) / 5,
        last,
        1 - np.abs(last - before),
        1 - np.abs(last - after),
        _signed_log(1e3 * more_changes_ms(view, plan.form, plan.device, op, forms.layout) / makespan_ms) / 5,
    ]
    assert len(columns) == FORM_FEATURES
    features = np.stack([np.broadcast_to(column, shape) for column in columns], axis=-1)
    return FormChoices(op, forms.has[op], features.astype(np.float32), colocation[op].astype(np.int64))


def _op_bytes(planned: PlannedGraph) -> tuple[Floats, Floats, Floats]:
    """Bytes that each op reads of what is not constant and of constants, and makes: float64 [N]."""
    graph = planned.graph
    used = np.where(np.isnan(graph.value_scalar), graph.value_bytes, 0)[graph.use_value].astype(np.float64)
    constant = graph.value_kind[graph.use_value] == ValueKind.CONSTANT
    made = graph.value_op >= 0
    return (
        sums(graph.use_op[~constant], used[~constant], graph.num_ops),
        sums(graph.use_op[constant], used[constant], graph.num_ops),
        sums(graph.value_op[made], graph.value_bytes[made], graph.num_ops),
    )


def _op_ms(planned: PlannedGraph, op: Int32, image: Floats, weight: Floats, made: Floats) -> Floats:
    """Milliseconds of ops alone, by their `_op_bytes` [U, 1], without launches: float64 [U, F, D]."""
    view = planned.view
    forms = view.forms
    image, weight, made = (part[:, None] for part in (image, weight, made))
    moved = image * forms.image + weight * forms.weight + made * forms.result
    computing = planned.graph.flops[op][:, None, None] * forms.arithmetic / view.flops_per_ms
    return np.asarray(np.maximum(computing, moved / view.roofline_bytes_per_ms))


def _best(ms: Floats, has: Bools) -> Floats:
    """Least time of each op in a form that it has: float64 [U]."""
    return np.asarray(np.where(has[:, :, None], ms, np.inf).min(axis=(1, 2), initial=np.inf))


def _signed_log(values: Floats) -> Floats:
    return np.asarray(np.sign(values) * np.log1p(np.abs(values)))


def _wanted(planned: PlannedGraph, layout: Int8) -> tuple[Floats, Floats]:
    """How much of what each op reads is channels last, and how many of its readers want that: float64 [N] in [0, 1].

    What follows an op in its layout wants what its own readers want.
    """
    graph, forms = planned.graph, planned.view.forms
    source, reader = graph.edge_src, graph.edge_dst
    size = graph.edge_bytes.astype(np.float64)
    given = np.where(forms.changes[source], _EITHER, layout[source])
    before = sums(reader, given * size, graph.num_ops) / np.maximum(sums(reader, size, graph.num_ops), 1.0)
    after = _wanted_by_readers(source, reader, forms.leader, forms.changes, layout)
    return before, np.asarray(after)


@njit(cache=True, nogil=True)
def _wanted_by_readers(source: Int32, reader: Int32, leader: Int32, changes: Bools, layout: Int8) -> Floats:
    """Edges are sorted by reader, so what the readers of a reader want is known before it is asked for."""
    total, count = np.zeros(len(leader)), np.zeros(len(leader))
    for edge in range(len(source) - 1, -1, -1):
        one = reader[edge]
        if changes[one]:
            want = _EITHER
        elif leader[one] == source[edge]:
            want = total[one] / max(count[one], 1.0)
        else:
            want = float(layout[one])
        total[source[edge]] += want
        count[source[edge]] += 1
    return total / np.maximum(count, 1.0)
