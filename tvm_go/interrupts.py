"""Ctrl-C where Python would lose it, and Ctrl-C that waits."""

from __future__ import annotations

import _thread
import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

# A finalizer, and what TVM's C++ calls back (`tvm._ffi._ctypes.packed_func`): Python prints what is raised in them, and
# goes on.
_LOSE_EXCEPTIONS = ("__del__", "cfun")
_AGAIN_S = 0.01


@contextlib.contextmanager
def sure_interrupts() -> Iterator[None]:
    """While entered, Ctrl-C raises KeyboardInterrupt for certain: a moment later where it would be lost now.

    In a thread other than the main one, or if somebody else handles the signal, it does nothing.
    """
    with _handling(_interrupt):
        yield


class LaterInterrupt:
    """While entered, the first Ctrl-C sets ``heard``; a second one interrupts at once.

    What is under way is done first, so that a run can be saved as it is between two steps. In a thread other than the
    main one, or if somebody else handles the signal, it does nothing.
    """

    def __init__(self) -> None:
        self.heard = False
        self._scope = contextlib.ExitStack()

    def __enter__(self) -> LaterInterrupt:
        self._scope.enter_context(_handling(self._hear))
        return self

    def __exit__(self, *_: object) -> None:
        self._scope.close()

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.heard:
            _interrupt(number, frame)
        self.heard = True


@contextlib.contextmanager
def _handling(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before: Any = signal.getsignal(signal.SIGINT)
    main = threading.current_thread() is threading.main_thread()
    if not main or before not in (signal.default_int_handler, _interrupt):
        yield
        return
    signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    while frame is not None:
        if frame.f_code.co_name in _LOSE_EXCEPTIONS:
            # No `threading.Timer`: the code that is interrupted may hold a lock of that module.
            _thread.start_new_thread(_again, (_thread.get_ident(), number))
            return
        frame = frame.f_back
    raise KeyboardInterrupt


def _again(thread: int, number: int) -> None:
    time.sleep(_AGAIN_S)
    signal.pthread_kill(thread, number)
