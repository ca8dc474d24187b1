"""Whether two computations of the same thing gave the same numbers."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

# dtype -> (relative tolerance, absolute tolerance as a share of the reference's largest magnitude). The second term
# covers sums that cancel: their error follows the size of the terms, not of the result.
_TOLERANCES = {
    "float64": (1e-6, 1e-8),
    "float32": (1e-3, 1e-4),
    "float16": (1e-2, 2e-2),
    "bfloat16": (5e-2, 5e-2),
}


def compare(actual: Array, expected: Array, dtype: str | None = None) -> tuple[bool, float]:
    """Compare one output with its reference, by a tolerance that follows from the dtype.

    Floats may differ by `rtol * |expected| + atol * max|expected|`; integers and booleans not at all. NaN equals NaN,
    an infinity equals itself.

    Parameters
    ----------
    actual, expected : numpy.ndarray
        Arrays of the same shape and dtype; another shape or dtype is a difference.
    dtype : str or None
        The dtype of the computation where the arrays do not tell: "bfloat16" for bits in uint16, as TVM gives them
        to numpy.

    Returns
    -------
    ok : bool
        Whether every element is within tolerance.
    max_error : float
        Largest difference over the largest finite magnitude of `expected`; infinite where they cannot be compared
        (shape, dtype, NaN or infinity on one side only).
    """
    if actual.shape != expected.shape or actual.dtype != expected.dtype:
        return False, float("inf")
    if actual.size == 0:
        return True, 0.0
    allowed = tolerances(dtype or expected.dtype.name)
    if allowed is None:
        return _compare_exactly(actual, expected)
    rtol, atol = allowed
    # A sum in the array's own dtype could overflow in float16; float64 is exact for all of them.
    got, want = (widened(array, dtype) for array in (actual, expected))
    finite = np.isfinite(want)
    special = ~finite & ((got == want) | (np.isnan(got) & np.isnan(want)))
    if not bool(np.all(special | (finite & np.isfinite(got)))):
        return False, float("inf")
    difference = np.abs(got[finite] - want[finite])
    magnitude = np.abs(want[finite])
    if difference.size == 0:
        return True, 0.0
    largest = float(magnitude.max())
    ok = bool(np.all(difference <= rtol * magnitude + atol * largest))
    return ok, _relative(float(difference.max()), largest)


def _compare_exactly(actual: Array, expected: Array) -> tuple[bool, float]:
    if np.array_equal(actual, expected):
        return True, 0.0
    difference = np.abs(actual.astype(np.float64) - expected.astype(np.float64))
    return False, _relative(float(difference.max()), float(np.abs(expected.astype(np.float64)).max()))


def _relative(difference: float, largest: float) -> float:
    if difference == 0.0:
        return 0.0
    return difference / largest if largest > 0.0 else float("inf")


def tolerances(dtype: str) -> tuple[float, float] | None:
    """Of a dtype, relative and as a share of the largest magnitude; None where numbers must be equal."""
    return _TOLERANCES.get(dtype)


def widened(array: Array, dtype: str | None) -> Array:
    """Numbers as float64, which holds all of them exactly but large integers; bfloat16 from its bits."""
    if dtype == "bfloat16" and array.dtype == np.uint16:
        array = (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(np.float64)
