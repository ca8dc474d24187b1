"""Decisions and GraphPlan: raw actions, and the legal plan that they become."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tvm_go.atomic import write_atomically
from tvm_go.errors import PlanError
from tvm_go.graph import Int32, OpGraph
from tvm_go.legalize import check_partition, encode, legalize
from tvm_go.lowering import TE, Lowering
from tvm_go.plan_details import PlanDetails
from tvm_go.plan_file import read_plan_text
from tvm_go.rules import rule_set
from tvm_go.target_text import device_names

if TYPE_CHECKING:
    from pandas import DataFrame

_FORMAT = "tvm-go plan"
_VERSION = 3  # 2: lowerings and variants; 3: devices
_READ = (2, 3)


@dataclass(frozen=True, eq=False)
class Decisions:
    """Raw actions of all tasks; any values are acceptable.

    Attributes
    ----------
    fusion : integer [E]
        Merge priority of each dataflow edge: 0 cuts, more merges earlier.

    Examples
    --------
    Whatever the decisions are, the plan is legal:

    >>> plan = tvm_go.GraphPlan.load("plan.json")
    >>> graph = plan.details.graph
    >>> same = tvm_go.Decisions.encode(graph, plan).decode(graph, target=plan.target, rules=plan.rules)
    >>> bool((same.kernel == plan.kernel).all())
    True
    >>> unfused = tvm_go.Decisions(numpy.zeros(graph.num_edges, int)).decode(graph, target=plan.target)
    >>> unfused.num_kernels == graph.num_ops
    True
    """

    fusion: NDArray[np.integer]

    @staticmethod
    def encode(graph: OpGraph, plan: GraphPlan) -> Decisions:
        """Decisions that decode to exactly this plan."""
        return Decisions(fusion=encode(graph, plan.kernel))

    def decode(self, graph: OpGraph, *, target: str, rules: str = "wide") -> GraphPlan:
        """Legalise into a plan."""
        kernel = legalize(graph, self.fusion, rule_set(rules))
        return GraphPlan(kernel=kernel, rules=rules, workload=graph.structural_hash, target=target)


@dataclass(frozen=True, eq=False)
class GraphPlan:
    """A legal plan for one model and target.

    Attributes
    ----------
    kernel : int32 [N]
        Kernel of each op of the prepared graph; kernels are numbered in execution order.
    rules : str
        Rule set under which the plan is legal.
    workload : str
        Structural hash of the graph that it is for, with its variants.
    target : str
        TVM target, or target set (``tvm_go.target_text``).
    provenance : dict
        How it came about: strategy, seed, budget, measured times, versions.
    lowering : tuple of Lowering [K]
        How each kernel gets its schedule; empty for ``te`` throughout.
    variants : dict of int to str
        Form of each op of the base graph (``relay_passes.prepare_base``) that is not in TVM's own.
    device : int32 [K]
        Where each kernel runs: an index into ``devices``. Empty if all run on the first.
    details : PlanDetails or None
        Graph and kernel times, for those who look at the plan; they decide nothing, and a plan may come without.

    Examples
    --------
    >>> plan = tvm_go.GraphPlan.load("plan.json")
    >>> plan.devices
    ('cpu',)
    >>> table = plan.to_pandas()
    >>> len(table) == plan.num_kernels
    True
    >>> slowest = table.sort_values("ms", ascending=False)[["ops", "lowering", "ms"]].head(3)
    >>> page = plan.to_html()  # a notebook shows it by itself
    """

    kernel: Int32
    rules: str
    workload: str
    target: str
    provenance: dict[str, Any] = field(default_factory=dict)
    lowering: tuple[Lowering, ...] = ()
    variants: dict[int, str] = field(default_factory=dict)
    device: Int32 = field(default_factory=lambda: np.zeros(0, dtype=np.int32))
    details: PlanDetails | None = None

    @property
    def num_kernels(self) -> int:
        return int(self.kernel.max(initial=-1)) + 1

    @property
    def devices(self) -> tuple[str, ...]:
        """TVM's names of the devices of the target."""
        return device_names(self.target)

    @property
    def key(self) -> str:
        """Hash of what is decided: equal keys mean equal libraries. 32 hex digits."""
        forms = ",".join(f"{op}:{name}" for op, name in sorted(self.variants.items()))
        lowering = ",".join(f"{number}:{text}" for number, text in self._lowering_texts().items())
        device = f" {self.device.astype('<i4').tobytes().hex()}" if self.device.any() else ""
        text = f"{self.workload} {self.target} {self.kernel.astype('<i4').tobytes().hex()} {forms} {lowering}{device}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def with_provenance(self, **entries: Any) -> GraphPlan:
        """The same plan, with more said about how it came about."""
        return replace(self, provenance={**self.provenance, **entries})

    def check(self, graph: OpGraph) -> None:
        """Raise :class:`PlanError` unless the plan is for this graph and legal under its rules."""
        if self.workload != graph.structural_hash:
            raise PlanError(
                f"the plan is for model graph {self.workload[:12]} and this model prepared for this target is "
                f"{graph.structural_hash[:12]}: run `tvm-go tune-graph` on this model and target"
            )
        check_partition(graph, self.kernel, rule_set(self.rules))
        self._check_devices()

    def variants_of(self, num_ops: int) -> list[str]:
        """Name of the form of each op of a base graph.

        Raises
        ------
        PlanError
            If the plan is for another base graph.
        """
        names = ["default"] * num_ops
        for op, name in self.variants.items():
            if not 0 <= op < num_ops:
                raise PlanError(f"the plan is for another model: it names op {op} of {num_ops}")
            names[op] = name
        return names

    def _check_devices(self) -> None:
        if len(self.device) not in (0, self.num_kernels):
            raise PlanError(f"the plan gives {len(self.device)} devices for {self.num_kernels} kernels: tune again")
        if not np.all((self.device >= 0) & (self.device < len(self.devices))):
            raise PlanError(f"the plan places kernels on devices that its target set '{self.target}' lacks: tune again")
        if any(one.kind == "metaschedule" for one, place in zip(self.lowering, self.device, strict=False) if place):
            raise PlanError("the plan gives a kernel outside the CPU a schedule for CPUs: tune again")

    def _lowering_texts(self) -> dict[int, str]:
        return {number: lowering.to_text() for number, lowering in enumerate(self.lowering) if lowering != TE}

    def to_json(self) -> dict[str, Any]:
        """The plan as one JSON object."""
        details = {} if self.details is None else {"details": self.details.to_json()}
        return {
            "format": _FORMAT,
            "version": _VERSION,
            "workload": self.workload,
            "target": self.target,
            "rules": self.rules,
            "variants": {str(op): name for op, name in sorted(self.variants.items())},
            "kernel": self.kernel.tolist(),
            "lowering": {str(number): text for number, text in self._lowering_texts().items()},
            "device": self.device.tolist(),
            "provenance": self.provenance,
            **details,
        }

    @staticmethod
    def from_json(data: Any, source: str = "the plan") -> GraphPlan:
        """Read a JSON object.

        Raises
        ------
        PlanError
            If it is no plan, or of a newer version.
        """
        if not isinstance(data, dict) or data.get("format") != _FORMAT:
            raise PlanError(f"{source} is no tvm-go plan; `tvm-go tune-graph MODEL -o PLAN.json` writes one")
        if data.get("version") not in _READ:
            older = isinstance(data.get("version"), int) and data["version"] < _READ[0]
            remedy = "write it again with `tvm-go tune-graph`" if older else "upgrade tvm-go"
            raise PlanError(
                f"{source} has plan version {data.get('version')} and this tvm-go reads {_VERSION}: {remedy}"
            )
        try:
            kernel = np.array(data["kernel"], dtype=np.int32).reshape(-1)
            texts: dict[str, Any] = {name: str(data[name]) for name in ("rules", "workload", "target")}
            provenance = dict(data["provenance"])
            variants = {int(op): str(name) for op, name in dict(data["variants"]).items()}
            device = np.array(data.get("device", []), dtype=np.int32).reshape(-1)
            texts_by_kernel = {int(number): str(text) for number, text in dict(data["lowering"]).items()}
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise PlanError(f"{source} is damaged ({error!r}): write it again with `tvm-go tune-graph`") from error
        count = int(kernel.max(initial=-1)) + 1
        if kernel.min(initial=0) < 0 or count > len(kernel) or len(np.unique(kernel)) != count:
            raise PlanError(f"{source} does not number its kernels from 0 without gaps: write it again")
        if not all(0 <= number < count for number in texts_by_kernel):
            raise PlanError(f"{source} names the lowering of a kernel that it does not have: write it again")
        lowering = tuple(Lowering.from_text(texts_by_kernel.get(number, "te")) for number in range(count))
        plan = GraphPlan(
            kernel=kernel,
            provenance=provenance,
            lowering=lowering if texts_by_kernel else (),
            variants=variants,
            device=device,
            **texts,
        )
        plan._check_devices()
        return plan if data.get("details") is None else replace(plan, details=_read_details(plan, data, source))

    def save(self, path: str | Path) -> None:
        """Write the plan as JSON; a reader sees the old file or the new one, never half of it."""
        path = Path(path)
        try:
            write_atomically(path, (json.dumps(self.to_json(), indent=1) + "\n").encode())
        except OSError as error:
            raise PlanError(
                f"cannot write the plan to {path} ({error.strerror}): choose another path with -o"
            ) from error

    @staticmethod
    def load(path: str | Path) -> GraphPlan:
        """Read a plan file, or the plan in a model library (``model.tar``) that was compiled by one."""
        try:
            data = json.loads(read_plan_text(Path(path)))
        except ValueError as error:
            raise PlanError(f"{path} is no tvm-go plan (no JSON: {error}); `tvm-go tune-graph` writes one") from error
        return GraphPlan.from_json(data, str(path))

    def to_html(self, *, against: GraphPlan | None = None) -> str:
        """The plan as one HTML page that needs no network: graph, timeline, memory, kernels, what changed.

        Parameters
        ----------
        against : GraphPlan, optional
            Another plan of the same model to compare with; without it TVM's default plan.

        Raises
        ------
        PlanError
            If a plan carries no details, or the two are for different models.
        """
        from tvm_go.report import plan_page  # the page's parts are read only where a plan is looked at

        return plan_page(self, against)

    def to_pandas(self) -> DataFrame:
        """The kernels as a table, in execution order.

        Columns: ``num_ops``, ``device``, ``lowering`` and its ``detail``; if the plan carries details also ``ops``
        (their names), ``flops``, ``ms``, ``share`` of the sum of known times, and ``source`` of the time.

        Raises
        ------
        UsageError
            If pandas is not installed.
        """
        from tvm_go.tables import plan_table  # as the page

        return plan_table(self)

    def _repr_html_(self) -> str | None:
        """What Jupyter shows: the page in a frame of its own; None, and so the plain text, without details."""
        from tvm_go.report import framed

        return None if self.details is None else framed(self.to_html())


def _read_details(plan: GraphPlan, data: dict[str, Any], source: str) -> PlanDetails:
    try:
        details = PlanDetails.from_json(
            data["details"], len(plan.kernel), plan.num_kernels, lambda default: GraphPlan.from_json(default, source)
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise PlanError(f"{source} is damaged ({error!r}): write it again with `tvm-go tune-graph`") from error
    if details.graph.structural_hash != plan.workload:
        raise PlanError(f"{source} holds the graph of another model: write it again with `tvm-go tune-graph`")
    return details
