"""Libraries for other machines: which compiler links them, and what is said where it is missing."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import pytest
import tvm
from tvm import te

from relay_passes.export import CROSS_COMPILER, architecture_of, cross_compiler_of, export_library
from tvm_go.errors import UsageError

HERE = platform.machine()


@pytest.mark.parametrize(
    ("triple", "compiler"),
    [
        ("aarch64-linux-gnu", "aarch64-linux-gnu-gcc"),
        ("arm64-unknown-linux-gnu", "aarch64-linux-gnu-gcc"),
        ("armv7l-linux-gnueabihf", "arm-linux-gnueabihf-gcc"),
        ("armv8l-linux-gnueabihf", "arm-linux-gnueabihf-gcc"),
    ],
)
def test_another_architecture_of_linux_has_its_debian_compiler(
    triple: str, compiler: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _install(compiler, tmp_path, monkeypatch)
    assert cross_compiler_of(tvm.target.Target(f"llvm -mtriple={triple}")) == compiler


@pytest.mark.parametrize("target", ["llvm", "c", "opencl", f"llvm -mtriple={HERE}-linux-gnu"])
def test_this_machine_needs_no_cross_compiler(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CROSS_COMPILER, "not-used")
    assert cross_compiler_of(tvm.target.Target(target)) is None
    assert architecture_of(tvm.target.Target(target)) == HERE


def test_of_a_gpu_the_host_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _install("aarch64-linux-gnu-gcc", tmp_path, monkeypatch)
    target = tvm.target.Target("opencl", host="llvm -mtriple=aarch64-linux-gnu")
    assert cross_compiler_of(target) == "aarch64-linux-gnu-gcc"
    assert architecture_of(target) == "aarch64"


def test_a_missing_cross_compiler_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match=r"aarch64-linux-gnu-gcc: it is missing; install .*gcc-aarch64-linux-gnu"):
        cross_compiler_of(tvm.target.Target("llvm -mtriple=aarch64-linux-gnu"))


def test_the_users_compiler_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    target = tvm.target.Target("llvm -mtriple=aarch64-linux-android")
    with pytest.raises(UsageError, match=f"no cross compiler is known for 'aarch64-linux-android'.*{CROSS_COMPILER}"):
        cross_compiler_of(target)
    monkeypatch.setenv(CROSS_COMPILER, "my-clang")
    with pytest.raises(UsageError, match=f"my-clang, which {CROSS_COMPILER} names: it is missing; correct it"):
        cross_compiler_of(target)
    _install("my-clang", tmp_path, monkeypatch)
    assert cross_compiler_of(target) == "my-clang"


@pytest.mark.parametrize(
    ("text", "machine"),
    [
        ("llvm -mtriple=aarch64-linux-gnu", "AArch64"),
        ("llvm -mtriple=armv7l-linux-gnueabihf -mfloat-abi=hard", "ARM"),
        ("llvm", ""),
    ],
)
def test_libraries_are_of_the_target_s_architecture(text: str, machine: str, tmp_path: Path) -> None:
    target = tvm.target.Target(text)
    values = te.placeholder((64,), name="values")
    doubled = te.compute((64,), lambda i: values[i] * 2.0)
    built = tvm.build(te.create_schedule(doubled.op), [values, doubled], target=target)
    export_library(built, tmp_path / "doubled.so", target)
    header = subprocess.run(["readelf", "-h", tmp_path / "doubled.so"], capture_output=True, text=True, check=True)
    line = next(line for line in header.stdout.splitlines() if "Machine:" in line)
    assert machine in line
    if not machine:
        assert tvm.runtime.load_module(str(tmp_path / "doubled.so"))


def _install(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of this name on the path."""
    (folder / name).write_text("#!/bin/sh\n")
    (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
