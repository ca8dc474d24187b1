"""Progress of training: a bar with the newest figures on a terminal, lines elsewhere, nothing if quiet."""

from __future__ import annotations

import io

from rich.console import Console

from tvm_go.training import TrainProgress
from tvm_go.tvmc.training_progress import training_progress

TOLD = [
    TrainProgress("prepare", 1, 0.5),
    TrainProgress("train", 0, 0.0),
    TrainProgress("train", 7, 0.7, ({"reward": -0.9, "gap/a": 0.125},)),
]


def printed(*, terminal: bool, quiet: bool = False) -> str:
    """What is written when all of that is told."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=100, color_system=None)
    with training_progress(console, quiet=quiet) as tell:
        for progress in TOLD:
            tell(progress)
    return file.getvalue()


def test_a_terminal_shows_a_bar_with_step_reward_and_gap() -> None:
    last = printed(terminal=True).rpartition("training, step 7")[2]
    assert "━" in last
    assert "reward -0.900, 12.5% above the best known" in last


def test_elsewhere_there_is_a_line_at_each_stage() -> None:
    lines = printed(terminal=False).splitlines()
    assert [line.partition(" s  ")[2] for line in lines] == ["preparing, graph 1, 50%", "training, step 0, 0%"]


def test_quiet_writes_nothing() -> None:
    assert printed(terminal=True, quiet=True) == printed(terminal=False, quiet=True) == ""
