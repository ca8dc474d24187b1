"""The devices besides the host: measure what lies between, place the model, and verify what is hopeful as a whole."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from cost_model.config import MeasureConfig
from cost_model.links import links_of
from cost_model.measure import Measurer
from cost_model.oracle import KernelOracle
from cost_model.rpc import RpcConnection
from cost_model.served_device import ServedDevice, together
from cost_model.whole_model import compare_whole
from relay_passes.target_set import TargetSet
from relay_passes.targets import has_threads
from tuning_logs import PlanRecord, TuningLog
from tuning_logs.records import BEAT
from tvm_go.callbacks import TuneCallbacks
from tvm_go.candidates import Candidates
from tvm_go.device_search import DeviceSearch
from tvm_go.model import Model
from tvm_go.plan import GraphPlan
from tvm_go.rules import Rules
from tvm_go.verification import speedup, verified

_MOST_WHOLE = 4  # placements that are built whole
_CLOSE = 1.25  # plans whose speed-ups differ by less are timed in turns with each other,
_MOST_FINALS = 2  # so many at most
_MARGIN = 1.03  # by which a plan on more devices has to be faster than one on fewer


@dataclass(frozen=True)
class PlacedPlan:
    """A plan on several devices that was verified."""

    plan: GraphPlan
    model: Model
    record: PlanRecord


@contextlib.contextmanager
def oracles_of(
    targets: TargetSet,
    host: KernelOracle,
    callbacks: TuneCallbacks,
    *,
    measure: MeasureConfig | None,
) -> Iterator[dict[str, KernelOracle]]:
    """One oracle for each device, the host's first; all keep their records in one log.

    Raises
    ------
    MeasureError
        The server lacks a device of the set.
    """
    with contextlib.ExitStack() as stack:
        found = {targets.names[0]: host}
        for name, target in zip(targets.names[1:], targets.targets[1:], strict=True):
            measurer = stack.enter_context(Measurer(target=target, config=measure, connection=host.measurer.connection))
            found[name] = KernelOracle(
                str(target),
                measurer,
                host.log,
                callbacks.on_measure,
                try_tir=host.try_tir and has_threads(target),
                model=host.model,
            )
        yield found


def best_placed(
    targets: TargetSet,
    oracles: Mapping[str, KernelOracle],
    candidates: Candidates,
    found: tuple[Model, GraphPlan, PlanRecord],
    rules: Rules,
    callbacks: TuneCallbacks,
    *,
    strategy: str,
    seed: int,
    times: dict[str, float],
) -> PlacedPlan | None:
    """The plan on several devices that is fastest as a whole, if it is faster than what was found for the host alone.

    Parameters
    ----------
    candidates : Candidates
        The forms that were searched.
    found : Model, GraphPlan, PlanRecord
        For the host alone.
    times : dict of str to float
        Milliseconds of kernels on the host that are known, by key.
    """
    host_model, host_plan, host_record = found
    host = next(iter(oracles.values()))
    devices = [oracle.measurer.served() for oracle in oracles.values()]
    served = together(devices)
    links = links_of(targets, host.measurer.connection, host.log, served)
    memory_bytes = [one.memory_bytes for one in devices]
    search = DeviceSearch(targets, list(oracles.values()), links, rules, strategy, seed, times, memory_bytes)
    own = np.zeros(host_plan.num_kernels, dtype=np.int32)
    alike = on_set(host_plan, targets)
    own_record = replace(
        host_record, target=targets.text, device_kind=served.kind, plan_key=alike.key, plan=alike.to_json()
    )
    host.log.append(own_record)
    host_ms = search.predicted_ms(host_model, host_plan.kernel, own)
    alone = PlacedPlan(alike, host_model, own_record)
    contenders = [alone] if host_record.verdict == "faster" else []
    hopeful = search.candidates(candidates.base, candidates.names, host_model, host_plan.kernel, host_ms)
    for placed in hopeful[:_MOST_WHOLE]:
        plan = search.plan_of(placed, **{**host_plan.provenance, "placement": strategy, "host_predicted_ms": host_ms})
        record = verified(candidates.default, placed.model, plan, host.model, host, ablate=False, served=served)
        callbacks.on_plan(record)
        if record.verdict == "faster":
            contenders.append(PlacedPlan(plan, placed.model, record))
    contenders.sort(key=lambda one: -speedup(one.record))
    best = contenders[0] if contenders else alone
    for other in contenders[1 : 1 + _MOST_FINALS]:
        if speedup(best.record) < _CLOSE * speedup(other.record):
            best = faster_of(best, other, targets, host.log, host.measurer.connection, served)
    return None if best is alone else best


def faster_of(
    one: PlacedPlan,
    other: PlacedPlan,
    targets: TargetSet,
    log: TuningLog,
    connection: RpcConnection,
    served: ServedDevice,
) -> PlacedPlan:
    """The faster of two plans, timed in turns with each other; what came of it is logged, and not measured again.

    Each was timed in turns with the default, at another time: on a machine that others use as well that tells plans
    apart which differ by a quarter, not less. Between plans that are as fast the one on fewer devices is taken.
    """
    one, other = sorted((one, other), key=_devices_used)
    for winner, loser in ((one, other), (other, one)):
        known = log.plans(winner.plan.workload, targets.text, device_kind=served.kind)
        if any(
            record.plan_key == winner.plan.key and record.provenance.get(BEAT) == loser.plan.key for record in known
        ):
            return winner
    builds = [contender.model.build_of(contender.plan) for contender in (one, other)]
    checked = compare_whole(*builds, targets=targets, connection=connection).verification
    if checked is None:
        return one
    margin = _MARGIN if _devices_used(other) > _devices_used(one) else 1.0
    winner, loser = (other, one) if checked.timing.ratio > margin else (one, other)
    log.append(replace(winner.record, provenance={**winner.record.provenance, BEAT: loser.plan.key}))
    return winner


def _devices_used(contender: PlacedPlan) -> int:
    return max(len(np.unique(contender.plan.device)), 1)


def on_set(plan: GraphPlan, targets: TargetSet) -> GraphPlan:
    """A plan for the host alone as one for the target set."""
    return replace(plan, target=targets.text)
