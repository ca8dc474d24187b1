"""Models of the zoo as lessons in fusing: graphs in several forms, and what kernels take by logs and predictions."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.zoo import load
from cost_model.predictor import Predictor
from cost_model.pretrained import cost_model_of
from cost_model.structure import structure
from relay_passes.targets import as_target
from tuning_logs import KernelRecord
from tuning_logs.files import kernels_of, write_whole
from tvm_go.candidates import Candidates
from tvm_go.collect import RandomPlans, seed_of
from tvm_go.graph import Int32, OpGraph
from tvm_go.graph_json import from_json, packed, to_json, unpacked
from tvm_go.kernels import Kernel
from tvm_go.learn.fusion import FusionLesson, prepare_fusion_lesson
from tvm_go.legalize import te_takes
from tvm_go.lowering import TE, TIR, Lowering
from tvm_go.rules import rule_set
from tvm_go.search import Budget, Problem

FAMILIES: dict[str, tuple[str, ...]] = {
    "ResNet-like": ("resnet18", "resnet50"),
    "Inception-like": ("inception_v1", "inception_v2", "squeezenet", "densenet121"),
    "mobile": ("mobilenet", "shufflenet", "shuffle"),
    "chain": ("alexnet",),
    "BERT": ("bert2", "bert6", "vit_tiny"),
    "GPT": ("gpt2",),
    "LSTM": ("lstm", "lstm_wide", "gru"),
    "WaveNet": ("wavenet",),
    "mixers": ("mixer",),
    "formulas": ("physics", "options"),
}
"""Models whose kernels the shipped log knows, by what they are built of."""
MODELS = tuple(name for names in FAMILIES.values() for name in names)
RULES = "open"
_DOUBT = 0.5  # deviations of a prediction by which a kernel is taken to be slower: to be sure is worth something
_FORMS = 9  # of a model that are tried, for those asked for that differ


@dataclass(frozen=True)
class Case:
    """A model in some forms of its ops.

    Attributes
    ----------
    name : str
        Model and number; 0 is TVM's own forms, 1 those that our rules suggest, more are random.
    """

    name: str
    graph: OpGraph
    default: Int32

    @property
    def model(self) -> str:
        return self.name.partition(".")[0]


@dataclass
class Expectation:
    """An oracle that measures nothing.

    What a kernel takes was measured once, on a machine that had slow minutes, and is predicted by a model that has seen
    thousands: the geometric mean of both is what is expected. A kernel that was never measured is predicted, with some
    doubt. So no plan looks good because one of TVM's own kernels was measured in a slow minute.

    Parameters
    ----------
    logged : mapping of str to float
        Milliseconds by key.
    """

    graph: OpGraph
    logged: dict[str, float]
    predictor: Predictor

    def __call__(self, requests: Sequence[tuple[str, Kernel]]) -> list[float]:
        structures = [structure(self.graph, kernel) for _, kernel in requests]
        guesses = self.predictor.guess(structures, [lowerings(self.graph, kernel) for _, kernel in requests])
        result = []
        for (key, _), guess in zip(requests, guesses, strict=True):
            assert guess is not None  # TE and TIR are predictable
            logged = self.logged.get(key)
            if logged is not None:
                result.append(math.sqrt(logged * guess.ms) if guess.ms < math.inf else logged)
            else:
                result.append(guess.ms * (guess.ms / guess.least_ms) ** _DOUBT if guess.ms < math.inf else math.inf)
        return result


def lowerings(graph: OpGraph, kernel: Kernel) -> list[Lowering]:
    """What a kernel can be made by without any tuning."""
    return [TE, TIR] if te_takes(graph, kernel.ops) else [TIR]


@dataclass(frozen=True)
class Times:
    """What is known of this machine's kernels.

    Attributes
    ----------
    logged : dict of str to float
        Milliseconds by key: of each lowering the median of the logs, of those the least.
    """

    logged: dict[str, float]
    predictor: Predictor
    rules: str = RULES
    asked: dict[str, dict[str, float]] = field(default_factory=dict)  # by case, then by key

    @staticmethod
    def read(logs: Iterable[Path]) -> Times:
        """From logs of one target; the first holds the probes that describe the device."""
        target = str(as_target("native"))
        each = [[one for one in kernels_of(path) if one.target == target] for path in logs]
        model = cost_model_of("shipped", isa="avx512", target=target)
        return Times(medians(each), Predictor(model, target, each[0][0].host_cpu, each[0]))

    def problem(self, case: Case, budget: Budget | None = None) -> Problem:
        """A problem whose default is known; without a budget it asks as often as it likes."""
        oracle = Expectation(case.graph, self.logged, self.predictor)
        known = self.asked.setdefault(case.name, {}) if budget is None else {}
        limits = budget or Budget(kernels=sys.maxsize)
        problem = Problem(
            case.graph, case.default, rule_set(self.rules), oracle, limits, known=known, predicts=lambda: True
        )
        problem.cost_default()
        return problem


def medians(each: Sequence[Sequence[KernelRecord]]) -> dict[str, float]:
    """Milliseconds of each kernel by some logs: of each lowering the lower median, of those the least."""
    found: dict[tuple[str, str], set[float]] = {}
    for records in each:
        for one in records:
            if Lowering.from_text(one.lowering) in (TE, TIR):
                ms = one.median_ms if one.succeeded else math.inf
                found.setdefault((one.key, one.lowering), set()).add(ms)
    result: dict[str, float] = {}
    for (key, _), values in found.items():
        ordered = sorted(values)
        result[key] = min(result.get(key, math.inf), ordered[(len(ordered) - 1) // 2])
    return result


def cases_of(name: str, forms: int, folder: Path) -> list[Case]:
    """A model of the zoo in TVM's own forms, in those that rules suggest, and in some at random; kept in a folder."""
    path = folder / f"{name}.{forms}.json"
    if not path.exists():
        found: dict[str, tuple[OpGraph, Int32]] = {}
        model, target = load(name), as_target("native")
        for one in Candidates.prepare(model.mod, model.params, target, vary=True, known={}).models:
            found.setdefault(one.graph.structural_hash, (one.graph, one.default))
        plans = RandomPlans(model.mod, model.params, target, seed_of(name, 0)) if forms else ()
        wanted = len(found) + forms
        for (one, _), _ in zip(plans, range(_FORMS), strict=False):
            if len(found) < wanted:
                found.setdefault(one.graph.structural_hash, (one.graph, one.default))
        rows = [{"graph": to_json(graph), "default": packed(default)} for graph, default in found.values()]
        write_whole(path, json.dumps(rows).encode())
    rows = json.loads(path.read_text())
    return [Case(f"{name}.{i}", *_parsed(row)) for i, row in enumerate(rows)]


def _parsed(row: dict[str, Any]) -> tuple[OpGraph, Int32]:
    return from_json(row["graph"]), unpacked(row["default"]).astype(np.int32)


def lessons_of(
    cases: Sequence[Case], times: Times, seed: int, on_lesson: Callable[[FusionLesson], None] = lambda lesson: None
) -> list[FusionLesson]:
    """Improve the default plan of each case by what is expected of its kernels."""
    found = []
    for case in cases:
        rng = np.random.default_rng(seed_of(case.name, seed))
        found.append(prepare_fusion_lesson(times.problem(case), case.name, rng))
        on_lesson(found[-1])
    return found
