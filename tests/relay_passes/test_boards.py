"""Boards by name: each is a target that TVM and LLVM know."""

from __future__ import annotations

import pytest
import tvm

from cost_model.kernel_tuning import isa_of
from relay_passes.boards import BOARDS, board_target
from relay_passes.schedules.tiling import Machine
from relay_passes.targets import as_target
from relay_passes.variants.registry import vector_lanes
from tvm_go.errors import UsageError


@pytest.mark.parametrize("name", BOARDS)
def test_every_board_is_a_target_for_arm(name: str) -> None:
    target = as_target(name)
    assert target.mcpu in BOARDS[name].target
    assert list(target.keys) == ["arm_cpu", "cpu"]
    assert str(as_target(str(target))) == str(target)  # as a plan names it
    assert vector_lanes(target) == 0  # no schedules for x86
    assert isa_of(target) is None  # nor what was tuned for x86
    is_32bit = name.endswith("-32bit")
    assert Machine.of(target) == Machine(4, 16 if is_32bit else 32, int(target.attrs["num-cores"]))


def test_boards_agree_with_tvm_s_own_tag_of_them() -> None:
    ours, theirs = as_target("rpi4"), tvm.target.Target("raspberry-pi/4b-aarch64")
    assert str(ours) == str(theirs)


def test_options_after_a_board_replace_its_own() -> None:
    target = as_target("graviton3 -num-cores=16 -mattr=+neon,+fullfp16")
    assert target.mcpu == "neoverse-v1"
    assert int(target.attrs["num-cores"]) == 16
    assert list(target.attrs["mattr"]) == ["+neon", "+fullfp16"]


def test_an_unknown_board_is_refused_with_those_that_there_are() -> None:
    assert board_target("rpi9") is None
    with pytest.raises(UsageError, match=r"unknown target 'rpi9' .*boards: .*rpi4.*graviton3"):
        as_target("rpi9")
