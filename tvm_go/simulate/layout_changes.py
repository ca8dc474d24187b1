"""What layout changes would take more or less if one op had another form, for all ops at once; compiled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from tvm_go.copies import HOST
from tvm_go.graph import Int32, Int64, ValueKind
from tvm_go.simulate.forms import Int8, is_changed, is_result_changed, layouts_of
from tvm_go.simulate.plan_costs import change_ms
from tvm_go.simulate.plan_kernels import PlanView
from tvm_go.simulate.workload import Floats

_CONSTANT = int(ValueKind.CONSTANT)


class _Groups(NamedTuple):
    """Members of G groups: those of ``g`` are ``members[start[g]:start[g + 1]]``; int64."""

    start: Int64
    members: Int64


@njit(cache=True, nogil=True)
def more_changes_ms(view: PlanView, form: Int32, device: Int32, ops: Int32, layout: Int8) -> Floats:
    """Milliseconds that all layout changes take more, one after the other, with another form of one op.

    An op takes along those that follow its layout. Looks at what these read and make, so the time is that of one pass
    over the graph, unless many of them read the same value.

    Parameters
    ----------
    form, device : int32 [N]
        Of the plan as it is.
    ops : int32 [U]
    layout : int8 [F]
        Of each form; there are two layouts.

    Returns
    -------
    float64 [U, F]
    """
    present, leader = layouts_of(view.forms, form), _leaders(view.forms.leader)
    followers, readers = _grouped(leader, len(form)), _grouped(view.use_value, len(view.value_op))
    reader = np.repeat(np.arange(len(form)), np.diff(view.use_start))
    maker_leader = np.where(view.value_op >= 0, leader[view.value_op], -1)
    near = _grouped(np.concatenate((leader[reader], maker_leader)), len(form))
    near_value = np.concatenate((view.use_value, np.arange(len(view.value_op))))[near.members]
    counted = np.full(len(view.value_op), -1)
    result = np.zeros((len(ops), len(layout)))
    for unit in range(len(ops)):
        op, more_ms = ops[unit], 0.0
        for after in range(2):
            for value in near_value[near.start[op] : near.start[op + 1]]:
                if counted[value] != 2 * unit + after:
                    counted[value] = 2 * unit + after
                    by = reader[readers.members[readers.start[value] : readers.start[value + 1]]]
                    more_ms += (2 * after - 1) * _value_ms(view, present, device, value, by)
            group = followers.members[followers.start[op] : followers.start[op + 1]]
            present[group] = 1 - present[group]
        for number in range(len(layout)):
            if layout[number] != layout[form[op]]:
                result[unit, number] = more_ms
    return result


@njit(cache=True, nogil=True)
def _value_ms(view: PlanView, layout: Int8, device: Int32, value: int, readers: Int64) -> float:
    """A value is changed once on each device that wants it in another layout."""
    wanted = np.zeros(len(view.launch_ms), dtype=np.bool_)
    constant = view.value_kind[value] == _CONSTANT
    for op in readers:
        if is_changed(view.forms, layout, view.value_op[value], constant, op):
            wanted[device[op]] = True
    if view.is_output[value] and is_result_changed(view.forms, layout, view.value_op[value]):
        wanted[HOST] = True
    total_ms = 0.0
    for one in np.flatnonzero(wanted):
        total_ms += change_ms(view, value, one)
    return total_ms


@njit(cache=True, nogil=True)
def _leaders(leader: Int32) -> Int64:
    """Which op decides the layout of each op."""
    result = np.arange(len(leader))
    for op in range(len(leader)):
        if leader[op] >= 0:
            result[op] = result[leader[op]]
    return result


@njit(cache=True, nogil=True)
def _grouped(group: Int64, count: int) -> _Groups:
    """Group what has a group of ``count``, and not -1."""
    order = np.argsort(group, kind="mergesort")
    return _Groups(np.searchsorted(group[order], np.arange(count + 1)), order)
