"""How fast the executors are, by size of the graph: `python -m benchmarks.simulate`.

Processor time of one thread; random layered graphs, placed in blocks as an expert would, or at random.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from rich.console import Console
from rich.table import Table

from tvm_go.graph import Int32
from tvm_go.simulate import Device, Machine, Workload
from tvm_go.simulate.objectives import EXECUTORS, evaluate

_READS = 2  # of an op, on average
_WIDTH = 16  # of a layer; half of the inputs come from the layer before, the others from up to 8 layers before


def layered(num_ops: int, rng: np.random.Generator) -> Workload:
    """A random graph of layers whose ops take about a millisecond and make about a megabyte."""
    reader = np.repeat(np.arange(_WIDTH, num_ops), _READS)
    layers = np.where(rng.random(len(reader)) < 0.5, 1, rng.integers(1, 9, len(reader)))
    source = (reader // _WIDTH - layers) * _WIDTH + rng.integers(0, _WIDTH, len(reader))
    kept = source >= 0
    return Workload.of(
        f"layered-{num_ops}",
        ("gpu",),
        rng.exponential(1.0, (num_ops, 1)),
        np.column_stack([source[kept], reader[kept]]),
        output_bytes=rng.exponential(1e6, num_ops),
        resident_bytes=rng.exponential(1e6, num_ops),
    )


def placements(num_ops: int, num_devices: int, rng: np.random.Generator) -> dict[str, Int32]:
    """One of each kind: int32 [1, N]."""
    blocks = np.arange(num_ops, dtype=np.int32) * num_devices // num_ops
    return {
        "blocks": blocks[None].astype(np.int32),
        "random": rng.integers(0, num_devices, (1, num_ops)).astype(np.int32),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 80_000, 1_000_000])
    parser.add_argument("--devices", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each line; default: %(default)s")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    devices = tuple(Device(f"gpu{i}", "gpu", 1e15) for i in range(args.devices))
    machine = Machine.uniform("benchmark", devices, bytes_per_ms=12e6, latency_ms=0.01)
    table = Table("executor", "ops", "placement", "one evaluation, ms", "million op-evaluations per second")
    for size in args.sizes:
        workload = layered(size, rng)
        for name, placed in placements(size, args.devices, rng).items():
            for executor in EXECUTORS:
                priorities = rng.random(placed.shape)
                evaluate(workload, machine, executor, placed, priorities)
                times: list[float] = []
                while not times or sum(times) < args.seconds:
                    start = time.thread_time()
                    evaluate(workload, machine, executor, placed, priorities)
                    times.append(time.thread_time() - start)
                best = float(np.median(times))
                table.add_row(executor, f"{size:,}", name, f"{best * 1e3:.3f}", f"{size / best / 1e6:.1f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
