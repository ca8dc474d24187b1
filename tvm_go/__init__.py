"""A learned graph-level tuner for Apache TVM's Relay."""

import importlib
import os
from typing import TYPE_CHECKING, Any

# Read by TVM and DGL when they are imported; the user's own values win.
os.environ.setdefault("TOPHUB_LOCATION", "NONE")  # no download of schedules: slow, and a crash for ARM builds
os.environ.setdefault("DGLBACKEND", "pytorch")

if TYPE_CHECKING:
    from tuning_logs import TuningLog
    from tvm_go.api import build, tune
    from tvm_go.apply_best import ApplyBest
    from tvm_go.callbacks import TuneCallbacks
    from tvm_go.plan import Decisions, GraphPlan
    from tvm_go.policy import Policy
    from tvm_go.training import train

__version__ = "0.1.0"
__all__ = ["ApplyBest", "Decisions", "GraphPlan", "Policy", "TuneCallbacks", "TuningLog", "build", "train", "tune"]

_HOMES = {
    "ApplyBest": "tvm_go.apply_best",
    "Decisions": "tvm_go.plan",
    "GraphPlan": "tvm_go.plan",
    "Policy": "tvm_go.policy",
    "TuneCallbacks": "tvm_go.callbacks",
    "TuningLog": "tuning_logs",
    "build": "tvm_go.api",
    "train": "tvm_go.training",
    "tune": "tvm_go.api",
}


def __getattr__(name: str) -> Any:
    """Import public names when they are first used: plans can be read without TVM."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'tvm_go' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
