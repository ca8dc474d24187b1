"""Run a function on a thread with a stack deep enough for TVM's recursive visitors."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_STACK_BYTES = 2 << 30  # address space only: pages are touched as the recursion needs them
_RECURSION_LIMIT = 1_000_000  # for Python code that TVM calls back: layout rewrites, strategies
_LOCK = threading.Lock()  # stack size and recursion limit are settings of the whole process
_running = 0
_usual_limit = 0


def with_deep_stack(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call ``function`` on a thread of its own with a 2 GiB stack, and hand on what it returns or raises.

    TVM's visitors recurse over the graph; on the usual 8 MiB stack a chain of some thousand ops kills the process.
    Python's recursion limit is lifted for as long as such a thread runs, and no longer: it protects all other threads.
    ``Target`` and ``PassContext`` scopes are kept per thread: enter them inside ``function``.
    """
    outcome: list[T] = []
    failure: list[BaseException] = []

    def body() -> None:
        try:
            outcome.append(function(*args, **kwargs))
        except BaseException as error:
            failure.append(error)

    with _deep_recursion():
        with _LOCK:
            before = threading.stack_size(_STACK_BYTES)
            try:
                thread = threading.Thread(target=body, name="deep-stack", daemon=True)
                thread.start()
            finally:
                threading.stack_size(before)
        thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


@contextlib.contextmanager
def _deep_recursion() -> Iterator[None]:
    global _running, _usual_limit
    with _LOCK:
        if _running == 0:
            _usual_limit = sys.getrecursionlimit()
            sys.setrecursionlimit(_RECURSION_LIMIT)
        _running += 1
    try:
        yield
    finally:
        with _LOCK:
            _running -= 1
            if _running == 0:
                sys.setrecursionlimit(_usual_limit)
