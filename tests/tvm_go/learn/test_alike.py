"""Canonical names of exchangeable devices."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tvm_go.learn.alike import alike_devices, canonical
from tvm_go.simulate import Device, Machine
from tvm_go.simulate.machines import NETWORK, P100, PCIE3, V100, box, cluster


def test_devices_of_a_kind_in_one_box_are_alike_and_others_are_not() -> None:
    assert alike_devices(box("b", [P100, V100, P100, V100], PCIE3)).tolist() == [0, 1, 0, 1]


def test_devices_of_different_memory_are_not_alike() -> None:
    devices = (Device("a", "gpu", 1.0), Device("b", "gpu", 2.0), Device("c", "gpu", 1.0))
    assert alike_devices(Machine.uniform("m", devices, 1.0)).tolist() == [0, 1, 0]


def test_devices_of_two_boxes_are_alike_within_a_box_only() -> None:
    assert alike_devices(cluster("c", [P100, P100], PCIE3, boxes=2, network=NETWORK)).tolist() == [0, 0, 2, 2]


def test_alike_devices_stand_in_the_order_of_what_they_hold_and_empty_ones_last() -> None:
    assert canonical(np.array([3, 3, 3, 1, 3, 1]), np.zeros(4, dtype=np.int64)).tolist() == [0, 0, 0, 1, 0, 1]


def test_a_few_classes_that_went_astray_do_not_rename_the_devices_that_hold_the_graph() -> None:
    device = np.array([2] + 20 * [1] + 20 * [0])
    assert canonical(device, np.zeros(3, dtype=np.int64)).tolist() == [2] + 20 * [0] + 20 * [1]


@given(st.integers(0, 2**32 - 1))
def test_renaming_alike_devices_first_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 6))
    group = np.minimum.accumulate(rng.integers(0, count, count))[::-1].copy()
    group = np.array([np.flatnonzero(group == label)[0] for label in group])
    device = rng.integers(0, count, int(rng.integers(0, 20)))
    shuffled = np.arange(count)
    for label in np.unique(group):
        members = np.flatnonzero(group == label)
        shuffled[members] = rng.permutation(members)
    named = canonical(device, group)
    held = [tuple(np.flatnonzero(device == one)) for one in range(count)]
    means = [np.mean(one) for one in held if one]
    if len(set(means)) == len(means):  # two devices with the same mean may stand either way
        assert np.array_equal(named, canonical(shuffled[device], group))
    assert np.array_equal(group[named], group[device])
    assert np.array_equal(named[:, None] == named[None], device[:, None] == device[None])
