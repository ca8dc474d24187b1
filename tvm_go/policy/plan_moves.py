"""Moves of a whole plan: in each task at most one run of neighbouring decisions is made anew, the same for all.

Runs of ops are runs of whole kernels. The runs of the tasks after the first that changes anything may be where that
one's is: what is taken to another device can be fused or put first there in the same move.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tvm_go.arrays import run_starts
from tvm_go.graph import Int64
from tvm_go.policy.plan_graph import PlanFrame
from tvm_go.policy.tasks.task import IMPOSSIBLE
from tvm_go.search.placement._order import renumbered
from tvm_go.simulate.plans import WholePlan
from tvm_go.simulate.workload import Floats

CANDIDATES = 64  # of each task and sample
_NEAR = 0.5  # of them are where the task before made its change
_SINGLE, _ALIKE = 0.3, 0.3  # of the candidates of fusion are one edge, or all that are alike


@dataclass(frozen=True, eq=False)
class Runs:
    """Runs of decisions of one task, with what is decided there: int64, of any shape.

    Attributes
    ----------
    sequence : int64
        In which order of the task's units they are neighbours; -1 for no change.
    begin, end : int64
        Places in that order.
    action : int64
    """

    sequence: Int64
    begin: Int64
    end: Int64
    action: Int64

    def at(self, which: tuple[NDArray[np.integer], ...]) -> Runs:
        """Some of them."""
        return Runs(*(part[which] for part in (self.sequence, self.begin, self.end, self.action)))

    @property
    def changes(self) -> NDArray[np.bool_]:
        return self.sequence >= 0


@dataclass(frozen=True, eq=False)
class PlanDraft:
    """A plan of N ops in K kernels that is to be improved, with E edges at which fusing is a choice.

    Attributes
    ----------
    decisions : mapping of str to int64 [U]
        By task: a device for each op, 0 or 1 for each edge, a level for each op.
    sequences : mapping of str to int64 [Q, U]
        Orders of a task's units. The first two are by execution and depth first; of edges, by the ops that read
        them; then edges that are alike stand together.
    actions : mapping of str to int
        How many actions each task has.
    kernel_start : int64 [2, K + 1]
        Where each kernel begins in the first two orders of the ops.
    edge_start : int64 [2, N + 1]
        Where the edges that go into each op begin in the first two orders of the edges.
    alike_start, alike_end : int64 [E]
        Where those that are like an edge stand in the third order.
    """

    decisions: Mapping[str, Int64]
    sequences: Mapping[str, Int64]
    actions: Mapping[str, int]
    kernel_start: Int64
    edge_start: Int64
    alike_start: Int64
    alike_end: Int64

    @staticmethod
    def of(frame: PlanFrame, plan: WholePlan, levels: int) -> PlanDraft:
        """A plan as a draft."""
        graph, kernel = frame.planned.graph, plan.kernel
        source, reader = graph.edge_src[frame.edges], graph.edge_dst[frame.edges]
        places = np.stack([kernel, renumbered(frame.workload, kernel)])  # of each op's kernel
        ops = np.argsort(places, axis=1, kind="stable")
        place_of_op = np.argsort(ops, axis=1)
        edges = np.stack([np.argsort(row[reader], kind="stable") for row in place_of_op])
        starts = [np.searchsorted(row[reader][by], np.arange(len(kernel) + 1))
                  for row, by in zip(place_of_op, edges, strict=True)]  # fmt: skip
        alike = np.argsort(frame.alike, kind="stable")
        return PlanDraft(
            decisions={
                "placement": plan.device.astype(np.int64),
                "fusion": (kernel[source] == kernel[reader]).astype(np.int64),
                "schedule": plan.level.astype(np.int64),
            },
            sequences={"placement": ops, "fusion": np.concatenate([edges, alike[None]]), "schedule": ops},
            actions={"placement": frame.planned.machine.num_devices, "fusion": 2, "schedule": levels},
            kernel_start=np.stack([run_starts(np.sort(row), int(kernel.max()) + 1) for row in places]),
            edge_start=np.stack(starts),
            alike_start=np.searchsorted(frame.alike[alike], frame.alike, side="left"),
            alike_end=np.searchsorted(frame.alike[alike], frame.alike, side="right"),
        )


@dataclass(frozen=True, eq=False)
class PlanMoves:
    """B moves of one draft: by task, runs [B]."""

    runs: Mapping[str, Runs]

    def __len__(self) -> int:
        return len(next(iter(self.runs.values())).sequence)

    def rows(self, which: NDArray[np.integer]) -> PlanMoves:
        """Some of them."""
        return PlanMoves({task: runs.at((which,)) for task, runs in self.runs.items()})

    def decisions(self, draft: PlanDraft, task: str) -> Int64:
        """What is decided after each move: int64 [B, U]."""
        return changed(draft, task, self.runs[task]) if task in self.runs else draft.decisions[task][None]

    def plan(self, frame: PlanFrame, draft: PlanDraft, row: int) -> WholePlan:
        """The legal plan after one move. What is newly fused goes before what was."""
        one = self.rows(np.array([row]))
        device, merges, level = (one.decisions(draft, task)[0] for task in ("placement", "fusion", "schedule"))
        merge = np.zeros(frame.planned.graph.num_edges, dtype=np.int64)
        merge[frame.edges] = merges * (2 - draft.decisions["fusion"])
        return frame.planned.legal(device, merge, level)


def changed(draft: PlanDraft, task: str, runs: Runs) -> Int64:
    """Decisions of a task after each of some runs, [B]: int64 [B, U]."""
    place = np.argsort(draft.sequences[task], axis=1)[runs.sequence]  # where there is no run, any
    inside = (place >= runs.begin[:, None]) & (place < runs.end[:, None]) & runs.changes[:, None]
    return np.where(inside, runs.action[:, None], draft.decisions[task])


class MoveChoice:
    """Moves while they are drawn, task after task.

    By the candidates' number alone, each task changes something in half of the moves; no move is empty.
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
        kernels = draft.kernel_start.shape[1] - 1
        longest = max(kernels / 2, 1.0)
        length = np.clip(np.exp(rng.random(shape) * np.log(longest)).astype(np.int64), 1, kernels)
        begin = (rng.random(shape) * (kernels - length + 1)).astype(np.int64)
        sequence = rng.integers(0, 2, shape)
        near = (rng.random(shape) < _NEAR) & (self._near[:, :1] >= 0)
        sequence, first, last = (
            np.where(near, told[:, None], own)
            for told, own in zip(self._near.T, (sequence, begin, begin + length), strict=True)
        )
        self._kernels = np.stack([sequence, first, last], axis=-1)
        begin, end = draft.kernel_start[sequence, first], draft.kernel_start[sequence, last]
        action = rng.integers(0, draft.actions[task], shape)
        if task != "fusion":
            return Runs(sequence, begin, end, action)
        runs = Runs(sequence, draft.edge_start[sequence, begin], draft.edge_start[sequence, end], action)
        return self._single_edges(runs, near) if draft.decisions[task].size else runs

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


def run_scores(log_prob: torch.Tensor, draft: PlanDraft, task: str, runs: Runs) -> torch.Tensor:
    """How much each run is preferred to the draft, float32 [B, C]: mean over what it changes, of float32 [R, U, A].

    R is B, or 1 if all rows have the same probabilities. 0 for no change, `IMPOSSIBLE` for runs that change nothing.
    """
    now = torch.from_numpy(draft.decisions[task])
    sequences = torch.from_numpy(draft.sequences[task])
    actions = draft.actions[task]
    log_prob = log_prob[..., :actions]
    gain = log_prob - log_prob.gather(-1, now[None, :, None].expand(len(log_prob), -1, 1))
    other = (torch.arange(actions) != now[:, None]).to(log_prob.dtype)
    row = torch.arange(len(log_prob))[:, None].expand(-1, runs.sequence.shape[1]) if len(log_prob) > 1 else 0
    sequence, begin, end, action = (
        torch.from_numpy(part) for part in (np.maximum(runs.sequence, 0), runs.begin, runs.end, runs.action)
    )

    def total(values: torch.Tensor, row: torch.Tensor | int) -> torch.Tensor:
        sums = torch.nn.functional.pad(values[:, sequences].double().cumsum(dim=2), (0, 0, 1, 0))  # [R, Q, 1 + U, A]
        return (sums[row, sequence, end, action] - sums[row, sequence, begin, action]).to(log_prob.dtype)

    number = total(other[None], 0)
    scores = torch.where(number > 0, total(gain, row) / number.clamp(min=1), IMPOSSIBLE)
    return torch.where(torch.from_numpy(runs.changes), scores, 0.0)
