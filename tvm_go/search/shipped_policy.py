"""The policies that come with the package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tvm_go.errors import UsageError

if TYPE_CHECKING:  # it brings torch and DGL, which only the learned strategies need
    from tvm_go.policy import Checkpoint

FOLDER = Path(__file__).parents[1] / "policy" / "shipped"


def load_shipped(path: Path, task: str, trained_by: str) -> Checkpoint:
    """A policy of the package.

    Parameters
    ----------
    trained_by : str
        The script in this repository that makes it.

    Raises
    ------
    UsageError
        If the package came without it, or it does not decide the task.
    """
    from tvm_go.policy import load_policy

    if not path.exists():
        raise UsageError(
            f"strategy 'go' finds no policy at {path}; train one: python -m {trained_by} --ship, "
            "or give one with --policy"
        )
    return load_policy(path, (task,))
