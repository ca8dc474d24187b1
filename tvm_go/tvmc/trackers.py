"""The address of an RPC tracker, as the user gives it."""

from __future__ import annotations

from tvm.driver.tvmc.tracker import tracker_host_port_from_cli

from tvm_go.errors import UsageError


def tracker_address(text: str, option: str) -> tuple[str, int]:
    """Host and port of a tracker.

    Raises
    ------
    UsageError
        If the text, which was given with `option`, is no address.
    """
    example = "for instance 127.0.0.1:9190"
    try:
        host, port = tracker_host_port_from_cli(text)
    except ValueError as error:
        raise UsageError(f"{option} '{text}' is no HOST:PORT ({error}); {example}") from error
    if not host:
        raise UsageError(f"{option} '{text}' is no HOST:PORT; {example}")
    return host, port
