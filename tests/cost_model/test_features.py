"""Features say what a kernel is, whatever stands around it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cost_model.dataset import described
from cost_model.features import FEATURES, kernel_features, op_table
from cost_model.loop_nest import loop_nest
from tests.partitions import partitioned, taken_apart


@given(st.integers(0, 10**6), st.integers(1, 60))
@settings(max_examples=50, deadline=None)
def test_a_kernel_has_the_same_features_in_its_model_and_from_a_log(seed: int, num_ops: int) -> None:
    graph, kernel = partitioned(seed, num_ops)
    structures = taken_apart(graph, kernel)
    here = kernel_features(graph, kernel, op_table(graph))
    assert here.shape == (len(structures), len(FEATURES))
    assert np.isfinite(here).all()
    # a synthetic graph's bytes are its own; those from a log follow from the shapes
    others = [number for number, name in enumerate(FEATURES) if "bytes" not in name and name != "intensity"]
    np.testing.assert_allclose(described(structures)[0][:, others], here[:, others])


@pytest.mark.parametrize(
    ("name", "attrs", "inputs", "output", "expected"),
    [
        (
            "nn.contrib_conv2d_NCHWc",
            '{"data_layout": "NCHW16c", "kernel_layout": "OIHW16i8o", "out_layout": "NCHW8c", "kernel_size": [3, 3],'
            ' "strides": [2, 2], "groups": 1, "padding": [1, 1, 1, 1]}',
            [(1, 4, 56, 56, 16), (16, 4, 3, 3, 16, 8)],
            (1, 16, 28, 28, 8),
            {"rows": 784, "columns": 128, "reduce": 64, "window": 9, "stride": 4, "padded": 1, "block_in": 16,
             "block_out": 8, "weights_innermost": 1, "width": 8, "rank": 5, "parallel": 448, "aligned": 8, "line": 28,
             "line_tile": 28},
        ),
        (
            "nn.batch_matmul",
            '{"transpose_a": false, "transpose_b": true}',
            [(12, 128, 64), (12, 256, 64)],
            (12, 128, 256),
            {"batch": 12, "rows": 128, "columns": 256, "reduce": 64, "weights_innermost": 0},
        ),
        (
            "mean",
            '{"axis": [-1], "keepdims": 1, "exclude": 0}',
            [(8, 128, 256)],
            (8, 128, 1),
            {"rows": 1024, "columns": 1, "reduce": 256, "contiguous": 0, "width": 1, "read_width": 256},
        ),
        ("transpose", '{"axes": [0, 2, 1]}', [(2, 3, 5)], (2, 5, 3), {"contiguous": 0, "columns": 3}),
        ("add", "{}", [(), ()], (), {"rows": 1, "columns": 1, "rank": 0, "parallel": 1}),
        ("add", "{}", [(4, 6, 36)] * 2, (4, 6, 36), {"rank": 3, "parallel": 24, "aligned": 4, "line": 1}),
    ],
)  # fmt: skip
def test_loops_of_ops(
    name: str, attrs: str, inputs: list[tuple[int, ...]], output: tuple[int, ...], expected: dict[str, float]
) -> None:
    nest = loop_nest(name, attrs, inputs, output)
    assert {key: getattr(nest, key) for key in expected} == expected
