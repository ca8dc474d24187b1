"""Forms of ops on simulated machines: other layouts, Winograd's filtering, other orders of a weight; what each changes.

Form 0 is how an op stands in the prepared graph, as TVM's own choice of layouts leaves it. The other forms are those of
the registry (`relay_passes.variants`), coarsely: one layout of images beside the usual one, no blocks of other sizes.

What is left out: weights come in any order for nothing, as constants are rearranged at compile time; a layout change
that the model has itself reads and makes any layout, also if its readers want several; Winograd's transforms cost
traffic but no arithmetic, and rounding does not matter.
"""

from __future__ import annotations

import json
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tvm_go.graph import Int32, OpGraph, Pattern, ValueKind
from tvm_go.simulate.workload import Floats

Bools = NDArray[np.bool_]
Int8 = NDArray[np.int8]

_USUAL, _CHANNELS_LAST = 0, 1  # layouts


class Form(NamedTuple):
    """A form, relative to the usual one of the same op.

    Attributes
    ----------
    layout : int
        Of the image that is read and of the one that is made: 0 as in the prepared graph, 1 channels last.
    arithmetic : float
        Floating point operations.
    image, weight : float
        Bytes that are read of what is not constant, and of constants.
    """

    name: str
    layout: int = _USUAL
    arithmetic: float = 1.0
    image: float = 1.0
    weight: float = 1.0


# Winograd's F(m x m, 3 x 3), Lavin and Gray, "Fast algorithms for convolutional neural networks", CVPR 2016: a tile of
# (m + 2)^2 values, read anew for each tile, gives m^2 results by (m + 2)^2 products instead of 9 m^2, and the weight
# has (m + 2)^2 values instead of 9.
FORMS = (
    Form("usual"),
    Form("channels last", layout=_CHANNELS_LAST),
    Form("Winograd 2", arithmetic=16 / 36, image=16 / 4, weight=16 / 9),
    Form("Winograd 4", arithmetic=36 / 144, image=36 / 16, weight=36 / 9),
    Form("plain weight"),
    Form("packed weight"),
    Form("transposed weight"),
)
"""All forms. An action of the task ``variant`` is a place in this table."""

_NUMBER = {form.name: number for number, form in enumerate(FORMS)}
_CONVOLUTIONS = {"nn.conv2d", "nn.contrib_conv2d_NCHWc", "nn.contrib_depthwise_conv2d_NCHWc"}
_OF_PRODUCT = {
    "nn.contrib_dense_pack": ("plain weight",),
    "nn.dense": ("packed weight",),
    "nn.batch_matmul": ("packed weight", "transposed weight"),
}
_ANY_LAYOUT = {
    "nn.max_pool2d", "nn.avg_pool2d", "nn.global_max_pool2d", "nn.global_avg_pool2d", "nn.lrn", "concatenate",
}  # fmt: skip


class FormView(NamedTuple):
    """Forms as compiled functions read them: N ops, F forms, D devices.

    Attributes
    ----------
    has : bool [N, F]
        All ops have form 0.
    leader : int32 [N]
        For ops that take any layout, the op whose layout they take on: that which makes the largest tensor they read.
        -1 for ops with a layout of their own.
    changes : bool [N]
        Ops that are layout changes.
    layout : int8 [F]
    arithmetic, image, weight, result : float64 [F, D]
        What floating point operations, bytes read of what is not constant and of constants, and bytes made count,
        relative to the usual form: the more, the further below the roofline a device stays in that form.
    weight_bytes : float64 [F]
        Memory that a weight takes, relative to the usual form.
    """

    has: Bools
    leader: Int32
    changes: Bools
    layout: Int8
    arithmetic: Floats
    image: Floats
    weight: Floats
    result: Floats
    weight_bytes: Floats


def form_view(graph: OpGraph, reach: Floats) -> FormView:
    """The forms of a graph's ops.

    Parameters
    ----------
    reach : float64 [D, F]
        How near the roofline each device comes in each form, relative to the usual one.
    """
    leader, changes = _layouts_taken(graph)
    slower = 1 / reach.T
    arithmetic, image, weight = (
        np.array([getattr(form, field) for form in FORMS]) for field in ("arithmetic", "image", "weight")
    )
    return FormView(
        has=forms_of(graph),
        leader=leader,
        changes=changes,
        layout=np.array([form.layout for form in FORMS], dtype=np.int8),
        arithmetic=arithmetic[:, None] * slower,
        image=image[:, None] * slower,
        weight=weight[:, None] * slower,
        result=np.ascontiguousarray(slower),
        weight_bytes=weight,
    )


def forms_of(graph: OpGraph) -> Bools:
    """Which forms each op has: bool [N, F]."""
    has = np.zeros((graph.num_ops, len(FORMS)), dtype=np.bool_)
    has[:, 0] = True
    names = np.array(graph.op_names)[graph.op_name]
    wanted = np.isin(names, [*_CONVOLUTIONS, *_OF_PRODUCT]) & ~graph.fixed
    for op in np.flatnonzero(wanted).tolist():
        uses = graph.use_value[graph.use_start[op] : graph.use_start[op + 1]]
        constant = len(uses) > 1 and graph.value_kind[uses[1]] == ValueKind.CONSTANT
        if names[op] in _CONVOLUTIONS:
            has[op, _NUMBER["channels last"]] = True
            if constant and _is_winograd(json.loads(graph.attr_texts[graph.op_attrs[op]])):
                has[op, [_NUMBER["Winograd 2"], _NUMBER["Winograd 4"]]] = True
        elif constant:
            has[op, [_NUMBER[name] for name in _OF_PRODUCT[names[op]]]] = True
    return has


def _is_winograd(attrs: dict[str, object]) -> bool:
    """Windows of 3 x 3, one by one, over all channels."""
    each = {"kernel_size": [3, 3], "strides": [1, 1], "dilation": [1, 1], "groups": 1}
    return all(attrs.get(name) == value for name, value in each.items())


def _layouts_taken(graph: OpGraph) -> tuple[Int32, Bools]:
    """`FormView.leader` and `FormView.changes`."""
    names = np.array(graph.op_names)[graph.op_name]
    takes_any = np.isin(graph.pattern, [Pattern.ELEMENTWISE, Pattern.BROADCAST]) | np.isin(names, list(_ANY_LAYOUT))
    by_size = np.lexsort((graph.edge_use, -graph.edge_bytes, graph.edge_dst))
    reader, first = np.unique(graph.edge_dst[by_size], return_index=True)
    leader = np.full(graph.num_ops, -1, dtype=np.int32)
    leader[reader] = graph.edge_src[by_size[first]]
    leader[~takes_any] = -1
    return leader, names == "layout_transform"


@njit(cache=True, nogil=True)
def layouts_of(view: FormView, form: Int32) -> Int8:
    """In which layout each op reads and makes images: int8 [N]."""
    layout = np.empty(len(form), dtype=np.int8)
    for op in range(len(form)):
        leader = view.leader[op]
        layout[op] = view.layout[form[op]] if leader < 0 else layout[leader]
    return layout


@njit(cache=True, nogil=True)
def is_changed(view: FormView, layout: Int8, maker: int, is_constant: bool, reader: int) -> bool:
    """Whether a reader wants what an op makes (-1: an input of the graph, or a constant) in another layout."""
    if view.changes[reader] or is_constant:
        return False
    if maker < 0:
        return layout[reader] != _USUAL
    return layout[maker] != layout[reader] and not view.changes[maker]


@njit(cache=True, nogil=True)
def is_result_changed(view: FormView, layout: Int8, maker: int) -> bool:
    """Whether a result of the graph has to be brought into its usual layout."""
    return maker >= 0 and layout[maker] != _USUAL and not view.changes[maker]


@njit(cache=True, nogil=True)
def edges_changed(view: FormView, layout: Int8, edge_src: Int32, edge_dst: Int32) -> Bools:
    """Edges whose reader wants another layout: bool [E]."""
    result = np.empty(len(edge_src), dtype=np.bool_)
    for edge in range(len(edge_src)):
        result[edge] = is_changed(view, layout, edge_src[edge], False, edge_dst[edge])
    return result
