"""Ctrl-C is never lost, and waits where it is asked to."""

from __future__ import annotations

import os
import signal
import time

import pytest
import tvm

from tvm_go.interrupts import LaterInterrupt, sure_interrupts


def _ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0)  # a handler runs before the next instruction


def _wait() -> None:
    """Long enough for an interrupt that comes again."""
    time.sleep(5)


class Finalized:
    """Ctrl-C comes while it is thrown away."""

    ended = False

    def __del__(self) -> None:
        _ctrl_c()
        Finalized.ended = True


def test_in_a_finalizer_it_comes_after_it() -> None:
    with sure_interrupts(), pytest.raises(KeyboardInterrupt):
        Finalized()
        _wait()
    assert Finalized.ended


def test_in_what_tvm_calls_back_it_comes_after_it() -> None:
    ended = []

    def called() -> int:
        _ctrl_c()
        ended.append(True)
        return 7

    answers = []
    with sure_interrupts(), pytest.raises(KeyboardInterrupt):
        answers.append(tvm.runtime.convert(called)())
        _wait()
    assert ended == [True]
    assert answers == [7]


def test_elsewhere_it_comes_at_once() -> None:
    with sure_interrupts(), pytest.raises(KeyboardInterrupt):
        _ctrl_c()
        pytest.fail("not interrupted")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_first_waits_and_the_second_does_not() -> None:
    with sure_interrupts(), LaterInterrupt() as interrupt:
        assert not interrupt.heard
        _ctrl_c()
        assert interrupt.heard
        with pytest.raises(KeyboardInterrupt):
            _ctrl_c()


def test_a_handler_of_somebody_else_stays() -> None:
    heard = []
    before = signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    try:
        with sure_interrupts(), LaterInterrupt() as interrupt:
            _ctrl_c()
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [signal.SIGINT]
    assert not interrupt.heard
