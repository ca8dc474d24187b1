"""What all tests share."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cost_model.config import RpcConfig
from cost_model.opencl_runtime import LIBRARY, runtime_folder

_TESTS = Path(__file__).parent


def pytest_configure(config: pytest.Config) -> None:
    """Hear Ctrl-C even if started in the background, where a shell has it ignored: our commands inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the files under tests/golden")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Compare a text with the file named after the test; a missing file fails, ``--update-golden`` writes it."""
    source = Path(request.node.path).relative_to(_TESTS).with_suffix("")
    path = _TESTS / "golden" / source / f"{request.node.name}.txt"

    def check(text: str) -> None:
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif not path.exists():
            pytest.fail(f"no golden file {path.relative_to(_TESTS.parent)}: write it with --update-golden, and read it")
        else:
            assert text == path.read_text(encoding="utf-8"), f"differs from {path.relative_to(_TESTS.parent)}"

    return check


@pytest.fixture(scope="session")
def opencl_runtime() -> Path:
    """The folder of TVM's runtime with OpenCL; without it a test is skipped, but not in CI."""
    folder = runtime_folder()
    if not (folder / LIBRARY).exists():
        reason = "TVM's runtime with OpenCL is not built: run tools/opencl and tools/build_opencl_runtime"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def opencl_server(opencl_runtime: Path) -> Iterator[RpcConfig]:
    """A server with an OpenCL device, this machine's CPU by PoCL, and the CPU itself."""
    from tests.servers import running_server, running_tracker  # importing TVM takes a second: not for every test

    with running_tracker() as tracker, running_server(tracker, "opencl", runtime=opencl_runtime) as rpc:
        yield rpc


@pytest.fixture(scope="session")
def arm64_server() -> Iterator[RpcConfig]:
    """A server on an emulated ARM64 machine; without it a test is skipped, but not in CI."""
    from tests.servers import ARM64_SERVER, running_emulated_server, running_tracker

    if subprocess.run([ARM64_SERVER, "--check"], check=False).returncode:
        reason = "the emulated ARM64 machine is not set up: run tools/arm64_server"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with running_tracker() as tracker, running_emulated_server(tracker, "arm64") as rpc:
        yield rpc
