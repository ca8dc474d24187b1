"""Trains a policy: for placement on graphs with known costs, for fusion on models: `tvm_go.train`."""

from __future__ import annotations

import math
import time
import warnings
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tvm_go.board import Figures
from tvm_go.by_name import check_name
from tvm_go.errors import UsageError
from tvm_go.learn.journal import Row
from tvm_go.learn.run import RunOptions, prepare_folder
from tvm_go.policy import Checkpoint, Policy, save_policy
from tvm_go.training_course import Course
from tvm_go.training_placement import PlacementCourse

if TYPE_CHECKING:  # it brings TVM, which only one task needs
    from tvm_go.training_fusion import LoadedModel

OPTIONS = {
    "placement": ("machine", "objectives", "graphs", "devices", "ops"),
    "fusion": ("target", "log", "cost_model", "forms"),
}
"""What is learned, one of them at a time, and the options that are for it alone."""
_UNLIMITED = 10**9
_RECENT = 20  # rows of a curve that say how training goes


@dataclass(frozen=True, eq=False)
class TrainProgress:
    """How far a training run is.

    Attributes
    ----------
    stage : str
        ``prepare``: plans are drafted and changes of them tried, to learn from; ``train``.
    done : int
        Graphs that are prepared, or steps of training.
    share : float
        Of the stage, by steps or by time, whichever ends it earlier.
    rows : sequence of mappings
        The last rows of the journal.
    """

    stage: str
    done: int
    share: float
    rows: Sequence[Row] = ()


def train(
    models: Sequence[str | Path] | Mapping[str, LoadedModel],
    *,
    tasks: Sequence[str] = ("placement",),
    output: str | Path | None = None,
    machine: str | Path | None = None,
    objectives: Sequence[str] | None = None,
    graphs: int | None = None,
    devices: Sequence[int] | None = None,
    ops: tuple[int, int] | None = None,
    target: Any = None,
    log: str | Path | Sequence[str | Path] | None = None,
    cost_model: str | Path | None = None,
    forms: int | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    imitation_steps: int | None = None,
    seed: int = 0,
    resume: bool = False,
    tensorboard: str | Path | None = None,
    on_progress: Callable[[TrainProgress], object] = lambda progress: None,
) -> Checkpoint:
    """Train a policy that places graphs, or fuses the ops of models, that it has never seen.

    Ctrl-C, or KeyboardInterrupt from ``on_progress``, ends the training; what was learned by then is returned, and
    ``resume`` goes on from there.

    Parameters
    ----------
    models
        For placement: families of generated graphs (see `tvm_go.simulate.families`), on boxes of GPUs, and files of
        graphs. For fusion: models by name, as `tvm.driver.tvmc.load` gives them.
    tasks
        What the policy decides: ``placement`` or ``fusion``.
    output
        Where the policy is written. The run is kept beside it, in a folder with the suffix ``.run``.
    machine
        For placement: a file of devices and links, for the graph files. Without it graphs of dnn-partitioning have
        those that they bring along.
    objectives
        For placement: ``latency``, ``throughput``, or both, which is the default. Generated graphs take them in turn,
        those of files are learned from once for each.
    graphs, devices, ops
        For placement: how many graphs are drawn of the families together (168), numbers of GPUs that they are placed on
        in turn (2, 4, 8), and the least and the most ops of a graph (100, 400).
    target
        For fusion: for what models are prepared; by default this machine's CPU.
    log
        For fusion: logs of kernels on that target, one or several. What they hold is expected to take the geometric
        mean of log and prediction, all else what is predicted. The first log's probes describe the device.
    cost_model
        For fusion: a file of `tvm-go log train`; by default the one that ships for the target.
    forms
        For fusion: so many forms of each model at random (4), beside TVM's own and those that our rules suggest.
    minutes, steps
        When the training ends, at the latest: minutes of this run, after the graphs are prepared, and steps of all runs
        together. If neither is given, after 1,500 steps for placement, 300 for fusion.
    imitation_steps
        The first steps, in which the policy imitates what is known to be good; by default the same number. In all
        others it learns from rewards.
    seed
        The same seed and steps give the same policy.
    resume
        Go on with the run beside ``output``; all but the limits must be the same.
    tensorboard
        Folder for curves of the run while it runs.
    on_progress
        Told of each graph and step that is done.

    Returns
    -------
    Checkpoint
        The ``policy``, and its ``record``: graphs, settings, seed, versions and curves.

    Raises
    ------
    UsageError, UnsupportedModelError, LogError, TrainingError
        See :mod:`tvm_go.errors`.

    Examples
    --------
    >>> options = dict(objectives=["latency"], graphs=2, devices=[2], ops=(100, 120), steps=4)
    >>> trained = tvm_go.train(["rnnlm", "gpt"], output="policy.pt", **options)
    >>> trained.record["steps_done"], sorted(trained.record["curve"][0])
    (4, ['imitation_loss'])

    The policy then places other graphs:

    >>> from tvm_go.placing import place
    >>> from tvm_go.search.placement import PlacementBudget
    >>> from tvm_go.simulate.families import generate
    >>> from tvm_go.simulate.machines import P100, PCIE3, box
    >>> workload = generate("wavenet", 150, numpy.random.default_rng(0)).workload([P100])
    >>> four = box("four P100", [P100] * 4, PCIE3)
    >>> found = place(workload, four, "concurrent", strategy="go", policy=trained.policy, budget=PlacementBudget(50))
    >>> found.feasible
    True
    """
    _check_limits(minutes, steps, imitation_steps, seed)
    of_task = {
        "machine": machine,
        "objectives": objectives,
        "graphs": graphs,
        "devices": devices,
        "ops": ops,
        "target": target,
        "log": log,
        "cost_model": cost_model,
        "forms": forms,
    }
    course = _course(models, tasks, seed, {name: value for name, value in of_task.items() if value is not None})
    limit = steps if steps is not None else course.steps if minutes is None else _UNLIMITED
    limit_s = math.inf if minutes is None else 60 * minutes
    folder = None if output is None else _prepare_run(Path(output), resume=resume)
    figures = None if tensorboard is None else Figures(Path(tensorboard), name=Path(output or "policy").stem)
    lessons, about = course.prepare(lambda done, share: on_progress(TrainProgress("prepare", done, share)))
    began, rows = time.monotonic(), deque[Row](maxlen=_RECENT)

    def on_step(step: int, row: Row) -> None:
        rows.append(row)
        share = max(step / limit, (time.monotonic() - began) / limit_s)
        on_progress(TrainProgress("train", step, min(share, 1.0), tuple(rows)))

    on_progress(TrainProgress("train", 0, 0.0))
    policy = Policy(course.policy, seed)
    try:
        record = course.train(
            policy,
            lessons,
            steps=limit,
            imitation_steps=course.steps if imitation_steps is None else imitation_steps,
            rng=np.random.default_rng(seed),
            options=RunOptions(folder, resume, limit_s, figures, on_step),
        )
    finally:
        if figures is not None:
            figures.close()
    if figures is not None and figures.error:
        warnings.warn(f"the figures for TensorBoard are not whole ({figures.error})", stacklevel=2)
    checkpoint = Checkpoint(policy, {"models": [str(one) for one in models], "seed": seed, **about, **record})
    if output is not None:
        save_policy(checkpoint, Path(output))
    return checkpoint


def task_of(tasks: Sequence[str]) -> str:
    """The one task that is given.

    Raises
    ------
    UsageError
        If there is none, there are several, or there is no such task.
    """
    if not tasks:
        raise UsageError(f"there is no task; give {' or '.join(OPTIONS)}")
    for name in tasks:
        check_name(OPTIONS, name, "task")
    if len(tasks) > 1:
        raise UsageError(f"{' and '.join(tasks)} are learned from different things: train a policy for each")
    return tasks[0]


def recent(curve: Sequence[Row]) -> dict[str, float]:
    """Means over the last rows: ``reward`` and ``gap`` to the best known; before there are any, ``imitation_loss``."""
    rows = [row for row in curve[-_RECENT:] if "reward" in row] or curve[-_RECENT:]
    values = {name: [row[name] for row in rows if name in row] for name in ("reward", "imitation_loss")}
    values["gap"] = [value for row in rows for name, value in row.items() if name.startswith("gap/")]
    return {name: float(np.mean(some)) for name, some in values.items() if some}


def _course(
    models: Sequence[str | Path] | Mapping[str, LoadedModel],
    tasks: Sequence[str],
    seed: int,
    options: Mapping[str, Any],
) -> Course[Any]:
    """What is to be done for a task, with the options that were given."""
    task = task_of(tasks)
    for name in options:
        owner = next(one for one, names in OPTIONS.items() if name in names)
        if owner != task:
            raise UsageError(f"{name.replace('_', '-')} is for the task {owner}, not for {task}; leave it out")
    if task == "placement":
        if isinstance(models, Mapping):
            raise UsageError("placement is learned from graphs with known costs: give their files, or families")
        return PlacementCourse.of(models, seed, **options)
    from tvm_go.training_fusion import FusionCourse

    if not isinstance(models, Mapping):
        raise UsageError("fusion is learned from models: give them by name, as tvm.driver.tvmc.load returns them")
    return FusionCourse.of(models, seed, **options)


def _check_limits(minutes: float | None, steps: int | None, imitation_steps: int | None, seed: int) -> None:
    if minutes is not None and not minutes > 0:
        raise UsageError(f"minutes are {minutes:g}; give more than 0")
    if steps is not None and steps < 1:
        raise UsageError(f"steps are {steps}; give at least 1")
    for name, value in (("imitation steps", imitation_steps or 0), ("the seed", seed)):
        if value < 0:
            raise UsageError(f"{name} is {value}; give 0 or more")


def _prepare_run(output: Path, *, resume: bool) -> Path:
    """The folder of the run."""
    if output.is_dir():
        raise UsageError(f"'{output}' is a folder; name the file that the policy is written to")
    folder = output.with_suffix(".run")
    prepare_folder(folder, resume=resume)
    return folder
