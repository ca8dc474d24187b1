"""`tvm-go compile --target`: boards are targets, lists of targets stay tvmc's, and the rest is one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay_passes.targets import as_target, native_target_text
from tests.tvm_go.tvmc.command import tvm_go
from tvm_go.errors import UsageError
from tvm_go.tvmc.compile import _stock_target


@pytest.mark.parametrize("text", ["cmsis-nn, c", "compute-library, llvm -mtriple=aarch64-linux-gnu", "cuda, llvm"])
def test_lists_of_targets_are_left_to_tvmc(text: str) -> None:
    assert _stock_target(text) == (text, None)


def test_this_machine_s_targets_need_no_linker() -> None:
    assert _stock_target("native") == (native_target_text(), None)
    assert _stock_target("llvm -mcpu=core-avx2") == ("llvm -mcpu=core-avx2", None)


def test_a_board_is_its_target_and_its_linker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "aarch64-linux-gnu-gcc"
    compiler.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    text, linker = _stock_target("rpi4")
    assert as_target(text).mcpu == "cortex-a72"
    assert linker == compiler.name


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("rpi9", "unknown target 'rpi9'.*boards: .*rpi5"),
        ("rpi4", "aarch64-linux-gnu-gcc: it is missing; install the Debian package gcc-aarch64-linux-gnu"),
        ("aarch64-board, llvm-ish", "unknown target"),
    ],
)
def test_what_cannot_be_compiled_for_is_refused(
    text: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match=reason):
        _stock_target(text)


def test_the_command_says_so_in_one_line(models: Path, tmp_path: Path) -> None:
    outcome = tvm_go("compile", models / "small.onnx", "--target", "rpi9", "-o", "m.tar", cwd=tmp_path)
    assert outcome.status == 2
    assert outcome.error.startswith("tvm-go: error: unknown target 'rpi9'")
