"""What a plan takes, in plain Python over dictionaries: the same as the compiled one, another way."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tvm_go.graph import ValueKind
from tvm_go.kernels import describe, free_kernels, members, returned_values
from tvm_go.simulate import Workload
from tvm_go.simulate.forms import FORMS
from tvm_go.simulate.plans import PlannedGraph, WholePlan
from tvm_go.simulate.roofline import EFFICIENCY

ANY_LAYOUT = ("nn.relu", "add")  # of the operators of the graphs in `planned`


def layouts(planned: PlannedGraph, plan: WholePlan) -> list[int]:
    """Layout of each op: followers take that of the op that makes the largest tensor they read, the first of equals."""
    graph, result = planned.graph, [0] * planned.num_ops
    for op in range(planned.num_ops):
        made = [value for value in reads(planned, op) if graph.value_op[value] >= 0]
        if graph.name(op) in ANY_LAYOUT and made:
            largest = max(graph.value_bytes[value] for value in made)
            result[op] = result[next(graph.value_op[v] for v in made if graph.value_bytes[v] == largest)]
        else:
            result[op] = FORMS[plan.form[op]].layout
    return result


def reads(planned: PlannedGraph, op: int) -> list[int]:
    graph = planned.graph
    return graph.use_value[graph.use_op == op].tolist()


@dataclass
class SlowRun:
    """Nodes by name, in the order in which they are numbered."""

    names: list[object] = field(default_factory=list)
    ms: list[list[float]] = field(default_factory=list)
    made_bytes: list[float] = field(default_factory=list)
    resident: list[float] = field(default_factory=list)
    device: list[int] = field(default_factory=list)
    priority: list[float] = field(default_factory=list)
    edges: set[tuple[object, object]] = field(default_factory=set)

    def add(
        self, name: object, ms: list[float], made: float, device: int, priority: float, resident: float = 0.0
    ) -> None:
        self.names.append(name)
        self.ms.append(ms)
        self.made_bytes.append(made)
        self.device.append(device)
        self.priority.append(priority)
        self.resident.append(resident)

    def workload(self) -> Workload:
        number = {name: place for place, name in enumerate(self.names)}
        edges = np.array([[number[a], number[b]] for a, b in self.edges]).reshape(-1, 2)
        kinds = tuple(str(d) for d in range(len(self.ms[0])))
        return Workload.of(
            "slow", kinds, np.array(self.ms), edges,
            output_bytes=np.array(self.made_bytes, dtype=np.float64), resident_bytes=np.array(self.resident),
        )  # fmt: skip


def slow_changes_ms(planned: PlannedGraph, plan: WholePlan) -> float:
    """All layout changes, one after the other, whatever the kernels are."""
    run = slow_run(planned, plan._replace(kernel=np.arange(planned.num_ops, dtype=np.int32)))
    changes = [place for place, name in enumerate(run.names) if isinstance(name, tuple) and name[0] == "change"]
    return sum(run.ms[place][run.device[place]] for place in changes)


def slow_run(planned: PlannedGraph, plan: WholePlan) -> SlowRun:
    """Kernels, their outputs, layout changes, inputs and results as nodes."""
    graph, run, layout = planned.graph, SlowRun(), layouts(planned, plan)
    devices = [next(s for s in planned.specs if s.kind == d.kind) for d in planned.machine.devices]
    reach = [planned.reach[[s.kind for s in planned.specs].index(spec.kind)] for spec in devices]
    none = [0.0] * len(devices)
    leaving, free = returned_values(graph, plan.kernel), free_kernels(graph, plan.kernel)
    made_by: dict[int, object] = {}
    for value in np.flatnonzero(graph.value_kind == ValueKind.INPUT).tolist():
        made_by[value] = ("input", value)
        run.add(made_by[value], none, graph.value_bytes[value], 0, 1e300)

    def is_transform(op: int) -> bool:
        return bool(op >= 0 and graph.name(op) == "layout_transform")

    def changed(value: int, wanted: int, device: int, priority: float) -> object:
        maker = int(graph.value_op[value])
        if (layout[maker] if maker >= 0 else 0) == wanted or is_transform(maker):
            return made_by[value]
        name = ("change", value, device)
        if name not in run.names:
            size = float(graph.value_bytes[value])
            ms = [2 * size / (EFFICIENCY * spec.bytes_per_ms) + spec.launch_ms for spec in devices]
            run.add(name, ms, size, device, priority)
            run.edges.add((made_by[value], name))
        place = run.names.index(name)
        run.priority[place] = max(run.priority[place], priority)
        return name

    starts, ops = members(plan.kernel)
    count = len(starts) - 1
    for number in range(count):
        inside = ops[starts[number] : starts[number + 1]]
        kernel, device = describe(graph, inside, leaving), int(plan.device[inside[0]])
        priority = max(float(plan.level[op]) for op in inside) + 1.0 - number / count
        sources = set()
        for op in inside.tolist():
            for value in reads(planned, op):
                if graph.value_kind[value] == ValueKind.CONSTANT or graph.value_op[value] in inside:
                    continue
                sources.add(made_by[value] if is_transform(op) else changed(value, layout[op], device, priority))
        ms, resident = [], 0.0
        for spec, near in zip(devices, reach, strict=True):
            flops, moved, resident = 0.0, 0.0, 0.0
            known: set[int] = set()
            for op in inside.tolist():
                form, share = FORMS[plan.form[op]], near[plan.form[op]]
                flops += graph.flops[op] * form.arithmetic / share
                for value in reads(planned, op):
                    if value in known or graph.value_op[value] in inside:
                        continue
                    known.add(value)
                    constant = graph.value_kind[value] == ValueKind.CONSTANT
                    moved += graph.value_bytes[value] * (form.weight if constant else form.image) / share
                    resident += graph.value_bytes[value] * form.weight * constant
            for value in kernel.outputs:
                moved += graph.value_bytes[value] / near[plan.form[graph.value_op[value]]]
            ms.append(
                max(flops / (EFFICIENCY * spec.flops_per_ms), moved / (EFFICIENCY * spec.bytes_per_ms)) + spec.launch_ms
            )
        several = len(kernel.outputs) > 1
        size = 0.0 if several else float(graph.value_bytes[kernel.outputs[0]])
        run.add(number, none if free[number] else ms, size, device, priority, resident)
        run.edges |= {(source, number) for source in sources}
        for value in kernel.outputs:
            made_by[value] = ("output", value) if several else number
            if several:
                run.add(made_by[value], none, float(graph.value_bytes[value]), device, 1e300)
                run.edges.add((number, made_by[value]))
    results = {changed(value, 0, 0, 1e300) for value in graph.output_values.tolist()}
    run.add("end", none, 0.0, 0, 1e300)
    run.edges |= {(result, "end") for result in results}
    return run
