"""Checkpoints: a policy in one file, with the record of how it was trained."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from tvm_go.atomic import write_atomically
from tvm_go.errors import UsageError
from tvm_go.policy.config import PolicyConfig
from tvm_go.policy.policy import Policy

FORMAT = 2
"""Goes up with every change of features or layers: weights of another format mean something else."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A policy, and what is known of it.

    Attributes
    ----------
    policy : Policy
    record : mapping
        How it was trained, in what JSON can say: graphs, seeds, versions, curves.
    state : mapping
        What training needs to go on as if it had never stopped: nested dicts and lists of tensors, numbers and strings.
    """

    policy: Policy
    record: Mapping[str, Any] = field(default_factory=dict)
    state: Mapping[str, Any] = field(default_factory=dict)


def save_policy(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint, whole or not at all.

    Raises
    ------
    UsageError
        If the file cannot be written.
    """
    content = {
        "format": FORMAT,
        "config": json.dumps(asdict(checkpoint.policy.config)),
        "weights": checkpoint.policy.state_dict(),
        "record": json.dumps(checkpoint.record),
        "state": dict(checkpoint.state),
    }
    data = io.BytesIO()
    torch.save(content, data)
    try:
        write_atomically(path, data.getvalue())
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}; choose another place") from None


def load_policy(path: Path, tasks: Iterable[str] = ()) -> Checkpoint:
    """Read a checkpoint; nothing in the file is executed.

    Parameters
    ----------
    tasks
        What the policy has to decide, at least.

    Raises
    ------
    UsageError
        If the file is not there, is not a checkpoint, is damaged or of another format, or the policy was not made for
        one of the tasks.
    """
    content = _read(path)
    if content["format"] != FORMAT:
        raise UsageError(
            f"{path} is a checkpoint of format {content['format']}, this version reads format {FORMAT}; "
            "train it again, or take the version that wrote it"
        )
    try:
        fields = json.loads(content["config"])
        config = PolicyConfig(**{**fields, "tasks": tuple(fields["tasks"])})
        policy = Policy(config)
        policy.load_state_dict(content["weights"])
        record, state = json.loads(content["record"]), content["state"]
    except (KeyError, TypeError, ValueError, RuntimeError, UsageError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UsageError(f"{path} is damaged: {reason}; copy or train it again") from None
    wanted = tuple(tasks)
    missing = [task for task in wanted if task not in config.tasks]
    if missing:
        raise UsageError(
            f"{path} decides {', '.join(config.tasks)}, not {missing[0]}; train a policy with --tasks {missing[0]}"
        )
    if config.plans and wanted:
        raise UsageError(f"{path} improves whole plans on simulated machines; train a policy with --tasks {wanted[0]}")
    return Checkpoint(policy, record, state)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; give the path of a checkpoint") from None
    except Exception as error:  # torch lets through whatever damaged bytes lead its reader to
        raise UsageError(f"{path} is damaged or not a checkpoint ({type(error).__name__}); train it again") from None
    if not isinstance(content, dict) or "format" not in content:
        raise UsageError(f"{path} is not a checkpoint of a policy; give a file that `tvm-go train` wrote")
    return content
