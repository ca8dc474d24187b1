"""What a policy for placement is trained on: graphs of generated families on boxes of GPUs, drawn at random."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tvm_go.errors import UsageError
from tvm_go.simulate import Machine, Workload
from tvm_go.simulate.families import generate
from tvm_go.simulate.machines import NVLINK2, P100, PCIE3, V100, box, tight


@dataclass(frozen=True)
class CorpusConfig:
    """What to draw from.

    Attributes
    ----------
    families : tuple of str
        See `tvm_go.simulate.families`; they take turns.
    least_ops, most_ops : int
        Sizes, drawn evenly by their logarithms.
    devices : tuple of int
        Numbers of devices; they take turns.
    training : float
        Share of graphs with a backward half.
    tight : float
        Share of machines with so little memory that no device holds the graph; others have that of the data sheet.
    """

    families: tuple[str, ...]
    least_ops: int = 200
    most_ops: int = 500
    devices: tuple[int, ...] = (2, 4, 8)
    training: float = 0.5
    tight: float = 0.75


def draw_corpus(config: CorpusConfig, count: int, rng: np.random.Generator) -> list[tuple[Workload, Machine]]:
    """Draw graphs, each with a name of its own, and a machine for each.

    Raises
    ------
    UsageError
        For an unknown family, or sizes below the smallest graph.
    """
    cases = []
    for number in range(count):
        family = config.families[number % len(config.families)]
        devices = config.devices[number // len(config.families) % len(config.devices)]
        size = round(np.exp(rng.uniform(np.log(config.least_ops), np.log(config.most_ops))))
        spec = (P100, V100)[rng.integers(2)]
        link = (PCIE3, NVLINK2)[rng.integers(2)]
        graph = generate(family, size, rng, training=bool(rng.random() < config.training))
        workload = replace(graph.workload([spec]), name=f"{graph.name} #{number}")
        machine = box(f"{devices} {spec.kind}", [spec] * devices, link)
        slack = rng.uniform(0.1, 0.8) if rng.random() < config.tight else None
        cases.append((workload, _fitted(machine, workload, slack)))
    return cases


def _fitted(machine: Machine, workload: Workload, slack: float | None) -> Machine:
    """The machine with tight memory, if that is wanted and can be."""
    if slack is None:
        return machine
    try:
        return tight(machine, workload, slack)
    except UsageError:
        return machine
