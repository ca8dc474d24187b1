"""Builds by the best plan of a tuning log."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import tvm
from tvm import relay

from relay_passes.target_set import TargetSet
from tuning_logs import PlanRecord, TuningLog
from tuning_logs.records import BEAT
from tvm_go.errors import LogError, PlanError
from tvm_go.model import Model
from tvm_go.plan import GraphPlan

_entered: list[ApplyBest] = []  # the innermost last


class ApplyBest:
    """Within it :func:`tvm_go.build` takes the best plan that a tuning log holds of a model for the target.

    The best is the plan that was verified, faster than TVM's default, by the largest factor. Where the log knows the
    model and nothing was faster, the default is built; where it does not know the model or the target, or from emulated
    machines only, the default is built too, and a warning says so. Of several that are entered the innermost counts.

    Parameters
    ----------
    log
        Tuning log of `tvm-go tune-graph` or :func:`tvm_go.tune`.

    Raises
    ------
    LogError
        If there is no such log, or it cannot be read.

    Examples
    --------
    >>> with tvm_go.ApplyBest("log.jsonl"):
    ...     library = tvm_go.build(mod, params)
    >>> executor = tvm.contrib.graph_executor.GraphModule(library["default"](tvm.cpu()))
    """

    def __init__(self, log: str | Path) -> None:
        self.log = TuningLog(log)
        if not self.log.path.is_file():
            raise LogError(f"there is no log {log}: no such file; `tvm-go tune-graph MODEL --log {log}` makes one")
        self.log.refresh()

    def __enter__(self) -> ApplyBest:
        _entered.append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _entered.remove(self)

    @staticmethod
    def current() -> ApplyBest | None:
        """The innermost that is entered."""
        return _entered[-1] if _entered else None

    def plan(
        self,
        mod: tvm.IRModule | relay.Function,
        params: Mapping[str, Any] | None,
        devices: TargetSet,
    ) -> GraphPlan | None:
        """The best plan of a model for a target or target set; None for TVM's default on the host.

        A record names the graph in the plan's own forms, so those of another model are told apart by the graph in TVM's
        forms, which newer records name; of older ones the plan has to be tried.
        """
        records = [
            one
            for one in self.log.records
            if isinstance(one, PlanRecord) and one.target == devices.text and not one.device_kind.startswith("emulated")
        ]
        if records:
            default = Model.prepare(mod, params, devices.host).graph.structural_hash
            known = [one for one in records if one.provenance.get("default_workload", default) == default]
            slower = {one.provenance.get(BEAT) for one in known}  # than another, timed in turns
            sure = any("default_workload" in one.provenance or one.workload == default for one in known)
            for record in sorted(known, key=_ratio):
                if record.verdict == "faster" and record.succeeded and record.plan_key not in slower:
                    plan = GraphPlan.from_json(record.plan, f"a plan in {self.log.path}")
                    if _fits(plan, mod, params):
                        return plan
            if sure:
                return None
        warnings.warn(
            f"{self.log.path} holds no verified plan of this model for target '{devices.text}': TVM's default is "
            "built; `tvm-go tune-graph` on this model and target adds one",
            stacklevel=3,
        )
        return None


def _ratio(record: PlanRecord) -> float:
    return record.plan_ms / record.default_ms if record.default_ms > 0 else float("inf")


def _fits(plan: GraphPlan, mod: tvm.IRModule | relay.Function, params: Mapping[str, Any] | None) -> bool:
    try:
        Model.of_plan(mod, params, plan)
    except PlanError:
        return False
    return True
