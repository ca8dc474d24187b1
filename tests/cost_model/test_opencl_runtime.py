"""The runtime with OpenCL is built once for its flags, and what is missing for it is named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cost_model import opencl_runtime
from cost_model.opencl_runtime import LIBRARY, runtime_folder

# In place of CMake and Ninja, which take minutes: they write down how they were called.
_CMAKE = """\
#!/bin/sh
echo "$@" >> "$CALLS"
"""
_NINJA = """\
#!/bin/sh
echo ninja "$3" >> "$CALLS"
sleep 0.5
echo library > "$2/libtvm_runtime.so"
"""
_BROKEN = """\
#!/bin/sh
echo "a line"
echo "CMake Error: the compiler is not able to compile"
exit 1
"""


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (("cmake", _CMAKE), ("ninja", _NINJA), ("c++", _CMAKE)):
        write(folder / name, text)
    return folder


def write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def build(tmp_path: Path, *arguments: str, path: str) -> subprocess.Popen[str]:
    """The script, started as a user starts it, with another folder for what it keeps."""
    variables = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "CALLS": str(tmp_path / "calls"), "PATH": path}
    return subprocess.Popen(
        [sys.executable, opencl_runtime.__file__, *arguments],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    stdout, stderr = process.communicate(timeout=60)
    return process.returncode, stdout.strip(), stderr.strip()


def test_two_calls_at_once_build_once_and_a_later_one_finds_it(tools: Path, tmp_path: Path) -> None:
    path = f"{tools}:/bin:/usr/bin"
    both = [build(tmp_path, "-DUSE_CLML=ON", path=path) for _ in range(2)]
    outcomes = [ended(process) for process in both]
    assert [status for status, _, _ in outcomes] == [0, 0], outcomes
    folder = Path(outcomes[0][1])
    assert outcomes[1][1] == str(folder)
    assert (folder / LIBRARY).read_text() == "library\n"
    assert sorted(path.name for path in folder.iterdir()) == [".lock", LIBRARY]
    assert sum("about 6 minutes" in said for _, _, said in outcomes) == 1
    configured, compiled = (tmp_path / "calls").read_text().splitlines()
    assert "-DUSE_OPENCL=ON" in configured
    assert configured.endswith("-DUSE_CLML=ON")
    assert compiled == "ninja tvm_runtime"
    assert ended(build(tmp_path, "-DUSE_CLML=ON", path="/nowhere")) == (0, str(folder), "")


def test_builds_with_other_flags_are_kept_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folders = {runtime_folder(), runtime_folder(["-DUSE_CLML=ON"]), runtime_folder(["-DUSE_CLML=OFF"])}
    assert len(folders) == 3
    assert all(folder.parent == tmp_path / "tvm-go" for folder in folders)
    assert all(folder.name.startswith("runtime-0.19.0-") for folder in folders)


def test_the_user_may_choose_the_folder(tools: Path, tmp_path: Path) -> None:
    chosen = tmp_path / "chosen"
    assert ended(build(tmp_path, "--output", str(chosen), path=f"{tools}:/bin:/usr/bin"))[:2] == (0, str(chosen))
    assert (chosen / LIBRARY).exists()


def test_programs_that_are_missing_are_named_with_their_packages(tools: Path, tmp_path: Path) -> None:
    (tools / "cmake").unlink()
    (tools / "ninja").unlink()
    status, stdout, stderr = ended(build(tmp_path, path=str(tools)))
    assert (status, stdout) == (1, "")
    assert stderr == (
        "build_opencl_runtime: cmake, ninja not found: install (on Debian: apt-get install cmake ninja-build)"
    )


def test_a_build_that_fails_says_where_and_leaves_nothing(tools: Path, tmp_path: Path) -> None:
    write(tools / "cmake", _BROKEN)
    status, stdout, stderr = ended(build(tmp_path, "--output", str(tmp_path / "out"), path=f"{tools}:/bin:/usr/bin"))
    assert (status, stdout) == (1, "")
    assert stderr.splitlines()[-1] == (
        "build_opencl_runtime: cmake failed (CMake Error: the compiler is not able to compile)"
    )
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".lock"]


def test_what_is_no_flag_of_cmake_is_refused(tmp_path: Path) -> None:
    status, _, stderr = ended(build(tmp_path, "USE_OPENCL=ON", path="/nowhere"))
    assert status == 2
    assert "unknown arguments: USE_OPENCL=ON; only CMake's -D flags may follow" in stderr
