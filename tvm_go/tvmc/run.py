"""`tvm-go run` of libraries for several devices: stock run, which gives a graph executor one device, gives it all."""

from __future__ import annotations

import argparse
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import tvm
from tvm.contrib import graph_executor
from tvm.contrib.debugger import debug_executor
from tvm.driver.tvmc import runner
from tvm.driver.tvmc.main import register_parser
from tvm.driver.tvmc.model import TVMCPackage
from tvm.rpc.base import RPC_SESS_MASK

from tvm_go.errors import UsageError
from tvm_go.target_text import HOST
from tvm_go.tvmc.errors import one_line


@register_parser
def keep_errors_to_a_line(subparsers: Any, _: argparse.ArgumentParser, __: object) -> None:
    """Have the stock `run` say what is missing in one line, as our commands do."""
    subparsers.choices["run"].set_defaults(func=drive_run)


@one_line
def drive_run(args: argparse.Namespace) -> int:
    """Run a library, after a look at whether this machine has its devices if it is to run here."""
    path = Path(args.PATH)
    if not path.exists():
        made = path.with_suffix(".tar")
        raise UsageError(f"there is no library '{path}'; `tvm-go compile MODEL -o {made}` makes one")
    if path.is_file() and not tarfile.is_tarfile(path):
        raise UsageError(f"'{path}' is no library; give what `tvm-go compile` wrote, a .tar file")
    if path.is_file() and not args.rpc_tracker:
        check_here(TVMCPackage(package_path=Path(args.PATH)).graph or "{}")
    return int(runner.drive_run(args) or 0)


def check_here(graph_json: str) -> None:
    """Raise :class:`UsageError` if TVM here lacks a device of a library's graph, which it could not even load."""
    names = _names(graph_json)
    for name in names:
        if name != HOST and tvm.get_global_func(f"device_api.{name}", allow_missing=True) is None:
            raise UsageError(
                f"the library is for {', '.join(names)}, and TVM's runtime here has no {name}: run it on a server "
                f"that has, 'tvm-go serve --device {name} ...', with --rpc-tracker and --rpc-key"
            )


def devices_of(graph_json: str, device: Any) -> list[Any]:
    """The devices of a library's graph, on the machine that one of them is on."""
    on = device._rpc_sess.device if device.device_type >= RPC_SESS_MASK else tvm.device
    return [on(name, 0) for name in _names(graph_json)] or [device]


def _names(graph_json: str) -> list[str]:
    """TVM's names of the devices of a graph for several, the host first; empty if it is for one."""
    index = json.loads(graph_json).get("attrs", {}).get("device_index")
    kinds = sorted(set(index[1])) if index else []
    names = [str(tvm.runtime.Device.MASK2STR[kind]) for kind in kinds] if len(kinds) > 1 else []
    return sorted(names, key=lambda name: name != HOST)


def _with_all(create: Callable[..., Any]) -> Callable[..., Any]:
    def create_with_all(graph_json: str, library: Any, device: Any, **options: Any) -> Any:
        return create(graph_json, library, devices_of(graph_json, device), **options)

    return create_with_all


runner.executor = SimpleNamespace(create=_with_all(graph_executor.create))
runner.debug_executor = SimpleNamespace(create=_with_all(debug_executor.create))
