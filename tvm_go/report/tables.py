"""The tables of the page as plain HTML rows, so that they read without JavaScript."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from tvm_go.report.changes import Comparison
from tvm_go.report.html_table import table
from tvm_go.report.scene import Run, Scene
from tvm_go.report.words import amount, labels, milliseconds

KERNEL_ROWS = 2000
"""Kernels that are listed without JavaScript, the longest first."""
_CHANGE_ROWS = 400
_NAMES_OF_A_GROUP = 6

_KERNEL_COLUMNS = ("#", "kernel", "device", "lowering", "ms", "share", "time from", "FLOPs", "bytes", "change")
_NUMERIC = ("#", "ms", "share", "FLOPs", "bytes", "before, ms", "now, ms", "difference, ms")


def kernel_table(scene: Scene) -> str:
    """A row for each kernel, the longest first."""
    structure, run = scene.structure, scene.run
    ms = np.where(np.isfinite(run.ms), run.ms, 0.0)
    total = float(ms.sum()) or 1.0
    shown = np.argsort(-ms, kind="stable")[:KERNEL_ROWS]
    flops = np.add.reduceat(structure.op_flops, structure.op_start[:-1])
    words = kernel_labels(scene)
    kinds = () if scene.comparison is None else scene.comparison.kinds
    rows = (
        (
            str(k),
            words[k],
            run.devices[run.device[k]],
            run.lowerings[run.lowering[k]].partition(" ")[0],
            milliseconds(float(run.ms[k])),
            f"{ms[k] / total:.1%}",
            run.sources[run.source[k]],
            amount(float(flops[k]), ""),
            amount(float(structure.kernel_bytes[k]), "B"),
            kinds[scene.comparison.change[k]] if scene.comparison is not None else "",
        )
        for k in shown.tolist()
    )
    left = structure.num_kernels - len(shown)
    caption = f"{structure.num_kernels:,} kernels, the longest first"
    caption += f"; {left:,} shorter ones are left out here" if left else ""
    return _table("kernel-table", caption, _KERNEL_COLUMNS, rows, shown.tolist())


def change_table(comparison: Comparison, scene: Scene) -> str:
    """A row for each group of kernels that differ, the largest difference in time first."""
    run = scene.run
    before_ms, now_ms = comparison.group_ms(run.ms)
    difference = now_ms - before_ms
    order = np.argsort(-np.abs(np.where(np.isfinite(difference), difference, 0.0)), kind="stable")[:_CHANGE_ROWS]
    words = kernel_labels(scene)
    mine, theirs = _members(comparison.group), _members(comparison.other_group)
    first = [int(mine[g][0]) if g in mine else -1 for g in order.tolist()]
    several = len(run.devices) > 1
    rows = (
        (
            _kind(comparison, mine.get(g, [])),
            *([_places(run, comparison, theirs.get(g, []), mine.get(g, []))] if several else []),
            _some(comparison.other_label[k] for k in theirs.get(g, [])),
            _some(words[k] for k in mine.get(g, [])),
            milliseconds(float(before_ms[g])),
            milliseconds(float(now_ms[g])),
            f"{difference[g]:+.4f}" if np.isfinite(difference[g]) else "",
        )
        for g in order.tolist()
    )
    same = int((comparison.group < 0).sum())
    caption = f"{comparison.num_groups:,} differences from {comparison.other_title}; {same:,} kernels are the same"
    left = comparison.num_groups - len(order)
    caption += f"; the {left:,} smallest differences are left out" if left else ""
    columns = ("change", *(["device"] if several else []), "before", "now", "before, ms", "now, ms", "difference, ms")
    return _table("change-table", caption, columns, rows, first)


def kernel_labels(scene: Scene) -> list[str]:
    """What each kernel is called: the names of its ops, and for a single op of a placement its own."""
    structure = scene.structure
    names = [structure.names[number] for number in structure.op_name.tolist()]
    if structure.placement:
        return [structure.attrs[number] for number in structure.op_attrs.tolist()]
    return labels(names, structure.op_start.tolist())


def _kind(comparison: Comparison, kernels: Sequence[int]) -> str:
    found = sorted({comparison.kinds[comparison.change[k]] for k in kernels} - {"same"})
    return ", ".join(found) or "removed"


def _places(run: Run, comparison: Comparison, before: Sequence[int], now: Sequence[int]) -> str:
    """Where kernels were and are: ``cpu → opencl``."""
    known = {one for one in comparison.other_device[before].tolist() if one >= 0}
    sides = (_names(run, known), _names(run, set(run.device[now].tolist())))
    return " → ".join(dict.fromkeys(filter(None, sides)))


def _names(run: Run, devices: set[int]) -> str:
    return ", ".join(run.devices[number] for number in sorted(devices))


def _some(words: Iterable[str]) -> str:
    listed = list(words)
    more = len(listed) - _NAMES_OF_A_GROUP
    return " | ".join(listed[:_NAMES_OF_A_GROUP] + ([f"{more} more"] if more > 0 else []))


def _members(group: np.ndarray[tuple[int], np.dtype[np.int32]]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for kernel in np.flatnonzero(group >= 0).tolist():
        found.setdefault(int(group[kernel]), []).append(kernel)
    return found


def _table(
    name: str, caption: str, columns: Sequence[str], rows: Iterable[Sequence[str]], kernels: Sequence[int]
) -> str:
    attributes = (f'data-kernel="{kernel}"' for kernel in kernels)
    return table(name, caption, columns, rows, numeric=_NUMERIC, row_attributes=attributes)
