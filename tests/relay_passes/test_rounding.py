"""`within_rounding` takes what rounding errors explain, and refuses wrong kernels, be they ever so nearly right."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay_passes.numerics import Array, compare
from relay_passes.rounding import SAMPLES, Disturb, disturbances, within_rounding

Program = Callable[[Array, Array, Disturb], Array]


def exact(array: Array) -> Array:
    return array


def pole(x: Array, y: Array, rounded: Disturb) -> Array:
    """Like a physical law outside its range: a quotient whose denominator goes through zero."""
    below = rounded(rounded(np.float32(12.0) + x) - rounded(np.float32(12.0) + y))
    return rounded(x / below)


def steep(x: Array, y: Array, rounded: Disturb) -> Array:
    """Near 1e5, less 1e5."""
    return rounded(rounded(np.float32(1e5) + rounded(x * np.float32(50.0))) - np.float32(1e5)) / (np.abs(y) + 1)


def samples(program: Program, x: Array, y: Array) -> Iterator[list[Array]]:
    for seed in range(SAMPLES):
        disturb = disturbances(seed)
        yield [program(disturb(x), disturb(y), disturb)]


def drawn(seed: int) -> tuple[Array, Array]:
    x, y = np.random.default_rng(seed).standard_normal((2, 64, 256), np.float32)
    y[0, :8] = x[0, :8] * (1 + np.float32(2e-7) * np.arange(8, dtype=np.float32))  # at the pole
    return x, y


def in_float64(program: Program, x: Array, y: Array) -> Array:
    """Another exact program, with other rounding errors."""
    return program(x.astype(np.float64), y.astype(np.float64), exact).astype(np.float32)


@pytest.mark.parametrize("program", [pole, steep])
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_other_rounding_errors_are_accepted(program: Program, seed: int) -> None:
    x, y = drawn(seed)
    with np.errstate(divide="ignore", invalid="ignore"):
        expected, other = program(x, y, exact), in_float64(program, x, y)
        assert within_rounding([other], [expected], samples(program, x, y))


def test_what_is_accepted_would_fail_by_the_tolerance() -> None:
    x, y = drawn(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        assert not compare(in_float64(pole, x, y), pole(x, y, exact))[0]


def skips_an_op(x: Array, y: Array) -> Array:
    return x / (x - y + np.float32(1e-3))


def reads_a_neighbour(x: Array, y: Array) -> Array:
    shifted = np.roll(y, 1, axis=1)
    return pole(x, np.where(np.arange(y.shape[1]) % 16 == 15, shifted, y), exact)


def leaves_the_last_vector(x: Array, y: Array) -> Array:
    result = pole(x, y, exact)
    result[-1, -16:] = 0
    return result


def forgets_the_numerator(x: Array, y: Array) -> Array:
    return pole(x, y, exact) / x


def uses_half_precision(x: Array, y: Array) -> Array:
    return pole(x.astype(np.float16).astype(np.float32), y, exact)


@pytest.mark.parametrize(
    "wrong", [skips_an_op, reads_a_neighbour, leaves_the_last_vector, forgets_the_numerator, uses_half_precision]
)
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_wrong_kernels_are_refused(wrong: Callable[[Array, Array], Array], seed: int) -> None:
    x, y = drawn(seed)
    with np.errstate(divide="ignore", invalid="ignore"):
        assert not within_rounding([wrong(x, y)], [pole(x, y, exact)], samples(pole, x, y))


@given(seed=st.integers(0, 2**32 - 1), place=st.integers(0, 64 * 256 - 1))
@settings(max_examples=30, deadline=None)
def test_one_wrong_element_is_found(seed: int, place: int) -> None:
    x, y = drawn(seed)
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = steep(x, y, exact)
        wrong = in_float64(steep, x, y)
        wrong.flat[place] += 16
        assert not within_rounding([wrong], [expected], samples(steep, x, y))


def test_a_number_in_the_place_of_nan_is_wrong_unless_rounding_decides() -> None:
    x = np.array([-1.0, 1.0, 4.0] + [9.0] * 40, np.float32)
    with np.errstate(invalid="ignore"):
        roots = np.sqrt(x)
        filled = roots.copy()
        filled[0] = 1.0
        assert within_rounding([roots], [roots], [[roots]] * SAMPLES)
        assert not within_rounding([filled], [roots], [[roots]] * SAMPLES)
        missing = roots.copy()
        missing[1] = np.nan
        assert not within_rounding([missing], [roots], [[roots]] * SAMPLES)
        assert within_rounding([missing], [roots], [[missing], [roots]])


def test_where_most_elements_are_off_no_sample_is_asked_for() -> None:
    def never() -> Iterator[list[Array]]:
        raise AssertionError("sampled")
        yield

    x = np.ones(100, np.float32)
    assert not within_rounding([x + 1], [x], never())
    assert not within_rounding([x], [x[:50]], never())


def test_integers_may_differ_only_where_rounding_moves_them() -> None:
    values = np.arange(100)
    moved = values + (values == 7)
    assert within_rounding([moved], [values], [[values], [moved]])
    assert not within_rounding([moved], [values], [[values], [values]])


def test_disturbances_are_as_large_as_they_say_and_differ_from_call_to_call() -> None:
    x = np.full(100_000, 3.0, np.float32)
    disturb = disturbances(0, units=4.0)
    one, other = disturb(x), disturb(x)
    assert one.dtype == np.float32
    assert 2.5 < np.abs(one / 3.0 - 1).max() / np.finfo(np.float32).eps <= 4.6
    assert (one != other).mean() > 0.5
    assert disturb(values := np.arange(5)) is values
