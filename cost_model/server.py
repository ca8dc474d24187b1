"""An RPC server that goes on after crashed sessions and lost trackers, and says what machine and devices it has.

Stand-alone: needs only the standard library and TVM (its runtime is enough), so a board without the rest of tvm-go can
run it by path: `python server.py --tracker HOST:PORT --key KEY`.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import platform
import random
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import tvm
from tvm.rpc.server import PopenRPCServerState

_PORTS_TRIED = 1000
_DEVICE_KINDS = ("cuda", "opencl", "vulkan", "metal", "rocm")
_DRIVER_VERSION = 12  # kDriverVersion in tvm/include/tvm/runtime/device_api.h
_RETRY_S = 1.0
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_CL_DEVICE_TYPE_ALL = 0xFFFFFFFF
_CL_DEVICE_NAME = 0x102B
_CL_PLATFORM_NAME = 0x0902


def main() -> None:
    """Serve until Ctrl-C."""
    options = _options()
    if options.describe:
        print(json.dumps(server_info(emulated=options.emulated)))
        return
    if platform.machine() == "x86_64":  # TVM leaves half of the cores out there, for hyper-threads
        os.environ.setdefault("TVM_NUM_THREADS", str(len(os.sched_getaffinity(0))))
    host, _, port = options.tracker.rpartition(":")
    for number in _STOP_SIGNALS:
        signal.signal(number, _stop)
    os.register_at_fork(after_in_child=_die_by_signals)
    threading.excepthook = _say_why
    prepare_sessions(emulated=options.emulated)
    serving = threading.Thread(
        target=serve_forever,
        kwargs={
            "host": options.host,
            "tracker": (host, int(port)),
            "key": options.key,
            "reported_host": options.reported_host,
        },
        daemon=True,
    )
    serving.start()
    print(f"serving as '{options.key}' at the tracker {options.tracker}; stop with Ctrl-C", flush=True)
    while True:  # signals are handled in this thread
        signal.pause()


def prepare_sessions(*, emulated: bool = False) -> None:
    """Register, for the sessions that this process will serve, what tvm-go asks of a server.

    Parameters
    ----------
    emulated : bool
        Whether this machine is emulated, so that its times say nothing about a real one.
    """

    @tvm.register_func("tvm_go.server_info", override=True)
    def info() -> str:
        return json.dumps(server_info(emulated=emulated))

    # OpenCL's own timer adds up what the device says of each kernel and leaves out what it takes to launch them, which
    # a model pays as well. Without it TVM takes the wall-clock time from sync to sync (DefaultTimer in
    # tvm/src/runtime/profiling.cc).
    if tvm.get_global_func("profiling.timer.opencl", allow_missing=True) is not None:
        tvm._ffi.registry.remove_global_func("profiling.timer.opencl")


def serve_forever(*, host: str, tracker: tuple[str, int], key: str, reported_host: str | None = None) -> None:
    """Serve, one session at a time; never returns.

    TVM's server stops serving for good once a session has crashed (`_serving` in tvm/rpc/server.py raises in its only
    thread), or its tracker was away for a minute; here it is replaced at once.

    Parameters
    ----------
    host : str
        The address to listen on.
    tracker : tuple of str and int
        Host and port of the tracker to register with.
    key : str
        The key to register.
    reported_host : str, optional
        The address that clients should use, where the tracker cannot see it.
    """
    home = Path.cwd()
    while True:
        start = time.monotonic()
        server = PopenRPCServerState(
            host, *port_range(), tracker_addr=tracker, key=key, custom_addr=reported_host, silent=True
        )
        server.thread.join()
        server.sock.close()
        os.chdir(home)  # the crashed session had changed to a folder that is gone
        if time.monotonic() - start < _RETRY_S:  # something that comes again at once
            time.sleep(_RETRY_S)


def port_range() -> tuple[int, int]:
    """Ports to try, below Linux's ephemeral range; apart from those of other servers on this machine, most likely."""
    first = random.SystemRandom().randrange(10_000, 30_000)
    return first, first + _PORTS_TRIED


def end_sessions() -> None:
    """Kill the process of the running session; `serve_forever` sees that as a crash and starts anew."""
    # Not by multiprocessing.active_children: it learns of a session after that has answered its client.
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # a process that has ended meanwhile
            parent = status.read_bytes().rpartition(b")")[2].split()[1]
            if int(parent) == os.getpid():
                os.kill(int(status.parent.name), signal.SIGKILL)


def server_info(*, emulated: bool = False) -> dict[str, Any]:
    """What this machine is, as JSON data.

    Asking initialises the devices, which a process must not do before it forks the sessions that use them.

    Returns
    -------
    dict
        ``machine`` (architecture), ``cpu`` (model), ``cores``, ``emulated``, ``tvm`` (version) and ``devices``: for
        each kind besides "cpu" that is there, its ``name``, ``driver`` and ``memory_bytes``, as far as they are known.
    """
    return {
        "machine": _architecture(),
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "emulated": emulated,
        "tvm": tvm.__version__,
        "devices": {kind: _describe(kind) for kind in _DEVICE_KINDS if _exists(kind)},
    }


def cpu_model() -> str:
    """Model name of this machine's CPU, or of its board where the CPU has none."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines() if cpuinfo.exists() else []
    fields = dict(line.replace("\t", "").split(": ", 1) for line in lines if ": " in line)
    board = Path("/proc/device-tree/model")
    if "model name" not in fields and board.exists():
        return board.read_text(encoding="utf-8", errors="replace").strip("\0\n ")
    return fields.get("model name") or fields.get("Hardware") or platform.processor() or platform.machine()


def _architecture() -> str:
    machine = platform.machine()
    is_32_bit = sys.maxsize < 1 << 32  # the kernel may have 64 bits all the same
    return {"aarch64": "armv7l", "x86_64": "i686"}.get(machine, machine) if is_32_bit else machine


def _exists(kind: str) -> bool:
    try:
        return bool(tvm.device(kind, 0).exist)
    except tvm.TVMError:  # the runtime has this kind, and its driver's library is not there
        return False


def _describe(kind: str) -> dict[str, Any]:
    device = tvm.device(kind, 0)
    name = str(device.device_name)
    driver = str(device._GetDeviceAttr(device.device_type, device.device_id, _DRIVER_VERSION) or "")
    if kind == "opencl":
        driver = f"{_opencl_platform(name)} {driver}".strip()
    return {"name": name, "driver": driver, "memory_bytes": device.total_global_memory}


def _opencl_platform(device_name: str) -> str:
    """The name of the OpenCL platform that has a device of this name, which TVM does not tell."""
    try:
        opencl = ctypes.CDLL("libOpenCL.so")
    except OSError:
        return ""
    for platform_id in _handles(opencl.clGetPlatformIDs):
        for device_id in _handles(opencl.clGetDeviceIDs, platform_id, ctypes.c_uint64(_CL_DEVICE_TYPE_ALL)):
            if _text(opencl.clGetDeviceInfo, device_id, _CL_DEVICE_NAME) == device_name:
                return _text(opencl.clGetPlatformInfo, platform_id, _CL_PLATFORM_NAME)
    return ""


def _handles(list_them: Any, *arguments: Any) -> list[ctypes.c_void_p]:
    """What an OpenCL function that fills an array of handles gives."""
    count = ctypes.c_uint(0)
    if list_them(*arguments, 0, None, ctypes.byref(count)) != 0:
        return []
    handles = (ctypes.c_void_p * count.value)()
    list_them(*arguments, count, handles, None)
    return [ctypes.c_void_p(handle) for handle in handles]


def _text(ask: Any, handle: ctypes.c_void_p, what: int) -> str:
    """A text that an OpenCL function gives about a handle."""
    buffer = ctypes.create_string_buffer(1024)
    ask(handle, what, ctypes.c_size_t(len(buffer)), buffer, None)
    return buffer.value.decode(errors="replace").strip()


def _stop(number: int, frame: FrameType | None) -> None:
    """Signals end the server and the session that it serves; its threads would go on for ever."""
    end_sessions()
    os._exit(0)


def _die_by_signals() -> None:
    """A session that hangs in a kernel never comes back to Python, where a handler would run."""
    for number in _STOP_SIGNALS:
        signal.signal(number, signal.SIG_DFL)


def _say_why(arguments: threading.ExceptHookArgs) -> None:
    """The serving thread ends with an exception where a session has crashed; another one goes on."""
    print(f"{arguments.exc_value or arguments.exc_type.__name__}; serving on", file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Serve this machine's devices to tvm-go over TVM RPC.",
        epilog="For OpenCL set TVM_LIBRARY_PATH to the folder that tools/build_opencl_runtime prints, and "
        "TVM_USE_RUNTIME_LIB=1.",
    )
    parser.add_argument("--tracker", metavar="HOST:PORT", help="the tracker to register with.")
    parser.add_argument("--key", metavar="KEY", help="the key to register.")
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on; default: all of this machine's.")
    parser.add_argument("--reported-host", metavar="HOST", help="address for clients, where the tracker cannot see it.")
    parser.add_argument("--emulated", action="store_true", help="say that times of this machine mean nothing.")
    parser.add_argument("--describe", action="store_true", help="print what this machine has, as JSON, and exit.")
    options = parser.parse_args()
    if not options.describe and not (options.tracker and options.key):
        parser.error("give --tracker and --key")
    if not options.describe and not options.tracker.rpartition(":")[2].isdigit():
        parser.error(f"--tracker '{options.tracker}' is no HOST:PORT; for instance 127.0.0.1:9190")
    return options


if __name__ == "__main__":
    main()
