"""A training run: one step after the other until an end comes, with a journal, saved so that it can go on exactly."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tvm_go.board import Figures
from tvm_go.errors import TrainingError, UsageError
from tvm_go.interrupts import LaterInterrupt
from tvm_go.learn.journal import Journal, Row
from tvm_go.learn.one_thread import one_thread
from tvm_go.learn.reinforce import Lesson
from tvm_go.learn.reward import Baseline
from tvm_go.learn.run_state import Known, RunState, load_run, record_of, save_run
from tvm_go.policy import Policy

RUN_FILE = "run.pt"


@dataclass(frozen=True)
class RunOptions:
    """How a run is kept, watched, and ended before its last step.

    Attributes
    ----------
    folder : Path, optional
        Where the run is saved, from its start on, beside its journal.
    resume : bool
        Go on with the run in ``folder``; policy and generators are brought to where they were.
    seconds : float
        Ends the run early. Resumed, it goes on as if it had not been stopped.
    figures : Figures, optional
        Gets what the journal gets.
    on_step : callable
        Told of each step that is done: its number, from 1, and its row of the journal.
    checkpoint_seconds : float
        The run is saved so often.
    """

    folder: Path | None = None
    resume: bool = False
    seconds: float = float("inf")
    figures: Figures | None = None
    on_step: Callable[[int, Row], object] = lambda step, row: None
    checkpoint_seconds: float = 180.0


def run(
    policy: Policy,
    optimiser: torch.optim.Optimizer,
    lessons: Sequence[Lesson],
    take_step: Callable[[RunState], Row],
    settings: Mapping[str, Any],
    rng: np.random.Generator,
    options: RunOptions,
) -> dict[str, Any]:
    """Train a policy in place, in ``settings["steps"]`` steps.

    Ctrl-C ends the run after the step that is under way, as does KeyboardInterrupt from ``on_step``. A second Ctrl-C
    does not wait: the policy is then worth nothing, and the run stays as it was saved last.

    Parameters
    ----------
    settings : mapping
        With any other than these, number of steps aside, the run cannot be resumed.

    Returns
    -------
    dict
        The record of the training, as `tvm_go.policy.save_policy` takes it: graphs, settings, versions, curve, and
        what it was ended by, ``steps``, ``time`` or ``interrupt``.

    Raises
    ------
    UsageError
        If there is no lesson, two have one name, the folder's run does not fit, or the folder cannot be written.
    TrainingError
        If a loss is not finite. The last run saved stays as it is.
    """
    state = _start(policy, optimiser, lessons, rng)
    steps, settings = settings["steps"], {name: value for name, value in settings.items() if name != "steps"}
    names = list(state.known)
    costs = [float(f"{lesson.reference_ms:.6g}") for lesson in lessons]  # names do not tell of another machine or log
    identity = {"graphs": names, "settings": settings, "policy": asdict(policy.config), "costs": costs}
    path = None
    if options.folder is not None:
        path = prepare_folder(options.folder, resume=options.resume)
        if options.resume:
            load_run(path, state, identity)
        else:
            save_run(path, state, identity)
    began, saved_at, saved_step = time.monotonic(), time.monotonic(), state.step
    with Journal(options.folder, options.figures, state.curve) as journal, LaterInterrupt() as interrupt, one_thread():
        while state.step < steps and time.monotonic() - began < options.seconds and not interrupt.heard:
            try:
                row = dict(take_step(state))
            except TrainingError as error:
                kept = "" if path is None else f"; the weights of step {saved_step} are kept in {path}"
                raise TrainingError(f"step {state.step}: {error}{kept}") from None
            journal.write(state.step, row)
            state.curve.append(row)
            state.step += 1
            if path is not None and time.monotonic() - saved_at >= options.checkpoint_seconds:
                save_run(path, state, identity)
                saved_at, saved_step = time.monotonic(), state.step
            try:
                options.on_step(state.step, row)
            except KeyboardInterrupt:
                interrupt.heard = True
        if path is not None:
            save_run(path, state, identity)
    ended_by = "steps" if state.step >= steps else "interrupt" if interrupt.heard else "time"
    return {**record_of(policy, names, settings, state.curve), "ended_by": ended_by}


def _start(
    policy: Policy, optimiser: torch.optim.Optimizer, lessons: Sequence[Lesson], rng: np.random.Generator
) -> RunState:
    """A run before its first step."""
    if not lessons:
        raise UsageError("there is no graph to learn from; give at least one that fits its machine")
    name, count = Counter(lesson.name for lesson in lessons).most_common(1)[0]
    if count > 1:
        raise UsageError(f"{count} graphs are called '{name}'; give each a name of its own, and none twice")
    return RunState(
        policy=policy,
        optimiser=optimiser,
        generator=torch.Generator().manual_seed(int(rng.integers(2**63))),
        rng=rng,
        known={lesson.name: Known(Baseline(), lesson.target, lesson.target_ms) for lesson in lessons},
    )


def prepare_folder(folder: Path, *, resume: bool) -> Path:
    """Make the folder of a run, or find it; the path of the run in it.

    Raises
    ------
    UsageError
        If the folder cannot be made, holds a run that is not to be resumed, or none that is.
    """
    path = folder / RUN_FILE
    if resume and not path.exists():
        raise UsageError(f"{path} is not there: there is no run to resume; start one without resuming")
    if path.exists() and not resume:
        raise UsageError(f"{path} is there already; resume it, remove it, or choose another place")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the folder {folder} ({error.strerror}); choose another place") from None
    return path
