"""Measure kernels of many models by random legal plans: what a cost model learns from."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tvm

from cost_model.config import MeasureConfig
from cost_model.measure import Measurer
from cost_model.oracle import KernelOracle
from cost_model.probes import measure_probes
from relay_passes.dataflow import read
from relay_passes.prepare import prepare_base
from relay_passes.targets import takes_tir
from relay_passes.variants import DEFAULT, options, suggested, units
from tuning_logs import TuningLog
from tvm_go.errors import PlanError, UnsupportedModelError
from tvm_go.graph import Int32
from tvm_go.legalize import encode, legalize
from tvm_go.model import Model
from tvm_go.problems import problem_of
from tvm_go.rules import RULE_SET_NAMES, rule_set
from tvm_go.search import Budget

_LOGGER = logging.getLogger(__name__)
_VISITS = 2  # of each kernel: what is learned from should be the kernel's own time
_PLANS_PER_FORM = 5  # preparing a model in other forms takes seconds
_MOST_FLIPPED = 6  # logarithm (base 2) of how many edges a plan differs on at most, on average
_IN_VAIN = 100  # plans without a new kernel, after which a model has no more to give


@dataclass
class RandomPlans:
    """An endless sequence of plans of one model, the same for the same seed: TVM's own forms, fused by default, first.

    Each item is the model in some forms, and several partitions of it. Ops take the forms that our rules suggest, TVM's
    own, or any; the partitions are FuseOps' own and some that differ from it on few edges or on many.
    """

    mod: tvm.IRModule
    params: Mapping[str, Any] | None
    target: tvm.target.Target
    seed: int = 0
    _base: tvm.IRModule = field(init=False)

    def __post_init__(self) -> None:
        self._base = prepare_base(self.mod, self.params, target=self.target)
        self._flow = read(self._base)
        self._options = options(self._flow, self.target)
        self._units = units(self._flow, self.target)
        self._suggested = suggested(self._base, self.target)

    def __iter__(self) -> Iterator[tuple[Model, list[Int32]]]:
        rng = np.random.default_rng(self.seed)
        first = True
        while True:
            names = None if first else self._forms(rng)
            first = False
            try:
                model = Model.with_variants(self._base, names, self.target)
            except (PlanError, UnsupportedModelError) as error:
                _LOGGER.info("forms drop out: %s", error)
                continue
            yield model, [model.default, *(random_partition(model, rng) for _ in range(_PLANS_PER_FORM - 1))]

    def _forms(self, rng: np.random.Generator) -> list[str]:
        """A form for each unit of ops; some models are nearly all by rule, some nearly all at random."""
        by_rule = rng.random()
        names = list(self._suggested)
        for unit in self._units:
            if rng.random() < by_rule:
                continue
            legal = [name for name in self._options[unit.ops[0]] if all(name in self._options[op] for op in unit.ops)]
            name = str(rng.choice([DEFAULT, *legal]))
            for op in unit.ops:
                names[op] = name
        return names


def random_partition(model: Model, rng: np.random.Generator) -> Int32:
    """FuseOps' partition with some edges merged or cut, as far as that is legal under a rule set."""
    graph = model.graph
    priority = encode(graph, model.default) * 2
    wanted = np.exp2(rng.uniform(0, _MOST_FLIPPED))
    flipped = rng.random(graph.num_edges) < min(0.5, wanted / max(1, graph.num_edges))
    priority[flipped] = np.where(priority[flipped] > 0, 0, 3)
    return legalize(graph, priority, rule_set(str(rng.choice(RULE_SET_NAMES))))


@dataclass
class Collected:
    """What became of one model.

    Attributes
    ----------
    plans : list of list of str
        Keys of the kernels of each plan, those that cost nothing left out.
    kernels : set of str
        Distinct kernels so far.
    in_vain : int
        Plans since the last new kernel.
    """

    plans: list[list[str]] = field(default_factory=list)
    kernels: set[str] = field(default_factory=set)
    in_vain: int = 0

    def add(self, plan: list[str]) -> None:
        """Take in the kernels of one more plan."""
        self.plans.append(plan)
        self.in_vain = self.in_vain + 1 if self.kernels.issuperset(plan) else 0
        self.kernels.update(plan)


def collect(
    models: Mapping[str, RandomPlans],
    oracle_of: Callable[[str], KernelOracle],
    *,
    kernels: int,
    plans: int = 1,
    seconds: float = float("inf"),
    on_plans: Callable[[str, Collected], None] = lambda name, collected: None,
) -> dict[str, Collected]:
    """Measure all kernels of random plans, some plans of each model in turn, until each has given enough kernels.

    Started again with the same models and log, it takes the same plans, whose kernels are then in the log.

    Parameters
    ----------
    oracle_of : callable
        The oracle by the name of a model.
    kernels, plans : int
        Distinct kernels, and plans, of each model at least; a model that gives no new kernels is left.
    seconds : float
        When to stop all the same.

    Raises
    ------
    MeasureError, LogError
        As the oracle.
    """
    deadline = time.monotonic() + seconds
    found = {name: Collected() for name in models}
    sequences = {name: iter(plans) for name, plans in models.items()}
    while sequences:
        for name in list(sequences):
            own = found[name]
            enough = (len(own.kernels) >= kernels and len(own.plans) >= plans) or own.in_vain >= _IN_VAIN
            if enough or time.monotonic() >= deadline:
                del sequences[name]
                continue
            model, partitions = next(sequences[name])
            problem = problem_of(model, oracle_of(name), rule_set("open"), Budget(kernels=sys.maxsize))
            problem.cost(partitions)  # the kernels of all in one batch, so that the builders have work
            for kernel in partitions:
                own.add([key for key in problem.paid_keys(kernel) if key])
            on_plans(name, own)
    return found


def collect_into(
    log: TuningLog,
    models: Mapping[str, RandomPlans],
    target: tvm.target.Target,
    *,
    kernels: int,
    plans: int = 1,
    seconds: float = float("inf"),
    on_plans: Callable[[str, Collected], None] = lambda name, collected: None,
) -> dict[str, Collected]:
    """As :func:`collect`, on one target, after the probes that tell what its device can do."""
    with oracles_into(log, target) as oracle_of:
        return collect(models, oracle_of, kernels=kernels, plans=plans, seconds=seconds, on_plans=on_plans)


@contextlib.contextmanager
def oracles_into(log: TuningLog, target: tvm.target.Target) -> Iterator[Callable[[str], KernelOracle]]:
    """An oracle by the name of a model, that measures into a log; the device's probes are measured first."""
    with Measurer(target=str(target), config=MeasureConfig(visits=_VISITS)) as measurer:

        def oracle_of(name: str) -> KernelOracle:
            return KernelOracle(str(target), measurer, log, try_tir=takes_tir(target), model=name)

        measure_probes(oracle_of(""))
        yield oracle_of


def seed_of(name: str, seed: int) -> int:
    """A seed for each model, whatever others there are."""
    return zlib.crc32(f"{seed} {name}".encode())
