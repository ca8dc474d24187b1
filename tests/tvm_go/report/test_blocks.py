"""Blocks: runs of kernels of about one size, level in level, at the period of layers that repeat."""

from __future__ import annotations

import numpy as np
import pytest

from tvm_go.report.blocks import WHOLE, levels


def _chain(count: int) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(count - 1, dtype=np.int32), np.arange(1, count, dtype=np.int32)


@pytest.mark.parametrize("count", [WHOLE + 1, 1000, 5000, 80_000])
def test_no_open_block_holds_many_boxes_and_levels_nest(count: int) -> None:
    rng = np.random.default_rng(count)
    reader = np.arange(1, count, dtype=np.int32)
    source = np.maximum(0, reader - rng.integers(1, 9, size=count - 1)).astype(np.int32)
    found = levels(count, source, reader, rng.integers(0, 5, size=count).astype(np.int32))
    finer = np.arange(count + 1, dtype=np.int32)
    assert len(found[0]) - 1 <= 60
    for level in reversed(found):
        assert (level[0], level[-1]) == (0, count)
        assert (np.diff(level) > 0).all()
        assert np.isin(level, finer).all()
        inside = np.diff(np.searchsorted(finer, level))
        assert inside.max() <= 80
        finer = level


def test_small_graphs_are_not_folded() -> None:
    assert levels(WHOLE, *_chain(WHOLE), np.zeros(WHOLE, dtype=np.int32)) == ()


def test_blocks_are_whole_layers_where_layers_repeat() -> None:
    layer = np.array([3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9], dtype=np.int32)
    kind = np.tile(layer, 60)
    source, reader = _chain(len(kind))
    inner = np.array([start + i for start in range(0, len(kind), len(layer)) for i in range(2, 10)])
    source = np.concatenate([source, inner]).astype(np.int32)
    reader = np.concatenate([reader, inner + 3]).astype(np.int32)
    finest = levels(len(kind), source, reader, kind)[-1]
    assert (finest[1:-1] % len(layer) == finest[1] % len(layer)).all()


def test_cuts_are_where_few_tensors_cross() -> None:
    count, width = 800, 40
    reader = np.arange(1, count, dtype=np.int32)
    source = (reader - 1).astype(np.int32)
    skips = np.array([k for k in range(count - width) if k % width < width - 8])
    ends = skips - skips % width + width - 1
    source, reader = np.concatenate([source, skips]), np.concatenate([reader, ends])
    kind = np.random.default_rng(0).integers(0, 50, size=count).astype(np.int32)
    source, reader = source.astype(np.int32), reader.astype(np.int32)
    finest = levels(count, source, reader, kind)[-1]
    crossing = np.array([len(set(source[(source < cut) & (reader >= cut)])) for cut in range(count + 1)])
    assert crossing[finest[1:-1]].mean() < crossing[1:-1].mean() / 2
