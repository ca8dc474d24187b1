"""Inputs are the same everywhere, and every op is defined on them."""

from __future__ import annotations

import numpy as np
from tvm import relay

from cost_model.kernel_inputs import InputRange, TensorSpec, input_range, random_inputs
from tests.cost_model.kernels import parameter, primitive

KEY = "0123456789abcdef" * 2
SMALL = InputRange(lowest=0, end=8, positive=False)


def test_the_key_is_the_seed() -> None:
    specs = (TensorSpec((3, 4), "float32"), TensorSpec((5,), "int64"), TensorSpec((6,), "bool"))
    first, again = random_inputs(specs, SMALL, KEY), random_inputs(specs, SMALL, KEY)
    other = random_inputs(specs, SMALL, KEY[::-1])
    for spec, a, b in zip(specs, first, again, strict=True):
        assert a.shape == spec.shape
        assert a.dtype == spec.dtype
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first[0], other[0])


def test_floats_are_standard_normal_also_in_large_tensors() -> None:
    (values,) = random_inputs((TensorSpec((1000, 1000), "float32"),), SMALL, KEY)
    assert abs(float(values.mean())) < 0.03
    assert abs(float(values.std()) - 1) < 0.03
    assert not np.any((values != 0) & (np.abs(values) < np.finfo(np.float32).tiny))


def test_bfloat16_is_given_as_the_upper_bits_of_a_float32() -> None:
    (bits,) = random_inputs((TensorSpec((10_000,), "bfloat16"),), SMALL, KEY)
    assert bits.dtype == np.uint16
    values = (bits.astype(np.uint32) << 16).view(np.float32)
    assert abs(float(values.std()) - 1) < 0.05


def test_indices_stay_inside_the_tensor_they_index() -> None:
    data, indices = parameter("data", 5, 30), parameter("indices", 1000, dtype="int32")
    for axis, extent in ((0, 5), (1, 30), (-1, 30), (None, 150)):
        values = input_range(primitive([data, indices], relay.take(data, indices, axis=axis)))
        drawn = random_inputs((TensorSpec((1000,), "int32"),), values, KEY)[0]
        assert values.end == extent
        assert drawn.min() >= 0
        assert drawn.max() < extent


def test_integers_are_small_and_divisors_are_not_zero() -> None:
    x, y = parameter("x", 8, dtype="int32"), parameter("y", 8, dtype="int32")
    assert input_range(primitive([x, y], x + y)) == InputRange(0, 8, False)
    assert input_range(primitive([x, y], relay.floor_divide(x, y))).lowest == 1


def test_roots_and_logarithms_get_positive_floats() -> None:
    x = parameter("x", 8)
    values = input_range(primitive([x], relay.rsqrt(x)))
    assert values.positive
    assert random_inputs((TensorSpec((1000,), "float32"),), values, KEY)[0].min() > 0
