"""Schedules that do badly on some shapes are parts of their own, and no others."""

from __future__ import annotations

import numpy as np
import pytest

from cost_model.dataset import COLUMNS
from cost_model.features import Floats
from cost_model.parts import parts


def kernel(**amounts: float) -> Floats:
    """A row of features, given as amounts where they are logarithms: float64 [1, len(COLUMNS)]."""
    row = np.zeros((1, len(COLUMNS)))
    row[0, [name.startswith("probe_") for name in COLUMNS]] = np.nan
    defaults = dict.fromkeys(("ops", "outputs", "anchor_batch", "anchor_line_tile"), 1.0) | {"anchor_parallel": 64.0}
    for name, amount in (defaults | amounts).items():
        row[0, COLUMNS.index(name)] = np.log2(1.0 + amount)
    return row


def product(kind: str, **amounts: float) -> Floats:
    """A product of 2 ** 20 operations whose anchor is of a kind."""
    return kernel(
        flops=2.0**20, flops_anchors=2.0**20, anchor_weights_innermost=1.0, **{f"anchor_{kind}": 1.0}, **amounts
    )


def more(rows: Floats, than: Floats) -> int:
    """How many parts are larger."""
    return int((parts(rows) > parts(than) * (1 + 1e-9)).sum())


@pytest.mark.parametrize("lanes", [2, 7, 14, 17])
def test_blocks_that_are_no_multiple_of_four_are_done_lane_by_lane(lanes: int) -> None:
    blocked = [product("conv2d_blocked", anchor_width=count, anchor_block_out=count) for count in (lanes, 16.0)]
    assert more(*blocked) >= 1


@pytest.mark.parametrize("lanes", [20, 24, 28])
def test_vectors_in_pieces_cost_more_than_whole_ones(lanes: int) -> None:
    blocked = [product("conv2d_blocked", anchor_width=count, anchor_block_out=count) for count in (lanes, 32.0)]
    assert more(*blocked) >= 1
    assert more(*reversed(blocked)) == 0


def test_packed_dense_layers_go_by_their_blocks_not_by_all_columns() -> None:
    wide = product("dense_packed", anchor_width=1002, anchor_block_out=16, anchor_rows=64)
    whole = product("dense_packed", anchor_width=1024, anchor_block_out=16, anchor_rows=64)
    narrow = product("dense_packed", anchor_width=1024, anchor_block_out=6, anchor_rows=64)
    assert more(narrow, whole) > more(wide, whole)


def test_what_is_before_a_window_and_shared_by_outputs_is_repeated() -> None:
    alone = product("conv2d_blocked", anchor_width=16, anchor_block_out=16)
    before = product("conv2d_blocked", anchor_width=16, anchor_block_out=16, elements_before=4096)
    both = product("conv2d_blocked", anchor_width=16, anchor_block_out=16, elements_before=4096, outputs=2)
    assert more(before, alone) == 1
    assert more(both, before) > 1


def test_a_concatenation_that_goes_on_costs_more_by_its_inputs() -> None:
    last = kernel(elements_concatenate=4096, elements_most=4096, ops_concatenate=1, inputs=3)
    goes_on = kernel(elements_concatenate=4096, elements_most=4096, ops_concatenate=1, inputs=3, bytes_inside=16384)
    assert more(goes_on, last) == 3  # with the traffic inside


def test_parts_are_finite_and_not_negative() -> None:
    rng = np.random.default_rng(0)
    rows = rng.uniform(0, 20, size=(200, len(COLUMNS)))
    found = parts(rows)
    assert np.isfinite(found).all()
    assert (found >= 0).all()
