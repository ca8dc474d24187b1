"""`compare` accepts rounding, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from relay_passes.numerics import compare


@pytest.fixture
def normal() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_rounding_of_the_dtype_is_accepted_and_a_tenth_is_not(normal: np.random.Generator, dtype: str) -> None:
    expected = normal.standard_normal(10_000).astype(dtype)
    rounded = (expected * (1 + 4 * np.finfo(dtype).eps)).astype(dtype)
    ok, max_error = compare(rounded, expected)
    assert ok
    assert 0 < max_error < 0.02
    wrong = expected.copy()
    wrong[17] += np.asarray(0.1, dtype) * np.abs(expected).max()
    assert not compare(wrong, expected)[0]


def test_another_order_of_a_long_sum_is_accepted(normal: np.random.Generator) -> None:
    left, right = normal.standard_normal((8, 4096), np.float32), normal.standard_normal((4096, 8), np.float32)
    backward = np.zeros((8, 8), np.float32)
    for k in reversed(range(4096)):
        backward += np.outer(left[:, k], right[k])
    assert compare(backward, left @ right)[0]


def test_a_missing_bias_is_found(normal: np.random.Generator) -> None:
    product = normal.standard_normal((64, 256), np.float32) @ normal.standard_normal((256, 64), np.float32)
    assert not compare(product, product + normal.standard_normal(64, np.float32))[0]


def test_integers_and_booleans_are_compared_exactly() -> None:
    assert compare(np.array([1, 2]), np.array([1, 2])) == (True, 0.0)
    assert compare(np.array([1, 3]), np.array([1, 2])) == (False, 0.5)
    assert not compare(np.array([True]), np.array([False]))[0]


def test_nan_and_infinity_equal_themselves_only() -> None:
    special = np.array([np.nan, np.inf, -np.inf, 1.0], np.float32)
    assert compare(special, special) == (True, 0.0)
    for i in range(4):
        other = special.copy()
        other[i] = 0.0
        assert not compare(other, special)[0]
    assert compare(np.array([np.nan], np.float32), np.array([1.0], np.float32)) == (False, np.inf)


def test_another_shape_or_dtype_is_a_difference() -> None:
    assert compare(np.zeros(2), np.zeros(3)) == (False, np.inf)
    assert compare(np.zeros(2, np.float32), np.zeros(2)) == (False, np.inf)
    assert compare(np.zeros(0), np.zeros(0)) == (True, 0.0)


def test_bfloat16_is_compared_by_value() -> None:
    expected = (np.linspace(1, 2, 100, dtype=np.float32).view(np.uint32) >> 16).astype(np.uint16)
    assert compare(expected + np.uint16(1), expected, "bfloat16")[0]
    assert not compare(expected + np.uint16(40), expected, "bfloat16")[0]
    assert not compare(expected + np.uint16(1), expected)[0]
