"""Our own RPC tracker and server on loopback: `python -m cost_model.rpc_host KEY`.

Prints one line of JSON, {"port": TRACKER_PORT}, and serves until its stdin ends, which happens also when its parent is
killed; then it takes its whole process group with it, so that no kernel goes on spinning. Meant to be started in a
session of its own. A line "abort" on stdin ends the RPC session now running.

Tracker and server are threads of this process: TVM's `Server` class stops serving for good once a session has crashed
(`_serving` in tvm/rpc/server.py raises in its only thread); here it is replaced at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sys
import threading
from pathlib import Path

import psutil
from tvm.rpc.server import PopenRPCServerState
from tvm.rpc.tracker import PopenTrackerServerState

_HOST = "127.0.0.1"
_PORTS_TRIED = 1000


def main() -> None:
    """Serve until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for our parent, which then closes our stdin
    key = sys.argv[1]
    try:
        tracker = PopenTrackerServerState(_HOST, *_port_range(), silent=True)
        threading.Thread(target=_serve_forever, args=(tracker.port, key), daemon=True).start()
        print(json.dumps({"port": tracker.port}), flush=True)
        # Not through sys.stdin: a session is forked while we wait here, and would wait for its lock.
        while command := os.read(0, 64):
            if b"abort" in command:
                _end_session()
    finally:
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(0)


def _port_range() -> tuple[int, int]:
    """Ports to try, below Linux's ephemeral range; apart from those of other hosts on this machine, most likely."""
    first = random.SystemRandom().randrange(10_000, 30_000)
    return first, first + _PORTS_TRIED


def _serve_forever(tracker_port: int, key: str) -> None:
    home = Path.cwd()
    while True:
        server = PopenRPCServerState(_HOST, *_port_range(), tracker_addr=(_HOST, tracker_port), key=key, silent=True)
        server.thread.join()
        server.sock.close()
        os.chdir(home)  # the crashed session had changed to a folder that is gone


def _end_session() -> None:
    """Kill the process of the running session; its loop sees that as a crash and starts anew."""
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()


if __name__ == "__main__":
    main()
