"""What a policy for placement is trained on: graphs of generated families on boxes of GPUs, drawn at random."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from tvm_go.errors import UsageError
from tvm_go.simulate import Machine, Workload
from tvm_go.simulate.families import generate
from tvm_go.simulate.machines import NVLINK2, P100, PCIE3, V100, XEON, box, tight
from tvm_go.simulate.split_scores import HOST

_HOST = replace(XEON, kind=HOST)


class Case(NamedTuple):
    """What is to be placed, and what for."""

    workload: Workload
    machine: Machine
    objective: str


@dataclass(frozen=True)
class CorpusConfig:
    """What to draw from.

    Attributes
    ----------
    families : tuple of str
        See `tvm_go.simulate.families`; they take turns.
    objectives : tuple of str
        They take turns as well. Under ``throughput`` the box has a host beside its GPUs.
    least_ops, most_ops : int
        Sizes, drawn evenly by their logarithms.
    devices : tuple of int
        Numbers of GPUs; they take turns.
    training : float
        Share of graphs with a backward half.
    tight : float
        Share of machines with so little memory that no device holds the graph; others have that of the data sheet.
    mixed : float
        Share of machines with GPUs of both makes.
    """

    families: tuple[str, ...]
    objectives: tuple[str, ...] = ("concurrent",)
    least_ops: int = 200
    most_ops: int = 500
    devices: tuple[int, ...] = (2, 4, 8)
    training: float = 0.5
    tight: float = 0.75
    mixed: float = 0.0


def draw_corpus(config: CorpusConfig, count: int, rng: np.random.Generator) -> list[Case]:
    """Draw graphs, each with a name of its own, and a machine for each.

    Raises
    ------
    UsageError
        For an unknown family, or sizes below the smallest graph.
    """
    cases = []
    for number in range(count):
        turn, family = divmod(number, len(config.families))
        devices = config.devices[turn % len(config.devices)]
        objective = config.objectives[turn // len(config.devices) % len(config.objectives)]
        size = round(np.exp(rng.uniform(np.log(config.least_ops), np.log(config.most_ops))))
        gpus = [(P100, V100)[rng.integers(2)]] * devices
        if rng.random() < config.mixed:
            gpus = [(P100, V100)[i % 2] for i in range(devices)]
        specs = [_HOST, *gpus] if objective == "throughput" else gpus
        link = (PCIE3, NVLINK2)[rng.integers(2)]
        graph = generate(config.families[family], size, rng, training=bool(rng.random() < config.training))
        kinds = list({spec.kind: spec for spec in specs}.values())
        workload = replace(graph.workload(kinds), name=f"{graph.name} #{number}")
        machine = box(f"{devices} {'+'.join(spec.kind for spec in kinds)}", specs, link)
        slack = rng.uniform(0.1, 0.8) if rng.random() < config.tight else None
        cases.append(Case(workload, _fitted(machine, workload, slack), objective))
    return cases


def _fitted(machine: Machine, workload: Workload, slack: float | None) -> Machine:
    """The machine with tight memory, if that is wanted and can be."""
    if slack is None:
        return machine
    try:
        return tight(machine, workload, slack)
    except UsageError:
        return machine
