"""Target sets: what users write is read, and what is wrong in it is said in one line."""

import pytest
import tvm

from relay_passes.target_set import TargetSet
from tvm_go.errors import UsageError
from tvm_go.target_text import device_names, target_texts


def test_a_single_target_is_a_set_of_one() -> None:
    found = TargetSet.parse("llvm -mcpu=core-avx2")
    assert found.names == ("cpu",)
    assert found.text == str(found.host) == str(tvm.target.Target("llvm -mcpu=core-avx2"))


def test_the_host_comes_first_and_drives_the_others() -> None:
    found = TargetSet.parse("opencl=opencl -device=mali, cpu=llvm -mattr=+neon,+fp16 -mtriple=aarch64-linux-gnu")
    assert found.names == ("cpu", "opencl") == device_names(found.text)
    assert list(found.host.attrs["mattr"]) == ["+neon", "+fp16"]
    assert str(found.targets[1].host) == str(found.host)


@pytest.mark.parametrize("text", ["native", "opencl", "cpu=native, opencl=opencl", "cuda=cuda -arch=sm_70,cpu=llvm"])
def test_the_canonical_text_reads_as_itself(text: str) -> None:
    found = TargetSet.parse(text)
    assert TargetSet.parse(found.text).text == found.text
    assert device_names(found.text) == found.names


def test_commas_inside_a_target_do_not_divide_it() -> None:
    texts = target_texts("cpu=llvm -keys=arm_cpu,cpu -mattr=+a,+b, opencl=opencl -keys=mali,opencl,gpu")
    assert texts == {"cpu": "llvm -keys=arm_cpu,cpu -mattr=+a,+b", "opencl": "opencl -keys=mali,opencl,gpu"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("cpu=llvm, cpu=llvm -mcpu=core-avx2", "names the device cpu twice"),
        ("cpu=llvm, opencl=cuda -arch=sm_70", "is for device cuda, not opencl; write cuda="),
        ("opencl=opencl, cuda=cuda -arch=sm_70", "lacks the CPU that drives the others: add cpu=native"),
        ("cpu=c, opencl=opencl", "the CPU's target must be llvm"),
        ("cpu=llvm, board=opencl", "is for device opencl, not board"),
        ("cpu=llvm, opencl=opncl", "unknown target 'opncl'"),
        ("cpu=llvm -mcpu=core-avx9, opencl=opencl", "unknown -mcpu=core-avx9"),
        ("cpu=, opencl=opencl", "unknown target"),
        ("", "unknown target"),
    ],
)
def test_a_set_that_cannot_be_is_refused_in_one_line(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        TargetSet.parse(text)
    assert "\n" not in str(caught.value)
