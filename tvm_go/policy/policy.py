"""The policy: encode a graph once, then decide task after task, round after round, all ops at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import nn

from tvm_go.by_name import by_name
from tvm_go.errors import UsageError
from tvm_go.policy.acting import act_by_moves, score_moves
from tvm_go.policy.actions import Actions, Score
from tvm_go.policy.attention import RecurrentAttention
from tvm_go.policy.batch import GraphBatch, collate
from tvm_go.policy.config import PolicyConfig
from tvm_go.policy.encoder import Encoder
from tvm_go.policy.inputs import GraphInput
from tvm_go.policy.modulation import Context
from tvm_go.policy.sampling import Walk, drawn
from tvm_go.policy.tasks import TASKS, Task

Pick = Callable[[str, int, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""From task, round and log-probabilities [B, U, A]: the decisions to go on with, and those to score; int64 [B, U]."""
Decide = Callable[[str, torch.Tensor], torch.Tensor]
"""From task and log-probabilities [B or 1, U, A]: the decisions that the tasks after it are told, int64 [B, U]."""


class Policy(nn.Module):
    """GO's network; weights are drawn by the seed alone.

    For a graph with a draft it draws moves, see `tvm_go.policy.acting`; else a whole plan, each decision for itself.
    Several graphs may be worked on at once, which is quicker for small ones. Everything runs on the CPU.

    Examples
    --------
    Eight samples of a placement on four GPUs, by a policy that has learned nothing yet:

    >>> from tvm_go.policy import PolicyConfig, graph_input
    >>> from tvm_go.simulate.families import generate
    >>> from tvm_go.simulate.machines import P100, PCIE3, box
    >>> workload = generate("rnnlm", 120, numpy.random.default_rng(0)).workload([P100])
    >>> graph = graph_input(workload, box("four P100", [P100] * 4, PCIE3))
    >>> policy = tvm_go.Policy(PolicyConfig(tasks=("placement",)), seed=0)
    >>> actions = policy.act(graph, 8, torch.Generator().manual_seed(0))
    >>> actions.devices(graph).shape == (8, workload.num_ops)
    True
    """

    def __init__(self, config: PolicyConfig, seed: int = 0) -> None:
        super().__init__()
        kinds = {name: by_name(TASKS, name, "task") for name in config.tasks}
        self.config = config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # layers draw their weights from torch's own generator
            self.encoder = Encoder(config)
            self.recurrent = RecurrentAttention(config)
            last = config.tasks[-1]
            self.tasks = nn.ModuleDict(
                {
                    name: kind(config, reads_back=config.rounds > 1 or (config.task_recurrence and name != last))
                    for name, kind in kinds.items()
                }
            )
            self.value = nn.Sequential(
                nn.Linear(config.width, config.width), nn.Tanh(), nn.Linear(config.width, 1), nn.Flatten(0)
            )

    def act(self, graph: GraphInput, count: int, generator: torch.Generator, greedy: bool = False) -> Actions:
        """Draw B = ``count`` samples of all decisions; if ``greedy``, take what is likeliest each time instead."""
        return self.act_on([graph], count, generator, greedy)[0]

    def score(self, graph: GraphInput, actions: Actions) -> Score:
        """How likely decisions are, with gradients."""
        return self.score_on([graph], [actions])[0]

    @torch.no_grad()
    def act_on(
        self, graphs: Sequence[GraphInput], count: int, generator: torch.Generator, greedy: bool = False
    ) -> list[Actions]:
        """`act` on several graphs at once."""
        if count < 1:
            raise UsageError(f"{count} samples are asked for; give at least 1")
        if graphs[0].has_draft:
            pairs, _ = self.pairs_on(graphs)
            both = zip(pairs, graphs, strict=True)
            return [act_by_moves(of_graph, graph, count, generator, greedy) for of_graph, graph in both]

        def pick(task: str, turn: int, log_prob: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            decision = log_prob.argmax(dim=-1) if greedy else drawn(log_prob, count, generator)
            return decision, decision

        batch = collate(graphs, self.config.segment)
        _, walk = self._walk(batch, count, pick)
        return walk.actions()

    def score_on(self, graphs: Sequence[GraphInput], actions: Sequence[Actions]) -> list[Score]:
        """`score` on several graphs at once, with equally many samples of each."""
        if graphs[0].has_draft:
            pairs, value = self.pairs_on(graphs)
            each = zip(pairs, value, graphs, actions, strict=True)
            return [score_moves(*one) for one in each]
        batch = collate(graphs, self.config.segment)
        recorded = {
            task: torch.cat([action.drawn[task] for action in actions], dim=-1) for task in self.config.tasks
        }  # [B, T, U]

        def pick(task: str, turn: int, log_prob: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            decision = recorded[task][:, turn]
            return decision, decision

        value, walk = self._walk(batch, len(recorded[self.config.tasks[0]]), pick)
        return walk.scores(value)

    def pairs_on(self, graphs: Sequence[GraphInput]) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Log-probabilities of the devices of each class, float32 [C, D] of each graph, and their values, [M]."""
        batch = collate(graphs, self.config.segment)
        encoded, context = self.encoder(batch)
        state = self.recurrent(encoded[None], batch.segments, context)
        log_prob = torch.log_softmax(self._task("placement").logits(state, batch, context, None), dim=-1)[0]
        of_graph = log_prob.split([graph.num_classes for graph in graphs])
        pairs = [part[:, : graph.num_devices] for part, graph in zip(of_graph, graphs, strict=True)]
        return pairs, self.value(context.embedding)

    def score_plans(
        self, graphs: Sequence[GraphInput], plans: Sequence[dict[str, torch.Tensor]], generator: torch.Generator
    ) -> list[Score]:
        """How likely given plans are in every round, after rounds that the policy itself draws: to learn by imitation.

        Parameters
        ----------
        plans
            For each graph and by task, int64 [U] or [B, U], equally many for all graphs; see `Actions.drawn` for U.
        """
        batch = collate(graphs, self.config.segment)
        wanted = {
            task: torch.cat([torch.atleast_2d(plan[task]) for plan in plans], dim=-1) for task in self.config.tasks
        }
        count = len(wanted[self.config.tasks[0]])

        def pick(task: str, turn: int, log_prob: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return drawn(log_prob.detach(), count, generator), wanted[task]

        value, walk = self._walk(batch, count, pick)
        return walk.scores(value)

    def decide_again(
        self, graphs: Sequence[GraphInput], plans: Sequence[Mapping[str, torch.Tensor]], decide: Decide
    ) -> None:
        """Let each task decide once, as in a round after one that had decided on given plans.

        Parameters
        ----------
        plans
            For each graph and by task, int64 [U].
        """
        batch = collate(graphs, self.config.segment)
        encoded, context = self.encoder(batch)
        latest = {task: torch.cat([plan[task] for plan in plans])[None] for task in self.config.tasks}
        self._round(batch, encoded, context, latest, decide)

    def _round(
        self,
        batch: GraphBatch,
        encoded: torch.Tensor,
        context: Context,
        latest: dict[str, torch.Tensor],
        decide: Decide,
    ) -> None:
        """One round of all tasks; ``latest`` holds what the round before decided, if any, then what this one did."""
        state = encoded[None]
        if self.config.task_recurrence:
            for name, decision in latest.items():
                state = state + self._task(name).embed(decision, batch)
        for name in self.config.tasks:
            task = self._task(name)
            if not self.config.task_recurrence:
                state = encoded[None]
                if name in latest:
                    state = state + task.embed(latest[name], batch)
            state = self.recurrent(state, batch.segments, context)
            log_prob = torch.log_softmax(task.logits(state, batch, context, latest.get(name)), dim=-1)
            latest[name] = decide(name, log_prob)
            if self.config.task_recurrence and name != self.config.tasks[-1]:
                state = state + task.embed(latest[name], batch)

    def _walk(self, batch: GraphBatch, count: int, pick: Pick) -> tuple[torch.Tensor, Walk]:
        """Return the value of each graph, float32 [M], and all decisions.

        Samples differ only by their decisions, so there is one row until the first is made.
        """
        encoded, context = self.encoder(batch)
        walk = Walk(batch, count)
        latest: dict[str, torch.Tensor] = {}
        for turn in range(self.config.rounds):

            def decide(name: str, log_prob: torch.Tensor, turn: int = turn) -> torch.Tensor:
                decision, scored = pick(name, turn, log_prob)
                walk.add(name, self._task(name).class_of(batch), log_prob, scored)
                return decision

            self._round(batch, encoded, context, latest, decide)
        return self.value(context.embedding), walk

    def _task(self, name: str) -> Task:
        task = self.tasks[name]
        assert isinstance(task, Task)
        return task
