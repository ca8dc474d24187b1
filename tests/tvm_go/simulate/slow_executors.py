"""The executors once more, as slow and as plain as can be: whatever may come next is listed, and the first is taken."""

from dataclasses import dataclass, field

from tvm_go.graph import Int32
from tvm_go.simulate import Machine, Workload
from tvm_go.simulate.workload import Floats


@dataclass
class Run:
    """A placement that runs; a copy is an op's tensor on a device: (op, device)."""

    workload: Workload
    machine: Machine
    device: list[int]
    start_ms: dict[tuple[int, int], float] = field(default_factory=dict)
    finish_ms: dict[tuple[int, int], float] = field(default_factory=dict)
    taken: set[tuple[int, int]] = field(default_factory=set)
    there: set[tuple[int, int]] = field(default_factory=set)
    done: set[int] = field(default_factory=set)
    peak_bytes: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.op_ms = self.machine.op_ms(self.workload)
        self.edges = list(zip(self.workload.edge_src.tolist(), self.workload.edge_dst.tolist(), strict=True))
        self.peak_bytes = [self.used_bytes(d) for d in range(self.machine.num_devices)]

    def readers(self, copy: tuple[int, int]) -> list[int]:
        return [v for u, v in self.edges if u == copy[0] and self.device[v] == copy[1]]

    def targets(self, op: int) -> list[int]:
        return sorted({self.device[v] for u, v in self.edges if u == op} - {self.device[op]})

    def is_ready(self, op: int) -> bool:
        return op not in self.done and all((u, self.device[op]) in self.there for u, v in self.edges if v == op)

    def is_over(self, copy: tuple[int, int]) -> bool:
        op, device = copy
        readers, targets = self.readers(copy), self.targets(op) if device == self.device[op] else []
        sent = all((op, target) in self.there for target in targets)
        return bool(readers or targets) and sent and all(v in self.done for v in readers)

    def used_bytes(self, device: int) -> float:
        own = [op for op in range(self.workload.num_ops) if self.device[op] == device]
        alive = [op for op, where in self.taken if where == device and not self.is_over((op, where))]
        return float(sum(self.workload.resident_bytes[own]) + sum(self.workload.output_bytes[alive]))

    def take(self, copy: tuple[int, int], start: float, finish: float) -> None:
        self.start_ms[copy], self.finish_ms[copy] = start, finish
        self.hold(copy)

    def hold(self, copy: tuple[int, int]) -> None:
        self.taken.add(copy)
        self.peak_bytes[copy[1]] = max(self.peak_bytes[copy[1]], self.used_bytes(copy[1]))

    def transfer_ms(self, op: int, source: int, target: int) -> float:
        return float(
            self.machine.latency_ms[source, target]
            + self.workload.output_bytes[op] / self.machine.bytes_per_ms[source, target]
        )


def slow_sequential(workload: Workload, machine: Machine, device: Int32, priority: Floats) -> tuple[float, Run]:
    run = Run(workload, machine, device.tolist())
    now = 0.0
    while len(run.done) < workload.num_ops:
        left = [
            op
            for op in range(workload.num_ops)
            if op not in run.done and all(u in run.done for u, v in run.edges if v == op)
        ]
        op = min(left, key=lambda op: (-priority[op], op))
        here = run.device[op]
        for producer in [u for u, v in run.edges if v == op and (u, here) not in run.there]:
            end = now + run.transfer_ms(producer, run.device[producer], here)
            run.take((producer, here), now, end)
            run.there.add((producer, here))
            now = end
        run.take((op, here), now, now + run.op_ms[op, here])
        now += run.op_ms[op, here]
        run.done.add(op)
        run.there.add((op, here))
    return now, run


def slow_concurrent(workload: Workload, machine: Machine, device: Int32, priority: Floats) -> tuple[float, Run]:
    run = Run(workload, machine, device.tolist())
    devices = range(machine.num_devices)
    running: dict[int, int] = {}
    free = [0.0 for _ in devices]
    link_free: dict[int, float] = {}
    starts: list[tuple[int, int]] = []
    ends: list[tuple[int, int]] = []
    now = 0.0
    while True:
        coming: list[tuple[float, int, tuple[float, int], tuple[int, int]]] = []
        coming += [(run.finish_ms[copy], 0, (0.0, 0), copy) for copy in ends]
        coming += [(run.finish_ms[op, d], 1, (-priority[op], op), (op, d)) for d, op in running.items()]
        coming += [(run.start_ms[copy], 2, (0.0, 0), copy) for copy in starts]
        for d in devices:
            ready = [op for op in range(workload.num_ops) if run.device[op] == d and run.is_ready(op)]
            if d not in running and ready:
                op = min(ready, key=lambda op: (-priority[op], op))
                coming.append((max(free[d], now), 3, (0.0, d), (op, d)))
        if not coming:
            return max(run.finish_ms.values(), default=0.0), run
        now, kind, _, copy = min(coming)
        op, here = copy
        if kind == 0:
            ends.remove(copy)
            run.there.add(copy)
        elif kind == 2:
            starts.remove(copy)
            run.hold(copy)
        elif kind == 3:
            free[here] = now + run.op_ms[op, here]
            run.take(copy, now, free[here])
            running[here] = op
        else:
            del running[here]
            run.done.add(op)
            run.there.add(copy)
            for target in run.targets(op):
                link = int(machine.link[here, target])
                start = max(now, link_free.get(link, 0.0) if link >= 0 else 0.0)
                if not machine.overlap:
                    start = max(start, free[here], free[target])
                end = start + run.transfer_ms(op, here, target)
                run.start_ms[op, target], run.finish_ms[op, target] = start, end
                starts.append((op, target))
                ends.append((op, target))
                link_free[link] = end
                if not machine.overlap:
                    free[here] = free[target] = end


def slow_pipeline(workload: Workload, machine: Machine, device: Int32) -> tuple[float, list[float]]:
    """The period, and the most memory that each device uses within it."""
    run = Run(workload, machine, device.tolist())
    moves = [(op, run.device[op], target) for op in range(workload.num_ops) for target in run.targets(op)]
    loads, peaks = [], []
    for d in range(machine.num_devices):
        own = [op for op in range(workload.num_ops) if run.device[op] == d]
        computing = float(sum(run.op_ms[op, d] for op in own))
        moving = sum(run.transfer_ms(*move) for move in moves if d in move[1:])
        loads.append(max(computing, moving) if machine.overlap else computing + moving)
        received = {op for op, _, target in moves if target == d}
        resident = float(sum(workload.resident_bytes[own]))
        steps = [resident + float(sum(workload.output_bytes[list(received)]))]
        for i, op in enumerate(own):
            kept = {
                u
                for u in {*received, *own[: i + 1]}
                if any(v in own[i:] for v in run.readers((u, d)))  # the op that runs still holds what it reads
                or u == op
                or (u in own and (run.targets(u) or not run.readers((u, d))))
            }
            steps.append(resident + float(sum(workload.output_bytes[list(kept)])))
        peaks.append(max(steps))
    loads += [
        sum(run.transfer_ms(*move) for move in moves if machine.link[move[1], move[2]] == link)
        for link in range(int(machine.link.max()) + 1)
    ]
    return max(loads), peaks
