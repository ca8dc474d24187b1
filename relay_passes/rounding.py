"""Whether a difference is no more than what rounding errors do to the reference itself.

Near a pole, or where large terms cancel, float32 gives any two exact programs other numbers: a tolerance that allows
for it would allow everything elsewhere. So the reference is computed some more times, each value disturbed as by a
rounding error (Monte Carlo arithmetic: D. S. Parker, 1997; Vignes' CESTAC), and every element may differ by what it
then varies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from relay_passes.numerics import Array, tolerances, widened

SAMPLES = 8
_SPREADS = 4.0  # the range of 8 samples is about 3 standard deviations: it is all but never 4 times too small
_MOST_SENSITIVE = 0.1  # of the elements: were it more, the reference would say nothing on the rest of the computation
_BLOCK = 65_521  # prime, so that it never lines up with a tensor's rows

Disturb = Callable[[Array], Array]


def disturbances(seed: int, units: float = 2.0) -> Disturb:
    """A function that moves each float of what it is given by up to some units in the last place.

    Parameters
    ----------
    seed : int
        Another seed moves all by other amounts; so does each call.
    units : float
        The largest step, in relative machine epsilons. One is more than a rounding error, yet might be rounded away.
    """
    rng = np.random.default_rng(seed)
    block = rng.uniform(-units, units, _BLOCK)

    def disturb(array: Array) -> Array:
        if array.dtype.kind != "f":
            return array
        factors = (1.0 + float(np.finfo(array.dtype).eps) * np.roll(block, int(rng.integers(_BLOCK)))).astype(
            np.result_type(array.dtype, np.float32)
        )
        return (array * np.resize(factors, array.shape)).astype(array.dtype)

    return disturb


def within_rounding(
    actual: Sequence[Array],
    expected: Sequence[Array],
    samples: Iterable[Sequence[Array]],
    dtypes: Sequence[str] | None = None,
) -> bool:
    """Whether outputs that `compare` refuses differ from the reference by no more than it varies under rounding.

    Parameters
    ----------
    actual, expected : sequence of numpy.ndarray
        Outputs, and those of the reference.
    samples : iterable of sequences of numpy.ndarray, at least one
        The outputs of the reference, each time with other rounding errors; not asked for where most of an output is
        off, for that is no matter of rounding.
    dtypes : sequence of str, optional
        As in `compare`.

    Returns
    -------
    bool
        True if no output has more than a tenth of its elements beyond the tolerance, and each element is within the
        relative tolerance plus 4 times the range of the samples there. Elements of which the samples know no digit, nor
        whether they are finite, may have any value.
    """
    names = dtypes or [array.dtype.name for array in expected]
    ours, theirs, tolerance = [], [], []
    for got, want, name in zip(actual, expected, names, strict=True):
        if got.shape != want.shape or got.dtype != want.dtype:
            return False
        rtol, atol = tolerances(name) or (0.0, 0.0)
        ours.append(widened(got, name))
        theirs.append(widened(want, name))
        magnitude = np.where(np.isfinite(theirs[-1]), np.abs(theirs[-1]), 0.0)
        tolerance.append(rtol * magnitude)
        off = _difference(ours[-1], theirs[-1]) > tolerance[-1] + atol * magnitude.max(initial=0.0)
        if np.count_nonzero(off) > _MOST_SENSITIVE * off.size:
            return False
    lowest, highest = ([np.full_like(want, start) for want in theirs] for start in (np.inf, -np.inf))
    fickle = [np.zeros(want.shape, np.bool_) for want in theirs]  # rounding decides whether there is a number at all
    for sample in samples:
        for i, (array, name) in enumerate(zip(sample, names, strict=True)):
            value = widened(array, name)
            finite = np.isfinite(value)
            fickle[i] |= finite != np.isfinite(theirs[i])
            value[~finite] = 0.0
            np.minimum(lowest[i], value, out=lowest[i])
            np.maximum(highest[i], value, out=highest[i])
    for i, want in enumerate(theirs):
        spread = highest[i] - lowest[i]
        known = np.abs(want[np.isfinite(want)])
        if known.size:  # no digit of what the reference gave there means anything: a pole is near
            fickle[i] |= spread > np.maximum(np.abs(want), np.median(known))
        if not np.all(fickle[i] | (_difference(ours[i], want) <= tolerance[i] + _SPREADS * spread)):
            return False
    return True


def _difference(actual: Array, expected: Array) -> Array:
    """Absolute differences; none between equal infinities and between NaN, infinite between those and numbers."""
    with np.errstate(invalid="ignore"):
        difference = np.abs(actual - expected)
    same = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
    result: Array = np.where(same, 0.0, np.where(np.isnan(difference), np.inf, difference))
    return result
