"""The outcome of a tuning run in words."""

from __future__ import annotations

import math

from tvm_go.report.words import milliseconds
from tvm_go.result import TuneResult

_VERDICTS = {
    "faster": "the plan is faster beyond noise, and its outputs agree with TVM's default",
    "same": "no difference beyond noise: TVM's default plan is returned",
    "slower": "measured as a whole the plan is slower: TVM's default plan is returned",
    "wrong": "the plan's outputs differ: TVM's default plan is returned",
    "failed": "the plan could not be built or run as a whole: TVM's default plan is returned",
    "default": "the search found nothing faster than TVM's default plan, which is returned",
    "interrupted": "interrupted before the plan was verified",
}


def verdict_line(result: TuneResult) -> str:
    """The outcome in one sentence."""
    text = _VERDICTS[result.verdict] + (f" ({result.error})" if result.error else "")
    if not math.isfinite(result.default_ms):  # nothing ran as a whole
        return text
    return f"{milliseconds(result.default_ms)} ms -> {milliseconds(result.plan_ms)} ms ({result.speedup:.3f}x): {text}"
