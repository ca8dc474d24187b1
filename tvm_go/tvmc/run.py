"""`tvm-go run` of libraries for several devices: stock run, which gives a graph executor one device, gives it all."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import tvm
from tvm.contrib import graph_executor
from tvm.contrib.debugger import debug_executor
from tvm.driver.tvmc import runner
from tvm.driver.tvmc.main import register_parser
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
    """Run a library."""
    return int(runner.drive_run(args) or 0)


def devices_of(graph_json: str, device: Any) -> list[Any]:
    """The devices of a library's graph, from the machine that one of them is on; the host first if there are several.

    Raises
    ------
    UsageError
        If TVM's runtime there lacks one of them.
    """
    index = json.loads(graph_json)["attrs"].get("device_index")
    wanted = sorted(set(index[1])) if index else []
    if len(wanted) < 2:
        return [device]
    names = [tvm.runtime.Device.MASK2STR[kind] for kind in wanted]
    names.sort(key=lambda name: name != HOST)
    on = device._rpc_sess.device if device.device_type >= RPC_SESS_MASK else tvm.device
    for name in names:
        if not on(name, 0).exist:
            raise UsageError(
                f"the library is for {', '.join(names)}, and TVM's runtime here has no {name}: run it on a server "
                f"that has, 'tvm-go serve --device {name} ...', with --rpc-tracker and --rpc-key"
            )
    return [on(name, 0) for name in names]


def _with_all(create: Callable[..., Any]) -> Callable[..., Any]:
    def create_with_all(graph_json: str, library: Any, device: Any, **options: Any) -> Any:
        return create(graph_json, library, devices_of(graph_json, device), **options)

    return create_with_all


runner.executor = SimpleNamespace(create=_with_all(graph_executor.create))
runner.debug_executor = SimpleNamespace(create=_with_all(debug_executor.create))
