"""`tvm-go serve --tracker HOST:PORT --key KEY`: let others measure and run on this machine's devices."""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import subprocess
import sys
from typing import Any

from tvm.driver.tvmc.main import register_parser

from cost_model import server
from cost_model.rpc import reach_tracker
from cost_model.runtime_choice import runtime_environment
from relay_passes.error_text import meaningful_lines
from tvm_go.errors import MeasureError, UsageError
from tvm_go.tvmc.errors import one_line
from tvm_go.tvmc.frame import add_command
from tvm_go.tvmc.trackers import tracker_address

_EXAMPLE = """\
python -m tvm.exec.rpc_tracker --port 9190
tvm-go serve --tracker 127.0.0.1:9190 --key board
tvm-go tune-graph model.onnx --rpc-tracker 127.0.0.1:9190 --rpc-key board
"""
_DEVICES = ("cpu", "opencl")


@register_parser
def add_serve_parser(subparsers: Any, _: argparse.ArgumentParser, __: object) -> None:
    """Include parser for 'serve' subcommand."""
    parser = add_command(
        subparsers,
        "serve",
        drive_serve,
        text="serve this machine's devices to a tracker, for tuning and running.",
        usage="--tracker HOST:PORT --key KEY [--device cpu|opencl] [...]",
        example=_EXAMPLE,
    )
    parser.add_argument("--tracker", metavar="HOST:PORT", required=True, help="the tracker to register with.")
    parser.add_argument("--key", metavar="KEY", required=True, help="the key under which clients ask for this machine.")
    parser.add_argument(
        "--device", default="cpu", choices=_DEVICES, help="what must be there besides the CPU; default: %(default)s."
    )
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on; default: all of this machine's.")
    parser.add_argument("--reported-host", metavar="HOST", help="address for clients, where the tracker cannot see it.")
    parser.add_argument(
        "--runtime", metavar="DIR", help="folder of TVM's runtime; default: what tools/build_opencl_runtime built."
    )


@one_line
def drive_serve(args: argparse.Namespace) -> int:
    """Check that there is something to serve and somewhere to register, then become the server."""
    host, port = tracker_address(args.tracker, "--tracker")
    if not args.key.strip() or ":" in args.key or " " in args.key:
        raise UsageError(f"--key is '{args.key}'; it must be a word without colons, for instance board")
    environment = {**os.environ, **runtime_environment([args.device], args.runtime)}
    reach_tracker(host, port, "--tracker")
    served = _describe(environment)
    if args.device != "cpu" and args.device not in served["devices"]:
        raise MeasureError(_why_no_device(args.device))
    print(f"CPU: {served['cpu']}, {served['machine']}, {served['cores']} cores")
    for kind, device in served["devices"].items():
        print(f"{kind}: {device['name']}, {device['driver']}, {(device['memory_bytes'] or 0) / 1e9:.1f} GB")
    sys.stdout.flush()
    command = [sys.executable, server.__file__, "--tracker", f"{host}:{port}", "--key", args.key, "--host", args.host]
    if args.reported_host:
        command += ["--reported-host", args.reported_host]
    os.execve(sys.executable, command, environment)


def _describe(environment: dict[str, str]) -> dict[str, Any]:
    """What the server's process finds here."""
    done = subprocess.run(
        [sys.executable, server.__file__, "--describe"], env=environment, capture_output=True, text=True
    )
    if done.returncode != 0:
        runtime = environment.get("TVM_LIBRARY_PATH", "the installed TVM")
        raise MeasureError(f"TVM's runtime in {runtime} does not work here: {meaningful_lines(done.stderr)}")
    return dict(json.loads(done.stdout))


def _why_no_device(kind: str) -> str:
    if kind == "opencl":
        try:
            ctypes.CDLL("libOpenCL.so")
        except OSError:
            return (
                "OpenCL's loader libOpenCL.so is missing: install it (Debian: ocl-icd-opencl-dev), "
                "or link that name to the libOpenCL.so.1 of your driver"
            )
    return (
        f"no {kind} device works on this machine: 'clinfo -l' must list one; install its driver, "
        "or pocl-opencl-icd for the CPU"
    )
