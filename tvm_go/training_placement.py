"""Training a policy for placement on graphs of generated families and on one's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tvm_go.by_name import check_name
from tvm_go.errors import UsageError
from tvm_go.learn.corpus import Case, CorpusConfig, draw_corpus
from tvm_go.learn.draft_lessons import draft_lessons
from tvm_go.learn.lesson import Lesson
from tvm_go.learn.run import RunOptions
from tvm_go.learn.train import TrainConfig, train
from tvm_go.policy import Policy, PolicyConfig
from tvm_go.simulate.families import FAMILIES
from tvm_go.simulate.graph_file import SIMULATED, read_graph
from tvm_go.training_course import Tell

POLICY = PolicyConfig(rounds=1)
STEPS = 1500
TRIED_MOVES = 600
"""Of each draft, to see what they gain."""
GRAPHS = 168
#: Small graphs: many steps count for more than large ones.
CORPUS = CorpusConfig((), ("concurrent", "throughput"), least_ops=100, most_ops=400, mixed=0.25)
_GENERATED = {"latency": "concurrent", "throughput": "throughput"}
"""What is simulated for generated graphs."""


@dataclass(frozen=True)
class PlacementCourse:
    """Quick strategies draft placements of some cases, and the policy learns which moves of them gain.

    Attributes
    ----------
    rng : numpy.random.Generator
        Of which the moves are drawn.
    """

    cases: Sequence[Case]
    rng: np.random.Generator
    policy: PolicyConfig = field(default_factory=lambda: POLICY)
    steps: int = STEPS

    @staticmethod
    def of(
        models: Sequence[str | Path],
        seed: int,
        *,
        machine: str | Path | None = None,
        objectives: Sequence[str] = tuple(_GENERATED),
        graphs: int = GRAPHS,
        devices: Sequence[int] = CORPUS.devices,
        ops: tuple[int, int] = (CORPUS.least_ops, CORPUS.most_ops),
    ) -> PlacementCourse:
        """Draw graphs and read files; see `tvm_go.train` for the parameters.

        Raises
        ------
        UsageError, UnsupportedModelError
            If something is no family, no graph or no machine, or a number cannot be.
        """
        rng = np.random.default_rng(seed)
        corpus = replace(
            CORPUS, objectives=tuple(objectives), least_ops=ops[0], most_ops=ops[1], devices=tuple(devices)
        )
        return PlacementCourse(list(_cases(models, machine, corpus, graphs, rng)), rng)

    def prepare(self, tell: Tell) -> tuple[list[Lesson], dict[str, Any]]:
        """Draft placements of each case, and try moves of them."""
        found: list[Lesson] = []
        for number, case in enumerate(self.cases):
            tell(number, number / len(self.cases))
            found += draft_lessons(*case, moves=TRIED_MOVES, rng=self.rng)
        if not found:
            raise UsageError(
                f"there is nothing to learn from {len(self.cases)} graphs: quick strategies place them as well as can "
                "be, or not at all; give other graphs, or another machine"
            )
        return found, {}

    def train(
        self,
        policy: Policy,
        lessons: Sequence[Lesson],
        *,
        steps: int,
        imitation_steps: int,
        rng: np.random.Generator,
        options: RunOptions,
    ) -> dict[str, Any]:
        """See `tvm_go.learn.train.train`."""
        return train(policy, lessons, TrainConfig(steps, imitation_steps), rng, options)


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
