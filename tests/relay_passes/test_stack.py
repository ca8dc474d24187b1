"""Deep recursion where it is asked for, and nowhere else."""

import sys

import pytest

from relay_passes.stack import with_deep_stack


def depth(n: int) -> int:
    return 0 if n == 0 else 1 + depth(n - 1)


def test_python_code_may_nest_deeply() -> None:
    assert with_deep_stack(depth, 50_000) == 50_000


def test_the_limit_is_back_afterwards_also_after_an_error() -> None:
    before = sys.getrecursionlimit()
    with pytest.raises(ZeroDivisionError):
        with_deep_stack(lambda: 1 // 0)
    assert with_deep_stack(with_deep_stack, depth, 5_000) == 5_000
    assert sys.getrecursionlimit() == before
    with pytest.raises(RecursionError):
        depth(before + 10)
