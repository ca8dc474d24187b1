"""Placements without moves that gain nothing."""

import numpy as np

from tvm_go.graph import Int64
from tvm_go.learn.simplify import simplified
from tvm_go.simulate.workload import Floats


def imbalance(placements: Int64) -> Floats:
    """The larger of the halves that two devices hold."""
    share = (placements == 0).mean(axis=1)
    return np.maximum(share, 1 - share)


def test_what_gains_nothing_is_undone() -> None:
    device, value = simplified(np.array([0, 1, 0, 2, 0, 0]), lambda placements: np.ones(len(placements)))
    assert len(set(device.tolist())) == 1
    assert value == 1.0


def test_what_gains_something_stays() -> None:
    device = np.array([0] * 10 + [1] * 10)
    simpler, value = simplified(device, imbalance)
    assert np.array_equal(simpler, device)
    assert value == 0.5


def test_the_result_is_about_as_quick_as_what_was_given() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        device = rng.integers(0, 2, 30)
        before = imbalance(device[None])[0]
        simpler, value = simplified(device, imbalance)
        assert value == imbalance(simpler[None])[0]
        assert value <= before * 1.002
