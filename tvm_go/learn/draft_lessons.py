"""Lessons for a policy that improves drafts: what quick strategies find, and what single moves make of it."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from tvm_go.learn.alike import alike_devices
from tvm_go.learn.episodes import Exercise
from tvm_go.learn.improvements import Improvements, try_moves
from tvm_go.learn.lesson import Lesson
from tvm_go.policy import Draft, graph_input
from tvm_go.policy.moves import class_sequences, moved
from tvm_go.search.placement.drafts import drafts
from tvm_go.simulate import Machine, Workload
from tvm_go.simulate.costs import costs_of
from tvm_go.simulate.objectives import default_priority, evaluate
from tvm_go.simulate.workload import Floats

_STEPS = (2, 6, 14, 30)  # of a descent from a draft: where its moves are tried as well
_TRIED_EACH_STEP = 64


def exercise_of(
    workload: Workload, machine: Machine, objective: str, draft: Draft, reference_ms: float, name: str
) -> Exercise:
    """A draft as something to improve, evaluated with its own priorities."""
    own = len(draft.priority) > 0
    return Exercise(
        name=name,
        graph=graph_input(workload, machine, objective, draft),
        order=draft.priority if own else default_priority(costs_of(workload, machine), objective),
        reference_ms=reference_ms,
        evaluate=partial(evaluate, workload, machine, objective),
    )


def draft_lessons(
    workload: Workload, machine: Machine, objective: str, *, moves: int, rng: np.random.Generator
) -> list[Lesson]:
    """Try so many moves of each quick strategy's placement, and of what a descent makes of two of them.

    Drafts of which no move gains anything are left out, so there may be none at all.

    Raises
    ------
    UnsupportedModelError
        If an op runs on no device of the machine.
    """
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    found = drafts(workload, machine, objective, rng)
    if not found:
        return []
    best = int(np.argmin([one.best_value for one in found]))
    sequences = torch.from_numpy(class_sequences(workload))
    cases = [Draft(one.best, one.best_priority) for one in found]
    for origin in sorted({best, int(rng.integers(len(found)))}):
        cases += _descent(workload, machine, objective, cases[origin], sequences, generator)
    lessons = []
    for number, draft in enumerate(cases):
        improvements = _try_moves(workload, machine, objective, draft, sequences, moves, generator)
        if improvements.gain.any():
            name = f"{workload.name} on {machine.name} under {objective}, draft {number}"
            exercise = exercise_of(workload, machine, objective, draft, found[best].best_value, name)
            known_ms = float(improvements.milliseconds.min())
            empty = np.empty(0, dtype=np.int64)
            lessons.append(Lesson(exercise, empty, known_ms, alike_devices(machine), improvements))
    return lessons


def _descent(
    workload: Workload,
    machine: Machine,
    objective: str,
    draft: Draft,
    sequences: torch.Tensor,
    generator: torch.Generator,
) -> list[Draft]:
    """Drafts on the way of a descent along the best of some moves."""
    passed = []
    for step in range(1, max(_STEPS) + 1):
        tried = _try_moves(workload, machine, objective, draft, sequences, _TRIED_EACH_STEP, generator)
        if tried.gain.any():
            best = tried.moves.rows(torch.tensor([int(tried.gain.argmax())]))
            device = moved(_by_class(workload, draft), sequences, best).numpy()[0, workload.colocation]
            draft = Draft(device.astype(np.int32), draft.priority)
        if step in _STEPS:
            passed.append(draft)
    return passed


def _try_moves(
    workload: Workload,
    machine: Machine,
    objective: str,
    draft: Draft,
    sequences: torch.Tensor,
    count: int,
    generator: torch.Generator,
) -> Improvements:
    priorities = draft.priority[None] if len(draft.priority) else None

    def of_classes(device: torch.Tensor) -> Floats:
        rows = device.numpy()[:, workload.colocation].astype(np.int32)
        return evaluate(workload, machine, objective, rows, priorities)

    return try_moves(_by_class(workload, draft), sequences, machine.num_devices, of_classes, count, generator)


def _by_class(workload: Workload, draft: Draft) -> torch.Tensor:
    """Device of each class: int64 [C]."""
    return torch.from_numpy(draft.device[workload.class_first].astype(np.int64))
