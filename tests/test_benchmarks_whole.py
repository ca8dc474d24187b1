"""A whole is its kernels, what lies between them, and the weights that come from outside the cache."""

from __future__ import annotations

import pytest

from benchmarks.whole_from_kernels import Between, Parts


def test_what_comes_beside_kernels_follows_from_their_number_and_their_weights() -> None:
    beside = Between(launch_ms=0.01, constant_bytes=[100.0, 200.0], constant_ms=[0.0, 1.0])
    assert beside.whole_ms(Parts(5.0, 3, 0)) == pytest.approx(5.03)
    assert beside.whole_ms(Parts(5.0, 3, 100)) == pytest.approx(5.03)
    assert beside.whole_ms(Parts(5.0, 3, 200)) == pytest.approx(6.03)
    assert beside.whole_ms(Parts(5.0, 3, 400)) == pytest.approx(7.03)  # the rate of the most that was measured
    assert 5.03 < beside.whole_ms(Parts(5.0, 3, 150)) < 6.03
