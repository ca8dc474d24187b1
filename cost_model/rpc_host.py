"""Our own RPC tracker and server on loopback: `python -m cost_model.rpc_host KEY`.

Prints one line of JSON, {"port": TRACKER_PORT}, and serves until its stdin ends, which happens also when its parent is
killed; then it takes its whole process group with it, so that no kernel goes on spinning. Meant to be started in a
session of its own. A line "abort" on stdin ends the RPC session now running.

Tracker and server are threads of this process; `cost_model.server` replaces the server after a crashed session.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading

from tvm.rpc.tracker import PopenTrackerServerState

from cost_model.server import end_sessions, port_range, prepare_sessions, serve_forever

_HOST = "127.0.0.1"


def main() -> None:
    """Serve until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for our parent, which then closes our stdin
    key = sys.argv[1]
    try:
        tracker = PopenTrackerServerState(_HOST, *port_range(), silent=True)
        prepare_sessions()
        server = {"host": _HOST, "tracker": (_HOST, tracker.port), "key": key}
        threading.Thread(target=serve_forever, kwargs=server, daemon=True).start()
        print(json.dumps({"port": tracker.port}), flush=True)
        # Not through sys.stdin: a session is forked while we wait here, and would wait for its lock.
        while command := os.read(0, 64):
            if b"abort" in command:
                end_sessions()
    finally:
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(0)


if __name__ == "__main__":
    main()
