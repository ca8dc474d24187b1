"""What all tests share."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cost_model.config import RpcConfig
from cost_model.opencl_runtime import LIBRARY, runtime_folder

if TYPE_CHECKING:
    from tests.tuned import Tuned

_TESTS = Path(__file__).parent
_LONG_FILES = (
    "test_documents.py",
    "tvm_go/test_tuning.py",
    "tvm_go/tvmc/test_interrupt.py",
    "tvm_go/tvmc/test_trackers.py",
    "tvm_go/tvmc/test_tune_graph.py",
    "tvm_go/tvmc/test_log_command.py",
    "relay_passes/test_placements.py",
    "tvm_go/test_kills.py",
    "tvm_go/test_wide_plans.py",
    "tvm_go/test_tune_devices.py",
    "tvm_go/test_device_search.py",
    "tvm_go/test_emulated_times.py",
    "devices/test_arm64.py",
    "cost_model/test_measure.py",
    "cost_model/test_kernel_tuning.py",
    "test_packaging.py",
    "test_examples.py",
)
"""Those that take over half a minute on two cores, the longest first."""


def pytest_configure(config: pytest.Config) -> None:
    """Hear Ctrl-C even if started in the background, where a shell has it ignored: our commands inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the files under tests/golden")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take minutes, each of which one worker runs alone: the last ones are then short."""
    first = {_TESTS / name: place for place, name in enumerate(_LONG_FILES)}
    items.sort(key=lambda item: first.get(item.path, len(first)))


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
def of_all_workers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this test session share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def tuned(of_all_workers: Path) -> Tuned:
    """A small model, tuned once in a test session."""
    from tests.tuned import tuned_in  # importing TVM takes a second: not for every test

    return tuned_in(of_all_workers / "tuned")


def skip_without(reason: str) -> None:
    """Skip a test for which this machine lacks something; CI must have it."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def opencl_runtime() -> Path:
    """The folder of TVM's runtime with OpenCL; without it a test is skipped, but not in CI."""
    folder = runtime_folder()
    if not (folder / LIBRARY).exists():
        skip_without("TVM's runtime with OpenCL is not built: run tools/opencl and tools/build_opencl_runtime")
    return folder


@pytest.fixture(scope="session")
def opencl_server(opencl_runtime: Path) -> Iterator[RpcConfig]:
    """A server with an OpenCL device, this machine's CPU by PoCL, and the CPU itself."""
    from tests.servers import running_server, running_tracker

    with running_tracker() as tracker, running_server(tracker, "opencl", runtime=opencl_runtime) as rpc:
        yield rpc


@pytest.fixture(scope="session")
def arm64_server() -> Iterator[RpcConfig]:
    """A server on an emulated ARM64 machine; without it a test is skipped, but not in CI."""
    from tests.servers import ARM64_SERVER, running_emulated_server, running_tracker

    if subprocess.run([ARM64_SERVER, "--check"], check=False).returncode:
        skip_without("the emulated ARM64 machine is not set up: run tools/arm64_server")
    with running_tracker() as tracker, running_emulated_server(tracker, "arm64") as rpc:
        yield rpc
