"""Trains a policy for placement on graphs of generated families and on one's own: `tvm_go.train`."""

from __future__ import annotations

import math
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tvm_go.board import Figures
from tvm_go.by_name import check_name
from tvm_go.errors import UsageError
from tvm_go.learn.corpus import Case, CorpusConfig, draw_corpus
from tvm_go.learn.draft_lessons import draft_lessons
from tvm_go.learn.journal import Row
from tvm_go.learn.lesson import Lesson
from tvm_go.learn.train import TrainConfig, prepare_folder
from tvm_go.learn.train import train as train_policy
from tvm_go.policy import Checkpoint, Policy, PolicyConfig, save_policy
from tvm_go.simulate.families import FAMILIES
from tvm_go.simulate.graph_file import SIMULATED, read_graph

TASKS = ("placement",)
"""What is learned of graphs with known costs; drafts bring their order of ops along."""
POLICY = PolicyConfig(rounds=1)
STEPS = 1500
TRIED_MOVES = 600
"""Of each draft, to see what they gain."""
GRAPHS = 168
#: Small graphs: many steps count for more than large ones.
CORPUS = CorpusConfig((), ("concurrent", "throughput"), least_ops=100, most_ops=400, mixed=0.25)
_UNLIMITED = 10**9
_GENERATED = {"latency": "concurrent", "throughput": "throughput"}
"""What is simulated for generated graphs."""
_RECENT = 20  # rows of a curve that say how training goes


@dataclass(frozen=True, eq=False)
class TrainProgress:
    """How far a training run is.

    Attributes
    ----------
    stage : str
        ``prepare``: placements are drafted and moves of them tried, to learn from; ``train``.
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
    models: Sequence[str | Path],
    *,
    tasks: Sequence[str] = TASKS,
    output: str | Path | None = None,
    machine: str | Path | None = None,
    objectives: Sequence[str] = tuple(_GENERATED),
    graphs: int = GRAPHS,
    devices: Sequence[int] = CORPUS.devices,
    ops: tuple[int, int] = (CORPUS.least_ops, CORPUS.most_ops),
    minutes: float | None = None,
    steps: int | None = None,
    imitation_steps: int = STEPS,
    seed: int = 0,
    resume: bool = False,
    tensorboard: str | Path | None = None,
    on_progress: Callable[[TrainProgress], object] = lambda progress: None,
) -> Checkpoint:
    """Train a policy that places graphs it has never seen.

    Ctrl-C, or KeyboardInterrupt from ``on_progress``, ends the training; what was learned by then is returned, and
    ``resume`` goes on from there.

    Parameters
    ----------
    models
        Families of generated graphs (see `tvm_go.simulate.families`), on boxes of GPUs, and files of graphs.
    tasks
        What the policy decides: ``placement``; others are not learned from graphs with known costs.
    output
        Where the policy is written. The run is kept beside it, in a folder with the suffix ``.run``.
    machine
        A file of devices and links, for the graph files. None takes those that graphs of dnn-partitioning bring along.
    objectives
        ``latency``, ``throughput``, or both. Generated graphs take them in turn, those of files are learned from once
        for each.
    graphs, devices, ops
        How many graphs are drawn of the families together, numbers of GPUs that they are placed on in turn, and the
        least and the most ops of a graph.
    minutes, steps
        When the training ends, at the latest: minutes of this run, after the graphs are prepared, and steps of all runs
        together. After 1,500 steps if neither is given.
    imitation_steps
        The first steps, in which the policy learns which moves gain. In all others it learns from rewards.
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
    UsageError, UnsupportedModelError, TrainingError
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
    limit = steps if steps is not None else STEPS if minutes is None else _UNLIMITED
    _check_limits(minutes, limit, imitation_steps, seed)
    _check_tasks(tasks)
    limit_s = math.inf if minutes is None else 60 * minutes
    rng = np.random.default_rng(seed)
    corpus = replace(CORPUS, objectives=tuple(objectives), least_ops=ops[0], most_ops=ops[1], devices=tuple(devices))
    cases = list(_cases(models, machine, corpus, graphs, rng))
    folder = None if output is None else _prepare_run(Path(output), resume=resume)
    config = TrainConfig(steps=limit, imitation_steps=imitation_steps)
    figures = None if tensorboard is None else Figures(Path(tensorboard), name=Path(output or "policy").stem)
    lessons: list[Lesson] = []
    for number, case in enumerate(cases):
        on_progress(TrainProgress("prepare", number, number / len(cases)))
        lessons += draft_lessons(*case, moves=TRIED_MOVES, rng=rng)
    if not lessons:
        raise UsageError(
            f"there is nothing to learn from {len(cases)} graphs: quick strategies place them as well as can be, "
            "or not at all; give other graphs, or another machine"
        )
    began, rows = time.monotonic(), deque[Row](maxlen=_RECENT)

    def on_step(step: int, row: Row) -> None:
        rows.append(row)
        share = max(step / config.steps, (time.monotonic() - began) / limit_s)
        on_progress(TrainProgress("train", step, min(share, 1.0), tuple(rows)))

    on_progress(TrainProgress("train", 0, 0.0))
    policy = Policy(replace(POLICY, tasks=tuple(tasks)), seed)
    try:
        record = train_policy(
            policy,
            lessons,
            config,
            np.random.default_rng(seed),
            folder=folder,
            resume=resume,
            seconds=limit_s,
            figures=figures,
            on_step=on_step,
        )
    finally:
        if figures is not None:
            figures.close()
    if figures is not None and figures.error:
        warnings.warn(f"the figures for TensorBoard are not whole ({figures.error})", stacklevel=2)
    checkpoint = Checkpoint(policy, {"models": [str(one) for one in models], "seed": seed, **record})
    if output is not None:
        save_policy(checkpoint, Path(output))
    return checkpoint


def recent(curve: Sequence[Row]) -> dict[str, float]:
    """Means over the last rows: ``reward`` and ``gap`` to the best known; before there are any, ``imitation_loss``."""
    rows = [row for row in curve[-_RECENT:] if "reward" in row] or curve[-_RECENT:]
    values = {name: [row[name] for row in rows if name in row] for name in ("reward", "imitation_loss")}
    values["gap"] = [value for row in rows for name, value in row.items() if name.startswith("gap/")]
    return {name: float(np.mean(some)) for name, some in values.items() if some}


def _cases(
    models: Sequence[str | Path],
    machine: str | Path | None,
    config: CorpusConfig,
    count: int,
    rng: np.random.Generator,
) -> Iterator[Case]:
    """Graphs of the families that are named, then those of files, each with a machine and what is simulated on it."""
    if not config.objectives:
        raise UsageError(f"there is no objective; give {', '.join(SIMULATED)}, or both")
    for one in config.objectives:
        check_name(SIMULATED, one, "objective")
    families = tuple(dict.fromkeys(str(one) for one in models if str(one) in FAMILIES))
    files = [Path(one) for one in models if str(one) not in FAMILIES]
    if machine is not None and not files:
        raise UsageError(f"the machine {machine} is for graph files, and none is given; leave it out")
    for path in files:
        if not path.exists():
            raise UsageError(f"'{path}' is neither a graph file nor a family of graphs ({', '.join(FAMILIES)})")
    if families:
        _check_corpus(config, count)
        objectives = tuple(_GENERATED[one] for one in config.objectives)
        yield from draw_corpus(replace(config, families=families, objectives=objectives), count, rng)
    for path in files:
        workload, its_machine = read_graph(path, None if machine is None else str(machine))
        if not workload.num_ops:
            raise UsageError(f"{path}: the graph is empty, there is nothing to learn from it; leave it out")
        if its_machine.num_devices < 2:
            raise UsageError(f"{its_machine.name} has one device: there is nothing to decide; give at least two")
        for one in config.objectives:
            yield Case(workload, its_machine, one if machine is None else SIMULATED[one])


def _check_corpus(config: CorpusConfig, count: int) -> None:
    if count < 1:
        raise UsageError(f"{count} graphs are asked for; give at least 1")
    if not config.devices or min(config.devices) < 2:
        given = ", ".join(map(str, config.devices)) or "none"
        raise UsageError(f"devices are {given}; with fewer than 2 there is nothing to decide")
    if config.least_ops > config.most_ops:
        raise UsageError(f"ops are from {config.least_ops} to {config.most_ops}; give the smaller number first")


def _check_tasks(tasks: Sequence[str]) -> None:
    if not tasks:
        raise UsageError(f"there is no task; give {', '.join(TASKS)}")
    for name in tasks:
        check_name(TASKS, name, "task")


def _check_limits(minutes: float | None, steps: int, imitation_steps: int, seed: int) -> None:
    if minutes is not None and not minutes > 0:
        raise UsageError(f"minutes are {minutes:g}; give more than 0")
    if steps < 1:
        raise UsageError(f"steps are {steps}; give at least 1")
    for name, value in (("imitation steps", imitation_steps), ("the seed", seed)):
        if value < 0:
            raise UsageError(f"{name} is {value}; give 0 or more")


def _prepare_run(output: Path, *, resume: bool) -> Path:
    """The folder of the run."""
    if output.is_dir():
        raise UsageError(f"'{output}' is a folder; name the file that the policy is written to")
    folder = output.with_suffix(".run")
    prepare_folder(folder, resume=resume)
    return folder
