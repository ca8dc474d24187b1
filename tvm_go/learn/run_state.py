"""All that a training run must remember to go on exactly where it stopped, in one file."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

import tvm_go
from tvm_go.atomic import write_atomically
from tvm_go.errors import UsageError
from tvm_go.graph import Int64
from tvm_go.learn.reward import Baseline
from tvm_go.policy import Policy

_FORMAT = 3


@dataclass
class Known:
    """What a run knows of one graph: the moving baseline, and the best plan so far (see `tvm_go.learn.lesson`)."""

    baseline: Baseline
    target: Int64
    best_ms: float


@dataclass
class RunState:
    """A run between two steps.

    Attributes
    ----------
    step : int
        The next one.
    known : dict
        By the name of the graph.
    curve : list of dict
        A row for each step that is done.
    """

    policy: Policy
    optimiser: torch.optim.Optimizer
    generator: torch.Generator
    rng: np.random.Generator
    known: dict[str, Known]
    step: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)


def save_run(path: Path, state: RunState, identity: Mapping[str, Any]) -> None:
    """Write a run, whole or not at all.

    Parameters
    ----------
    identity : mapping
        What must be the same to go on; anything that JSON can hold.

    Raises
    ------
    UsageError
        If the file cannot be written; one that was there stays.
    """
    notes = {
        "identity": identity,
        "step": state.step,
        "rng": state.rng.bit_generator.state,
        "known": {name: [one.baseline.mean, one.best_ms] for name, one in state.known.items()},
        "curve": state.curve,
    }
    content = {
        "format": _FORMAT,
        "policy": state.policy.state_dict(),
        "optimiser": state.optimiser.state_dict(),
        "generator": state.generator.get_state(),
        "targets": {name: torch.from_numpy(one.target) for name, one in state.known.items()},
        "notes": json.dumps(notes),
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    try:
        write_atomically(path, buffer.getvalue())
    except OSError as error:
        raise UsageError(f"cannot write {path} ({error.strerror}); make room or choose another place") from None


def load_run(path: Path, state: RunState, identity: Mapping[str, Any]) -> None:
    """Bring a new run to where the one in a file stopped.

    Raises
    ------
    UsageError
        If the file is missing or damaged, or holds a run with other settings or graphs.
    """
    try:
        content = torch.load(path, weights_only=True)
        notes = json.loads(content["notes"])
    except (OSError, EOFError, LookupError, RuntimeError, TypeError, ValueError, pickle.UnpicklingError) as error:
        raise UsageError(f"{path} is no training run ({_line(error)}); remove it and start anew") from None
    if content["format"] != _FORMAT:
        raise UsageError(f"{path} has format {content['format']}, not {_FORMAT}; remove it and start anew")
    wanted = json.loads(json.dumps(identity))
    other = [name for name in wanted if notes["identity"].get(name) != wanted[name]]
    if other:
        raise UsageError(f"{path}: the run was started with other {' and other '.join(other)}; resume it with the same")
    try:
        state.policy.load_state_dict(content["policy"])
        state.optimiser.load_state_dict(content["optimiser"])
    except (RuntimeError, ValueError):  # layers of other shapes or names
        raise UsageError(f"{path} is of another version; remove it and start anew, or resume with that") from None
    state.generator.set_state(content["generator"])
    state.rng.bit_generator.state = notes["rng"]
    state.known = {
        name: Known(Baseline(mean), content["targets"][name].numpy(), best_ms)
        for name, (mean, best_ms) in notes["known"].items()
    }
    state.step, state.curve = notes["step"], notes["curve"]


def record_of(
    policy: Policy, graphs: Sequence[str], settings: Mapping[str, Any], curve: Sequence[Mapping[str, float]]
) -> dict[str, Any]:
    """The record of a training, as `tvm_go.policy.save_policy` takes it."""
    return {
        "graphs": list(graphs),
        "settings": dict(settings),
        "policy": asdict(policy.config),
        "versions": versions(),
        "steps_done": len(curve),
        "curve": list(curve),
    }


def versions() -> dict[str, str]:
    """What a policy was trained with, for its record."""
    return {"tvm-go": tvm_go.__version__, **{name: version(name) for name in ("torch", "dgl", "numpy")}}


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:100]
