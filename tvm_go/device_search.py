"""Place the kernels of a tuned model on the devices of a target set, and give each device the forms that it takes.

A graph executor runs one kernel after another and copies in between, so a placement takes what its kernels take where
they are, and its copies. That sum is known from kernels that are measured alone, and minimised exactly for two devices.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tvm

from cost_model.links import Links
from cost_model.oracle import KernelOracle
from relay_passes.target_set import TargetSet
from relay_passes.variants import DEFAULT, origins, plain
from tvm_go.copies import Copies, copies
from tvm_go.device_memory import too_large
from tvm_go.errors import UnsupportedModelError
from tvm_go.graph import Int32
from tvm_go.kernels import free_kernels, paid_keys
from tvm_go.legalize import legalize, te_takes
from tvm_go.lowering import TE
from tvm_go.model import Model
from tvm_go.placing import place
from tvm_go.plan import GraphPlan
from tvm_go.rules import Rules
from tvm_go.search.placement import PlacementBudget
from tvm_go.simulate import Device, Machine
from tvm_go.simulate.from_kernels import from_kernels
from tvm_go.simulate.workload import Floats

_LOGGER = logging.getLogger("tvm_go.search")
_EVALUATIONS = 5_000  # of whole placements, if no bound ends the search before
_HOPEFUL = 1.5  # times the least time that is predicted: others are not built whole


@dataclass(frozen=True)
class Placed:
    """A partition of a model on the devices of a target set.

    Attributes
    ----------
    kernel : int32 [N]
    device : int32 [K]
    predicted_ms : float
        Kernels and copies, one after the other.
    copies : Copies
    """

    model: Model
    kernel: Int32
    device: Int32
    predicted_ms: float
    copies: Copies


@dataclass(frozen=True)
class DeviceSearch:
    """Searches placements of one model.

    Parameters
    ----------
    targets : TargetSet
    oracles : sequence of KernelOracle [D]
        Of each device, the host's first.
    links : Links
    rules : Rules
        Under which partitions are legal.
    strategy : str
        One of ``tvm_go.search.placement.STRATEGIES``.
    times : dict of str to float
        What is known of kernels on the host, by key.
    memory_bytes : sequence of int or None [D]
        Of each device, where it is known: what does not fit is left out.
    """

    targets: TargetSet
    oracles: Sequence[KernelOracle]
    links: Links
    rules: Rules
    strategy: str
    seed: int
    times: dict[str, float]
    memory_bytes: Sequence[int | None]

    def candidates(
        self, base: tvm.IRModule, names: Sequence[str], model: Model, kernel: Int32, host_ms: float
    ) -> list[Placed]:
        """Placements that may be the fastest as a whole, none has all kernels on the host.

        The most hopeful comes first, then the best that is all on one device, which predictions must not rule out.

        Parameters
        ----------
        base : tvm.IRModule
            Where forms are decided.
        names : sequence of str
            Form of each op of ``base`` that is best on the host; empty for TVM's own.
        model, kernel : Model, int32 [N]
            What was found for the host alone.
        host_ms : float
            What that takes, as predicted.
        """
        found = [self._placed_finely(model, kernel)]
        forms = plain(base, self.targets.host)
        everywhere = self._in_forms(base, forms, model)
        spread = self._placed_finely(everywhere, everywhere.default)
        found += [spread, self._on_one(everywhere, everywhere.default), self._on_one(model, kernel)]
        moved = origins(everywhere.flow)[spread.device[spread.kernel] != 0]
        if len(moved) and everywhere is not model:
            mixed = list(names) or [DEFAULT] * len(forms)
            for op in moved[moved >= 0].tolist():
                mixed[op] = forms[op]
            between = self._in_forms(base, mixed, model)
            found.append(self._placed_finely(between, between.default))
        most_ms = _HOPEFUL * min(host_ms, *(one.predicted_ms for one in found))
        hopeful = {self.plan_of(one).key: one for one in found if one.device.any() and one.predicted_ms <= most_ms}
        ranked = sorted(hopeful.values(), key=lambda one: one.predicted_ms)
        on_one = next((one for one in ranked if one.device.all()), None)
        return sorted(ranked, key=lambda one: one is not ranked[0] and one is not on_one)

    def plan_of(self, placed: Placed, **provenance: Any) -> GraphPlan:
        """A placement as a plan, each kernel in the best lowering that was measured on its device."""
        keys = paid_keys(placed.model.graph, placed.kernel)
        lowering = [
            self.oracles[place].best_lowering(key) if key and self.oracles[place].knows(key) else TE
            for key, place in zip(keys, placed.device.tolist(), strict=True)
        ]
        plan = placed.model.plan(placed.kernel, self.rules.name, lowering, **provenance).with_provenance(
            predicted_ms=placed.predicted_ms,
            copies=placed.copies.count,
            copied_bytes=int(placed.copies.num_bytes.sum()),
            copy_ms=self._copy_ms(placed.copies).tolist(),
        )
        return replace(plan, target=self.targets.text, device=placed.device)

    def predicted_ms(self, model: Model, kernel: Int32, device: Int32) -> float:
        """Milliseconds of a placement from its kernels and copies; ``inf`` if one cannot run."""
        return self._valued(model, kernel, device, self._kernel_ms(model, kernel)).predicted_ms

    def _valued(self, model: Model, kernel: Int32, device: Int32, ms: Floats) -> Placed:
        """A placement of kernels whose times on each device, float64 [K, D], are known."""
        moved = copies(model.graph, kernel, device)
        if problem := too_large(model.graph, kernel, device, self.targets.names, self.memory_bytes):
            _LOGGER.warning("a placement is left out: %s", problem)
            return Placed(model, kernel, device, np.inf, moved)
        predicted_ms = float(ms[np.arange(len(ms)), device].sum() + self._copy_ms(moved).sum())
        return Placed(model, kernel, device, predicted_ms, moved)

    def _copy_ms(self, moved: Copies) -> Floats:
        return self.links.copy_ms(moved.source, moved.destination, moved.num_bytes.astype(np.float64))

    def _placed_finely(self, model: Model, kernel: Int32) -> Placed:
        """Place a partition; and again with those kernels divided whose parts would rather be on another device."""
        alone = np.arange(model.graph.num_ops, dtype=np.int32)
        found = [self._placed(model, kernel)]
        for finer in (model.default, alone):
            divided = self._divided(model, kernel, self._placed(model, finer))
            if not any(np.array_equal(divided, one.kernel) for one in found):
                found.append(self._placed(model, divided))
        return min(found, key=lambda one: one.predicted_ms)

    def _divided(self, model: Model, kernel: Int32, finer: Placed) -> Int32:
        """The partition, cut where a finer one changes devices, and fused as by default elsewhere than on the host."""
        graph = model.graph
        place = finer.device[finer.kernel]
        source, reader = graph.edge_src, graph.edge_dst
        on_host = (place[source] == 0) & (place[reader] == 0)
        inner = np.where(on_host, kernel[source] == kernel[reader], model.default[source] == model.default[reader])
        return legalize(graph, (inner & (place[source] == place[reader])).astype(np.int32), self.rules)

    def _placed(self, model: Model, kernel: Int32) -> Placed:
        ms = self._kernel_ms(model, kernel)
        kernels = from_kernels(model.graph, kernel, ms, self.targets.names)
        result = place(
            kernels.workload,
            machine_of(self.targets, self.links),
            "sequential",
            strategy=self.strategy,
            budget=PlacementBudget(_EVALUATIONS),
            seed=self.seed,
        )
        device = kernels.device_of(result.device) if result.feasible else np.zeros(len(ms), dtype=np.int32)
        return self._valued(model, kernel, device, ms)

    def _on_one(self, model: Model, kernel: Int32) -> Placed:
        """A partition on the other device that takes it whole in the least time."""
        ms = self._kernel_ms(model, kernel)
        fixed = np.zeros(len(ms), dtype=np.bool_)
        fixed[kernel[model.graph.fixed]] = True
        devices = [np.where(fixed, 0, number).astype(np.int32) for number in range(1, len(self.targets.names))]
        found = [self._valued(model, kernel, device, ms) for device in devices]
        return min(found, key=lambda one: one.predicted_ms)

    def _in_forms(self, base: tvm.IRModule, names: Sequence[str], otherwise: Model) -> Model:
        """The model in forms; the other model if TVM refuses them or they are its own."""
        try:
            model = Model.with_variants(base, names, self.targets.host)
        except UnsupportedModelError:
            return otherwise
        return otherwise if model.graph.structural_hash == otherwise.graph.structural_hash else model

    def _kernel_ms(self, model: Model, kernel: Int32) -> Floats:
        """Milliseconds of each kernel on each device: float64 [K, D]; ``inf`` where it does not run."""
        graph = model.graph
        keys = paid_keys(graph, kernel)
        requests = list(model.kernels_of(kernel, keys).items())
        taken = {key for key, one in requests if te_takes(graph, one.ops)}
        anywhere = free_kernels(graph, kernel)
        ms = np.zeros((len(keys), len(self.oracles)))
        for number, oracle in enumerate(self.oracles):
            on_host = number == 0
            wanted = [request for request in requests if oracle.try_tir or on_host or request[0] in taken]
            known = dict(zip((key for key, _ in wanted), oracle.confirm(model.flow, graph, wanted), strict=True))
            if on_host:
                self.times.update(known)
            floor_ms = 0.0 if on_host else self.links.launch_ms[number]
            without_key = np.where(anywhere | on_host, 0.0, np.inf)  # views, and what is compiled for the host already
            ms[:, number] = [
                max(known.get(key, np.inf), floor_ms) if key else without_key[k] for k, key in enumerate(keys)
            ]
        return ms


def machine_of(targets: TargetSet, links: Links) -> Machine:
    """The devices of a target set as a graph executor uses them: one after the other."""
    count = len(targets.names)
    return Machine(
        targets.text,
        tuple(Device(name, name) for name in targets.names),
        links.bytes_per_ms,
        links.latency_ms,
        np.full((count, count), -1, dtype=np.int32),
        overlap=False,
    )
