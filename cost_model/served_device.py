"""What runs our kernels: asks an RPC server once which machine and device it has, and refuses one that does not fit."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tvm

from cost_model.provenance import host_cpu
from cost_model.rpc import RpcConnection
from relay_passes.export import architecture_of
from tvm_go.errors import MeasureError

_SESSION_S = 30.0
_UNKNOWN = "unknown (no tvm-go server)"


@dataclass(frozen=True)
class ServedDevice:
    """A device behind an RPC server, as records name it.

    Attributes
    ----------
    kind : str
        Under which records are looked up, so that times of devices which a target does not tell apart are never mixed:
        TVM's name of the kind, with the model where it is no CPU (a CPU's target says -mcpu), and with "emulated" in
        front where the machine is.
    model : str
        Model name of the CPU, or of the device with its driver.
    memory_bytes : int or None
        Of the device; None for a CPU, which has the machine's, and where TVM does not know.
    """

    kind: str
    model: str
    memory_bytes: int | None = None

    @property
    def is_emulated(self) -> bool:
        """Whether its times say nothing about a real device."""
        return self.kind.startswith("emulated ")


def together(devices: Sequence[ServedDevice]) -> ServedDevice:
    """Several devices of one machine as one, for records of what needs all of them."""
    return ServedDevice(" + ".join(one.kind for one in devices), "; ".join(one.model for one in devices))


def served_device(connection: RpcConnection, target: tvm.target.Target) -> ServedDevice:
    """Ask the server of a connection for the device that kernels of a target run on.

    Raises
    ------
    MeasureError
        There is no server, it has no such device, or its CPU is of another architecture.
    """
    kind = tvm.runtime.Device.MASK2STR[target.get_target_device_type()]
    if connection.is_local and kind == "cpu":
        _check_this_machine(target)
        return ServedDevice(kind, host_cpu())  # that server is this machine
    exists, memory_bytes, info = connection.run(lambda session: _ask(session, kind), session_timeout_s=_SESSION_S)
    server = _server_name(connection)
    if not exists:
        raise MeasureError(
            f"{server} has no {kind} device that works; start one that has with 'tvm-go serve --device {kind}', "
            "or give another --target"
        )
    if info is None:
        return _named(kind, _UNKNOWN, memory_bytes)
    _check_architecture(target, info["machine"], server)
    model = info["cpu"] if kind == "cpu" else _device_model(info["devices"][kind])
    if info["emulated"]:
        return _named(kind, f"{info['machine']} emulated on {model}", memory_bytes, "emulated ")
    return _named(kind, model, memory_bytes)


def _named(kind: str, model: str, memory_bytes: int | None, prefix: str = "") -> ServedDevice:
    return ServedDevice(prefix + (kind if kind == "cpu" else f"{kind}: {model}"), model, memory_bytes)


def _ask(session: Any, kind: str) -> tuple[bool, int | None, dict[str, Any] | None]:
    """Whether a device is there, its memory, and what a server of ours says of itself."""
    memory_bytes = None
    try:
        device = session.device(kind, 0)
        exists = bool(device.exist)
        if exists and kind != "cpu":
            memory_bytes = device.total_global_memory
    except tvm.TVMError as error:
        if "libOpenCL" not in str(error):
            raise
        exists = False  # the server can load OpenCL, and has none
    try:
        ask = session.get_function("tvm_go.server_info")
    except AttributeError:
        return exists, memory_bytes, None
    return exists, memory_bytes, json.loads(ask())


def _device_model(device: dict[str, Any]) -> str:
    return device["name"] + (f" ({device['driver']})" if device["driver"] else "")


def _server_name(connection: RpcConnection) -> str:
    return "our own server" if connection.is_local else f"the server with key '{connection.address().key}'"


def _check_this_machine(target: tvm.target.Target) -> None:
    compiled_for, machine = architecture_of(target), platform.machine()
    if compiled_for != architecture_of(tvm.target.Target("llvm")):
        raise MeasureError(
            f"the target compiles for {compiled_for}, and this machine is {machine}: "
            "name a server to measure on with --rpc-tracker and --rpc-key ('tvm-go serve' starts one), "
            "or take the target 'native'"
        )


def _check_architecture(target: tvm.target.Target, machine: str, server: str) -> None:
    triple = f"{machine}-linux-gnu"
    compiled_for = architecture_of(target)
    if compiled_for != architecture_of(tvm.target.Target(f"llvm -mtriple={triple}")):
        raise MeasureError(
            f"{server} is a machine of architecture {machine}, and the target '{target}' compiles for {compiled_for}: "
            f"give a target for it, such as 'llvm -mtriple={triple}', or the key of another server"
        )
