"""Ctrl-C that waits: what is under way is done first, so that a run can be saved as it is between two steps."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class LaterInterrupt:
    """While entered, the first Ctrl-C sets ``heard``; a second one interrupts at once.

    In a thread other than the main one it does nothing: Python never interrupts those.
    """

    def __init__(self) -> None:
        self.heard = False
        self._active = False

    def __enter__(self) -> LaterInterrupt:
        main = threading.current_thread() is threading.main_thread()
        self._active = main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if self._active:
            signal.signal(signal.SIGINT, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        if self._active:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _hear(self, _: int, __: FrameType | None) -> None:
        if self.heard:
            raise KeyboardInterrupt
        self.heard = True
