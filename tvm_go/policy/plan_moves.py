"""Moves of a whole plan: in each task at most one run of neighbouring decisions is made anew, the same for all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tvm_go.arrays import run_starts
from tvm_go.graph import Int64
from tvm_go.policy.plan_graph import PlanFrame
from tvm_go.policy.run_sums import run_sums
from tvm_go.policy.tasks.task import IMPOSSIBLE
from tvm_go.search.placement._order import renumbered
from tvm_go.simulate.plans import WholePlan


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
    """A plan of N ops in K kernels that is to be improved.

    Units of the tasks ``placement`` and ``schedule`` are all ops, of ``variant`` those with several forms, of
    ``fusion`` E edges at which fusing is a choice.

    Attributes
    ----------
    decisions : mapping of str to int64 [U]
        By task: a form, a device or a level for each op, 0 or 1 for each edge.
    sequences : mapping of str to int64 [Q, U]
        Orders of a task's units. The first two are by execution and depth first; of edges, by the ops that read
        them; then edges that are alike stand together.
    actions : mapping of str to bool [U, A]
        Which actions of a task each unit can take.
    kernel_start : int64 [2, K + 1]
        Where each kernel begins in the first two orders of the ops.
    unit_start : mapping of str to int64 [2, N + 1]
        Where the units of each op begin in the first two orders, for tasks whose units are not all ops.
    form_kernel : int64 [2, U]
        Which kernel, in the two orders of kernels, has each unit of the task ``variant``, by its place in those.
    alike_start, alike_end : int64 [E]
        Where those that are like an edge stand in the third order.
    """

    decisions: Mapping[str, Int64]
    sequences: Mapping[str, Int64]
    actions: Mapping[str, NDArray[np.bool_]]
    kernel_start: Int64
    unit_start: Mapping[str, Int64]
    form_kernel: Int64
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
        edges, edge_start = _by_place(place_of_op[:, reader], len(kernel))
        forms, form_start = _by_place(place_of_op[:, frame.forms], len(kernel))
        alike = np.argsort(frame.alike, kind="stable")
        return PlanDraft(
            decisions={
                "variant": plan.form[frame.forms].astype(np.int64),
                "placement": plan.device.astype(np.int64),
                "fusion": (kernel[source] == kernel[reader]).astype(np.int64),
                "schedule": plan.level.astype(np.int64),
            },
            sequences={
                "variant": forms,
                "placement": ops,
                "fusion": np.concatenate([edges, alike[None]]),
                "schedule": ops,
            },
            actions={
                "variant": frame.planned.view.forms.has[frame.forms],
                "placement": np.ones((len(kernel), frame.planned.machine.num_devices), dtype=np.bool_),
                "fusion": np.ones((len(reader), 2), dtype=np.bool_),
                "schedule": np.ones((len(kernel), levels), dtype=np.bool_),
            },
            kernel_start=np.stack([run_starts(np.sort(row), int(kernel.max()) + 1) for row in places]),
            unit_start={"variant": form_start, "fusion": edge_start},
            form_kernel=np.stack([row[frame.forms[by]] for row, by in zip(places, forms, strict=True)]),
            alike_start=np.searchsorted(frame.alike[alike], frame.alike, side="left"),
            alike_end=np.searchsorted(frame.alike[alike], frame.alike, side="right"),
        )


def _by_place(place: Int64, num_ops: int) -> tuple[Int64, Int64]:
    """Units in the order of the places of their ops, int64 [2, U]; and where those of each place begin, [2, N + 1]."""
    order = np.argsort(place, axis=1, kind="stable")
    return order, np.stack([run_starts(np.sort(row), num_ops) for row in place])


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
        forms, device, merges, level = (
            one.decisions(draft, task)[0] for task in ("variant", "placement", "fusion", "schedule")
        )
        form = np.zeros(len(device), dtype=np.int64)
        form[frame.forms] = forms
        merge = np.zeros(frame.planned.graph.num_edges, dtype=np.int64)
        merge[frame.edges] = merges * (2 - draft.decisions["fusion"])
        return frame.planned.legal(form, device, merge, level)


def changed(draft: PlanDraft, task: str, runs: Runs) -> Int64:
    """Decisions of a task after each of some runs, [B]: int64 [B, U]. Units that cannot take the action stay."""
    place = np.argsort(draft.sequences[task], axis=1)[runs.sequence]  # where there is no run, any
    inside = (place >= runs.begin[:, None]) & (place < runs.end[:, None]) & runs.changes[:, None]
    if task == "variant":  # of other tasks all units have all actions
        inside &= draft.actions[task][:, runs.action].T
    return np.where(inside, runs.action[:, None], draft.decisions[task])


def run_scores(log_prob: torch.Tensor, draft: PlanDraft, task: str, runs: Runs) -> torch.Tensor:
    """How much each run is preferred to the draft, float32 [B, C]: mean over what it changes, of float32 [R, U, A].

    R is B, or 1 if all rows have the same probabilities. 0 for no change, `IMPOSSIBLE` for runs that change nothing.
    """
    now = torch.from_numpy(draft.decisions[task])
    sequences = torch.from_numpy(draft.sequences[task])
    possible = torch.from_numpy(draft.actions[task])
    log_prob = log_prob[..., : possible.shape[1]]
    gain = log_prob - log_prob.gather(-1, now[None, :, None].expand(len(log_prob), -1, 1))
    gain = torch.where(possible, gain, 0.0)
    other = (possible & (torch.arange(possible.shape[1]) != now[:, None])).to(log_prob.dtype)
    row = torch.arange(len(log_prob))[:, None] if len(log_prob) > 1 else 0
    own = (
        torch.from_numpy(np.maximum(runs.sequence, 0)),
        *(torch.from_numpy(part) for part in (runs.begin, runs.end, runs.action)),
    )
    number = run_sums(other[None], sequences, 0, own)
    scores = torch.where(number > 0, run_sums(gain, sequences, row, own) / number.clamp(min=1), IMPOSSIBLE)
    return torch.where(torch.from_numpy(runs.changes), scores, 0.0)
