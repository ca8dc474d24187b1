"""MoveChoice: moves of a whole plan while they are drawn, task after task.

Runs of ops and of edges are runs of whole kernels, runs of forms those of ops that have several. The runs of the tasks
after the first that changes anything may be where that one's is: what is taken to another device can be fused or put
first there in the same move.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tvm_go.graph import Int64
from tvm_go.policy.plan_moves import PlanDraft, PlanMoves, Runs
from tvm_go.policy.tasks.task import IMPOSSIBLE
from tvm_go.simulate.workload import Floats

CANDIDATES = 64  # of each task and sample
_NEAR = 0.5  # of them are where the task before made its change
_SINGLE, _ALIKE = 0.3, 0.3  # of the candidates of fusion are one edge, or all that are alike


class MoveChoice:
    """Draws moves of a draft in some tasks.

    By the candidates' number alone, each task changes something in half of the moves; no move is empty, unless there is
    nothing to decide.
    """

    def __init__(self, draft: PlanDraft, tasks: Sequence[str], count: int, rng: np.random.Generator) -> None:
        self._draft = draft
        self._last = tasks[-1]
        self._rng = rng
        self._chosen: dict[str, Runs] = {}
        self._near = np.full((count, 3), -1, dtype=np.int64)  # sequence, first and last kernel of the run before
        self._changed = np.zeros(count, dtype=np.bool_)
        self._kernels: Int64 = np.empty(0, dtype=np.int64)

    @property
    def moves(self) -> PlanMoves:
        return PlanMoves(self._chosen)

    def candidates(self, task: str) -> Runs:
        """Runs to choose from: [B, C]."""
        draft, rng = self._draft, self._rng
        shape = (len(self._near), CANDIDATES)
        begin, end = self._lengths(draft.kernel_start.shape[1] - 1)
        sequence = rng.integers(0, 2, shape)
        near = (rng.random(shape) < _NEAR) & (self._near[:, :1] >= 0)
        sequence, first, last = (
            np.where(near, told[:, None], own) for told, own in zip(self._near.T, (sequence, begin, end), strict=True)
        )
        self._kernels = np.stack([sequence, first, last], axis=-1)
        begin, end = draft.kernel_start[sequence, first], draft.kernel_start[sequence, last]
        action = rng.integers(0, draft.actions[task].shape[1], shape)
        if task not in draft.unit_start:
            return Runs(sequence, begin, end, action)
        start = draft.unit_start[task]
        runs = Runs(sequence, start[sequence, begin], start[sequence, end], action)
        if not draft.decisions[task].size:
            return runs
        return self._single_edges(runs, near) if task == "fusion" else self._forms(runs, near)

    def _lengths(self, units: int) -> tuple[Int64, Int64]:
        """Begin and end of runs, of all lengths up to half of the units, evenly by their logarithms: [B, C]."""
        rng, shape = self._rng, (len(self._near), CANDIDATES)
        longest = max(units / 2, 1.0)
        length = np.clip(np.exp(rng.random(shape) * np.log(longest)).astype(np.int64), 1, units)
        begin = (rng.random(shape) * (units - length + 1)).astype(np.int64)
        return begin, begin + length

    def _forms(self, runs: Runs, near: NDArray[np.bool_]) -> Runs:
        """Runs of neighbouring ops that have several forms, for a form that is new to at least one of them."""
        draft, rng = self._draft, self._rng
        units = draft.decisions["variant"].size
        begin, end = self._lengths(units)
        begin, end = np.where(near, runs.begin, begin), np.where(near, runs.end, end)
        kernel = draft.form_kernel
        own = np.stack([runs.sequence, kernel[runs.sequence, np.minimum(begin, units - 1)],
                        kernel[runs.sequence, np.maximum(end, 1) - 1] + 1], axis=-1)  # fmt: skip
        self._kernels = np.where(near[..., None], self._kernels, own)
        place = np.minimum((begin + rng.random(near.shape) * (end - begin)).astype(np.int64), units - 1)
        one = draft.sequences["variant"][runs.sequence, place]
        other = draft.actions["variant"][one]  # [B, C, F]
        np.put_along_axis(other, draft.decisions["variant"][one][..., None], False, axis=-1)
        return Runs(runs.sequence, begin, end, np.where(other, rng.random(other.shape), -1.0).argmax(axis=-1))

    def _single_edges(self, runs: Runs, near: NDArray[np.bool_]) -> Runs:
        """Some of the runs replaced by one edge, or all that are alike, which are then decided otherwise."""
        draft, rng = self._draft, self._rng
        edge = rng.integers(0, draft.decisions["fusion"].size, near.shape)
        luck = np.where(near, 1.0, rng.random(near.shape))
        place = np.argsort(draft.sequences["fusion"][2])[edge]
        single, alike = luck < _SINGLE, (luck >= _SINGLE) & (luck < _SINGLE + _ALIKE)
        other = 1 - draft.decisions["fusion"][edge]
        self._kernels[single | alike] = -1
        begin = np.where(single, place, np.where(alike, draft.alike_start[edge], runs.begin))
        end = np.where(single, place + 1, np.where(alike, draft.alike_end[edge], runs.end))
        return Runs(
            np.where(single | alike, 2, runs.sequence), begin, end, np.where(single | alike, other, runs.action)
        )

    def choose(self, task: str, candidates: Runs, preference: Floats) -> Runs:
        """Draw one of the candidates, or none, for each move: [B]. ``preference`` is [B, C]."""
        rows = np.arange(len(preference))
        stays = np.full((len(rows), 1), np.log(CANDIDATES))
        if task == self._last:
            stays[~self._changed] = IMPOSSIBLE / 2
        weight = np.concatenate([stays, preference], axis=1)
        drawn = (weight + self._rng.gumbel(size=weight.shape)).argmax(axis=1) - 1
        none = drawn < 0
        chosen = candidates.at((rows, drawn))
        chosen = Runs(np.where(none, -1, chosen.sequence), chosen.begin, chosen.end, chosen.action)
        kernels = self._kernels[rows, drawn]
        where = (self._near[:, 0] < 0) & ~none & (kernels[:, 0] >= 0)
        self._near[where] = kernels[where]
        self._changed |= ~none
        self._chosen[task] = chosen
        return chosen
