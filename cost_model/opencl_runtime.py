"""Builds TVM's runtime with OpenCL, which the TVM wheels leave out, from the C++ sources that they carry.

Stand-alone: needs only the standard library and an installed TVM, so a board can run it by path.
`tools/build_opencl_runtime` calls it.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

LIBRARY = "libtvm_runtime.so"
_FLAGS = (
    "-DUSE_OPENCL=ON",
    "-DUSE_RPC=ON",
    "-DUSE_GRAPH_EXECUTOR=ON",
    "-DUSE_PROFILER=ON",
    "-DUSE_LLVM=OFF",
    "-DUSE_LIBBACKTRACE=OFF",
    "-DUSE_GTEST=OFF",
)
_PROGRAMS = {"cmake": "cmake", "ninja": "ninja-build", "c++": "g++"}  # and Debian's package of each

# include/tvm/runtime/metadata.h includes this header, and no wheel has it.
_SPAN_H = """\
#pragma once
#include <vector>
namespace tvm::support {
// The elements from begin to end, of type From, read as To.
template <class From, class To>
class Span {
 public:
  Span(From* begin, From* end) : begin_(begin), end_(end) {}
  From* begin() const { return begin_; }
  From* end() const { return end_; }
  operator std::vector<To>() const { return std::vector<To>(begin_, end_); }
 private:
  From *begin_, *end_;
};
}  // namespace tvm::support
"""


class RuntimeBuildError(Exception):
    """The runtime cannot be built here."""


def runtime_folder(flags: Sequence[str] = ()) -> Path:
    """Where the runtime of the installed TVM is kept, built or not.

    Parameters
    ----------
    flags : sequence of str
        CMake definitions beyond ours.

    Raises
    ------
    RuntimeBuildError
        No TVM is installed.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    what = "\n".join([platform.machine(), *_sources(), *_FLAGS, *flags])
    return cache / "tvm-go" / f"runtime-{_tvm_version()}-{hashlib.sha256(what.encode()).hexdigest()[:12]}"


def build_runtime(folder: Path, flags: Sequence[str] = ()) -> None:
    """Build the runtime into a folder, unless it is there; a second caller waits for the first.

    Parameters
    ----------
    folder : Path
        Where `libtvm_runtime.so` goes.
    flags : sequence of str
        CMake definitions beyond ours.

    Raises
    ------
    RuntimeBuildError
        Something that the build needs is missing, or the build failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / LIBRARY).exists():
            _build(folder, flags)


def main() -> None:
    """Command line: build, or find what was built; print the folder."""
    parser = argparse.ArgumentParser(
        prog="build_opencl_runtime",
        description="Build TVM's runtime with OpenCL from the sources in the installed TVM wheel (once, 6 minutes "
        "of CPU time) and print its folder. 'tvm-go serve --device opencl' finds it there.",
        epilog="Arguments that begin with -D go to CMake, for instance -DUSE_OPENCL=/path/to/the/sdk.",
    )
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="where to put it (default: a folder in ~/.cache/tvm-go)"
    )
    options, flags = parser.parse_known_args()
    if unknown := [flag for flag in flags if not flag.startswith("-D")]:
        parser.error(f"unknown arguments: {' '.join(unknown)}; only CMake's -D flags may follow")
    try:
        folder = options.output or runtime_folder(flags)
        build_runtime(folder, flags)
    except RuntimeBuildError as error:
        sys.exit(f"build_opencl_runtime: {error}")
    except OSError as error:
        sys.exit(f"build_opencl_runtime: {error.strerror}: {error.filename}; choose another folder with --output")
    print(folder)


def _build(folder: Path, flags: Sequence[str]) -> None:
    sources = _tvm_folder()
    if not (sources / "CMakeLists.txt").exists() or not (sources / "src").exists():
        raise RuntimeBuildError(
            f"the TVM in {sources} comes without its C++ sources; "
            "install the wheel xtc-tvm-python-bindings==0.19.0.12, or build TVM 0.19 yourself with USE_OPENCL=ON"
        )
    if missing := [program for program in _PROGRAMS if shutil.which(program) is None]:
        packages = " ".join(_PROGRAMS[program] for program in missing)
        raise RuntimeBuildError(f"{', '.join(missing)} not found: install (on Debian: apt-get install {packages})")
    _say(f"building {LIBRARY} with OpenCL from {sources}; takes about 6 minutes of CPU time")
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="build-", dir=folder) as name:
        build = Path(name)
        header = build / "shim" / "tvm" / "support" / "span.h"
        if not (sources / "include" / "tvm" / "support" / "span.h").exists():
            header.parent.mkdir(parents=True)
            header.write_text(_SPAN_H)
        ours = ("-DCMAKE_BUILD_TYPE=Release", f"-DCMAKE_CXX_FLAGS=-I{build / 'shim'}", *_FLAGS)
        _call(["cmake", "-G", "Ninja", "-S", str(sources), "-B", str(build), *ours, *flags])
        _call(["ninja", "-C", str(build), "tvm_runtime"])
        (build / LIBRARY).rename(folder / LIBRARY)
    _say(f"built in {time.monotonic() - start:.0f} s")


def _call(command: list[str]) -> None:
    """Run a step of the build; its output is shown only where it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    if done.returncode != 0:
        lines = done.stdout.strip().splitlines()
        _say("\n".join(lines[-40:]))
        problem = next((line.strip() for line in lines if re.search(r"error", line, re.IGNORECASE)), "see above")
        raise RuntimeBuildError(f"{command[0]} failed ({problem})")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _tvm_folder() -> Path:
    # Found, not imported: importing takes seconds.
    spec = importlib.util.find_spec("tvm")
    if spec is None or spec.origin is None:
        raise RuntimeBuildError(
            f"no TVM is installed for {sys.executable}; pip install xtc-tvm-python-bindings==0.19.0.12"
        )
    return Path(spec.origin).parent


def _sources() -> list[str]:
    """The C++ sources by name and size: equal ones, wherever they are installed, need one build."""
    folder = _tvm_folder()
    files = [path for part in ("src", "include") for path in (folder / part).rglob("*.*")]
    return sorted(f"{path.relative_to(folder)} {path.stat().st_size}" for path in files if path.is_file())


def _tvm_version() -> str:
    text = (_tvm_folder() / "_ffi" / "libinfo.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "(.*)"$', text, re.MULTILINE)
    return found.group(1) if found else "unknown"


if __name__ == "__main__":
    main()
