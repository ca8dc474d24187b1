"""Training over many graphs: imitation first, then PPO; it can be stopped and resumed at any step."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tvm_go.board import Figures
from tvm_go.errors import TrainingError, UsageError
from tvm_go.learn.alike import canonical
from tvm_go.learn.descent import backward, set_rate, some_of
from tvm_go.learn.episodes import Episodes, draw
from tvm_go.learn.imitation import imitation_loss
from tvm_go.learn.improvements import improvement_loss
from tvm_go.learn.interrupt import LaterInterrupt
from tvm_go.learn.journal import Journal, Row
from tvm_go.learn.lesson import Lesson
from tvm_go.learn.one_thread import one_thread
from tvm_go.learn.ppo import PPOConfig, entropy_weight, update
from tvm_go.learn.reward import Baseline
from tvm_go.learn.run_state import Known, RunState, load_run, save_run, versions
from tvm_go.policy import Policy

RUN_FILE = "run.pt"


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Attributes
    ----------
    steps : int
        All of them; ``imitation_steps`` are the first.
    graphs_per_step : int
        Graphs of one batch, drawn from all.
    imitation_rate, learning_rate : float
        Of Adam, while imitating and afterwards.
    checkpoint_seconds : float
        A run is saved so often.
    """

    steps: int = 1000
    imitation_steps: int = 500
    graphs_per_step: int = 8
    imitation_rate: float = 1e-3
    learning_rate: float = 3e-4
    checkpoint_seconds: float = 180.0
    ppo: PPOConfig = field(default_factory=PPOConfig)


def train(
    policy: Policy,
    lessons: Sequence[Lesson],
    config: TrainConfig,
    rng: np.random.Generator,
    *,
    folder: Path | None = None,
    resume: bool = False,
    seconds: float = float("inf"),
    figures: Figures | None = None,
    on_step: Callable[[int, Row], object] = lambda step, row: None,
) -> dict[str, Any]:
    """Train a policy in place. The same policy, lessons, settings and generator give the same weights.

    Ctrl-C ends the run after the step that is under way, as does KeyboardInterrupt from ``on_step``. A second Ctrl-C
    does not wait: the policy is then worth nothing, and the run stays as it was saved last.

    Parameters
    ----------
    folder : Path, optional
        Where the run is saved, from its start on, beside its journal.
    resume : bool
        Go on with the run in ``folder``; policy and generator are brought to where they were.
    seconds : float
        Ends the run early. Resumed, it goes on as if it had not been stopped.
    figures : Figures, optional
        Gets what the journal gets.
    on_step : callable
        Told of each step that is done: its number, from 1, and its row of the journal.

    Returns
    -------
    dict
        The record of the training, as `tvm_go.policy.save_policy` takes it: graphs, settings, versions, curve, and
        what it was ended by, ``steps``, ``time`` or ``interrupt``.

    Raises
    ------
    UsageError
        If there is nothing to learn from, the folder's run does not fit, or the folder cannot be written.
    TrainingError
        If a loss is not finite. The last run saved stays as it is.
    """
    state = _start(policy, lessons, rng)
    identity = _identity(lessons, config, policy)
    run_path = None
    if folder is not None:
        run_path = prepare_folder(folder, resume=resume)
        if resume:
            load_run(run_path, state, identity)
        else:
            save_run(run_path, state, identity)
    began, saved_at, saved_step = time.monotonic(), time.monotonic(), state.step
    with Journal(folder, figures, state.curve) as journal, LaterInterrupt() as interrupt, one_thread():
        while state.step < config.steps and time.monotonic() - began < seconds and not interrupt.heard:
            try:
                row = _step(state, lessons, config)
            except TrainingError as error:
                kept = "" if run_path is None else f"; the weights of step {saved_step} are kept in {run_path}"
                raise TrainingError(f"step {state.step}: {error}{kept}") from None
            journal.write(state.step, row)
            state.curve.append(row)
            state.step += 1
            if run_path is not None and time.monotonic() - saved_at >= config.checkpoint_seconds:
                save_run(run_path, state, identity)
                saved_at, saved_step = time.monotonic(), state.step
            try:
                on_step(state.step, row)
            except KeyboardInterrupt:
                interrupt.heard = True
        if run_path is not None:
            save_run(run_path, state, identity)
    ended_by = "steps" if state.step >= config.steps else "interrupt" if interrupt.heard else "time"
    return {**identity, "versions": versions(), "steps_done": state.step, "ended_by": ended_by, "curve": state.curve}


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


def _start(policy: Policy, lessons: Sequence[Lesson], rng: np.random.Generator) -> RunState:
    if not lessons:
        raise UsageError("there is no graph to learn from; give at least one that fits its machine")
    name, count = Counter(lesson.name for lesson in lessons).most_common(1)[0]
    if count > 1:
        raise UsageError(f"{count} graphs are called '{name}'; give each a name of its own, and none twice")
    return RunState(
        policy=policy,
        optimiser=torch.optim.Adam(policy.parameters()),
        generator=torch.Generator().manual_seed(int(rng.integers(2**63))),
        rng=rng,
        known={lesson.name: Known(Baseline(), lesson.target, lesson.target_ms) for lesson in lessons},
    )


def _step(state: RunState, lessons: Sequence[Lesson], config: TrainConfig) -> dict[str, float]:
    imitates = state.step < config.imitation_steps
    set_rate(state.optimiser, config.imitation_rate if imitates else config.learning_rate)
    batch = some_of(lessons, config.graphs_per_step, state.rng)
    return _imitate(state, batch, config) if imitates else _reinforce(state, batch, config)


def _imitate(state: RunState, lessons: Sequence[Lesson], config: TrainConfig) -> dict[str, float]:
    """One step of the optimiser on the best known placements of some graphs, all together: they differ widely."""
    state.optimiser.zero_grad(set_to_none=True)
    total = 0.0
    drafts = [(lesson.exercise, lesson.improvements) for lesson in lessons if lesson.improvements is not None]
    if drafts:
        loss = improvement_loss(state.policy, drafts)
        backward(state.policy, loss * len(drafts) / len(lessons), drafts[0][0].name)
        total += float(loss.detach()) * len(drafts) / len(lessons)
    for lesson in lessons:
        target = state.known[lesson.name].target
        if len(target) and lesson.improvements is None:
            loss = imitation_loss(state.policy, lesson.exercise, target, state.generator)
            backward(state.policy, loss / len(lessons), lesson.name)
            total += float(loss.detach()) / len(lessons)
    torch.nn.utils.clip_grad_norm_(state.policy.parameters(), config.ppo.largest_gradient)
    state.optimiser.step()
    return {"imitation_loss": total}


def _reinforce(state: RunState, lessons: Sequence[Lesson], config: TrainConfig) -> dict[str, float]:
    """Draw plans for some graphs, remember what is better than what was known, and learn from them all."""
    batch: list[Episodes] = []
    gaps: dict[str, float] = {}
    for lesson in lessons:
        known = state.known[lesson.name]
        episodes, known.baseline = draw(
            state.policy, lesson.exercise, known.baseline, config.ppo.samples, state.generator
        )
        best = int(np.argmin(episodes.milliseconds))
        best_ms = float(episodes.milliseconds[best])
        if best_ms < known.best_ms:
            known.best_ms = best_ms
            known.target = canonical(episodes.actions.device[best].numpy(), lesson.alike)
        if known.best_ms > 0 and best_ms < np.inf:
            gaps[f"gap/{lesson.name}"] = best_ms / known.best_ms - 1
        batch.append(episodes)
    entropy = entropy_weight(config.ppo, state.step - config.imitation_steps)
    statistics = update(state.policy, state.optimiser, batch, config.ppo, entropy, state.rng)
    return {**asdict(statistics), **gaps}


def _identity(lessons: Sequence[Lesson], config: TrainConfig, policy: Policy) -> dict[str, Any]:
    settings = asdict(config)
    del settings["steps"], settings["checkpoint_seconds"]  # a run may go on for longer
    return {"graphs": [lesson.name for lesson in lessons], "settings": settings, "policy": asdict(policy.config)}
