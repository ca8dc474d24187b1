"""A TVM error of hundreds of lines becomes its message."""

from __future__ import annotations

import pytest
import tvm

from cost_model.lowering import lower_primitive
from relay_passes.error_text import is_memory_error, meaningful_lines
from relay_passes.targets import as_target, build_scopes
from tests.cost_model.kernels import two_anchors


def test_a_refusal_of_te_is_named_without_its_traceback() -> None:
    target = as_target("native")
    with pytest.raises(RuntimeError) as refusal, build_scopes(target):
        lower_primitive(tvm.ir.load_json(two_anchors().relay_json), target, "kernel")
    text = meaningful_lines(str(refusal.value))
    assert "Cannot apply TOPI schedule to a primitive function with two complicated ops" in text
    assert len(text.splitlines()) <= 3
    assert "Traceback" not in text
    assert "fn (" not in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "no message"),
        ("plain words", "plain words"),
        ("ValueError: bad\n\n", "ValueError: bad"),
        ('Traceback (most recent call last):\n  File "a.py", line 1\n    f()\nKeyError: 3', "KeyError: 3"),
        ("tvm._ffi.base.TVMError: Traceback (most recent call last):\n  0: f()\nTVMError: why", "TVMError: why"),
    ],
)
def test_the_innermost_message_is_kept(text: str, expected: str) -> None:
    assert meaningful_lines(text) == expected


def test_a_long_message_is_cut() -> None:
    assert len(meaningful_lines("ValueError: " + "x" * 10_000)) == 400


def test_memory_errors_are_recognised() -> None:
    assert is_memory_error("TVMError: std::bad_alloc")
    assert is_memory_error("LLVM ERROR: out of memory")
    assert not is_memory_error("TVMError: memory scope differs")
