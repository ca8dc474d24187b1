"""Records name the machine that ran the kernel; a server that cannot run them is refused."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import tvm
from tvm.rpc.server import Server

from cost_model import served_device as asking
from cost_model.config import RpcConfig
from cost_model.measure import Measurer
from cost_model.provenance import host_cpu
from cost_model.rpc import RpcConnection
from cost_model.served_device import ServedDevice, served_device
from relay_passes.targets import as_target
from tests.cost_model.kernels import add_relu
from tests.servers import HOST, running_server, running_tracker
from tvm_go.errors import MeasureError


@pytest.fixture(scope="module")
def tracker() -> Iterator[int]:
    with running_tracker() as port:
        yield port


@pytest.fixture(scope="module")
def rpc(tracker: int) -> Iterator[RpcConfig]:
    with running_server(tracker, "ours") as config:
        yield config


@contextmanager
def stock_server(tracker: int, key: str) -> Iterator[RpcConfig]:
    stock = Server(HOST, port=31_000, port_end=31_900, tracker_addr=(HOST, tracker), key=key, silent=True)
    try:
        yield RpcConfig(HOST, tracker, key)
    finally:
        stock.terminate()


def test_our_own_server_is_this_machine_and_needs_not_be_asked() -> None:
    connection = RpcConnection()
    assert served_device(connection, as_target("native")) == ServedDevice("cpu", host_cpu())
    assert connection._local is None


def test_a_server_of_ours_names_its_cpu(rpc: RpcConfig) -> None:
    with RpcConnection(rpc) as connection:
        assert served_device(connection, as_target("native")) == ServedDevice("cpu", host_cpu())


def test_an_emulated_server_has_another_kind_of_device(tracker: int) -> None:
    with running_server(tracker, "emulated", "--emulated") as rpc, Measurer(target="native", rpc=rpc) as measurer:
        assert measurer.device_kind() == "cpu"
        assert measurer.served() == ServedDevice("emulated cpu", f"x86_64 emulated on {host_cpu()}")


def test_a_stock_server_is_said_to_be_unknown(tracker: int) -> None:
    with stock_server(tracker, "stock") as rpc, RpcConnection(rpc) as connection:
        assert served_device(connection, as_target("native")) == ServedDevice("cpu", "unknown (no tvm-go server)")


@pytest.mark.skipif(shutil.which("aarch64-linux-gnu-gcc") is None, reason="no cross compiler")
def test_a_stock_server_that_does_not_load_the_library_ends_measuring_with_one_line(tracker: int) -> None:
    with (
        stock_server(tracker, "foreign") as rpc,
        Measurer(target="llvm -mtriple=aarch64-linux-gnu", rpc=rpc) as measurer,
        pytest.raises(MeasureError, match=r"^the RPC server does not load .* another architecture; give") as error,
    ):
        list(measurer.measure([add_relu(8)]))
    assert "\n" not in str(error.value)


def test_a_server_without_the_device_is_refused_at_enter(rpc: RpcConfig) -> None:
    words = r"the server with key 'ours' has no opencl device.*tvm-go serve --device opencl"
    with pytest.raises(MeasureError, match=words) as error, Measurer(target="opencl", rpc=rpc):
        pass
    assert "\n" not in str(error.value)


def test_a_server_of_another_architecture_is_refused(rpc: RpcConfig) -> None:
    words = (
        r"'ours' is a machine of architecture x86_64, and the target '.*aarch64.*' compiles for aarch64: give a target"
    )
    with pytest.raises(MeasureError, match=words), Measurer(target="llvm -mtriple=aarch64-linux-gnu", rpc=rpc):
        pass


@pytest.mark.parametrize(
    ("triple", "machine", "fits"),
    [
        ("armv7l-linux-gnueabihf", "armv7l", True),
        ("armv7l-linux-gnueabihf", "aarch64", False),
        ("aarch64-linux-gnu", "aarch64", True),
        ("arm64-linux-gnu", "aarch64", True),
        ("", "x86_64", True),
        ("", "aarch64", False),
    ],
)
def test_architectures_are_known_by_all_their_names(triple: str, machine: str, fits: bool) -> None:
    target = tvm.target.Target(f"llvm -mtriple={triple}" if triple else "llvm")
    if fits:
        asking._check_architecture(target, machine, "it")
        asking._check_architecture(tvm.target.Target("opencl", host=target), machine, "it")
    else:
        with pytest.raises(MeasureError, match=f"it is a machine of architecture {machine}"):
            asking._check_architecture(target, machine, "it")
