"""Time of the legaliser and the extractor by graph size: `python -m benchmarks.scaling [--prepare]`."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numpy as np
import tvm
from rich.console import Console
from rich.table import Table
from tvm import relay

from benchmarks.synthetic import synthetic
from relay_passes import extract, prepare
from relay_passes.stack import with_deep_stack
from tvm_go.kernels import kernel_keys
from tvm_go.legalize import encode, legalize
from tvm_go.rules import RULE_SET_NAMES, rule_set

P = ParamSpec("P")
T = TypeVar("T")


def timed(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> tuple[float, T]:
    """Seconds of one call, and its result."""
    start = time.perf_counter()
    result = function(*args, **kwargs)
    return time.perf_counter() - start, result


def chain(num_ops: int) -> relay.Function:
    """Elementwise ops one after the other: the deepest graph of its size."""
    x = relay.var("x", shape=(8, 16))
    body = x
    ops = (relay.nn.relu, relay.tanh, relay.exp, relay.sigmoid)
    for i in range(num_ops):
        body = ops[i % len(ops)](body)
    return relay.Function([x], body)


def wide(num_ops: int) -> relay.Function:
    """Parallel branches of one input, added up pairwise: the broadest graph of its size."""
    x = relay.var("x", shape=(8, 16))
    layer = [relay.tanh(relay.add(x, relay.const(float(i)))) for i in range(num_ops // 3)]
    while len(layer) > 1:
        layer = [relay.add(a, b) for a, b in zip(layer[::2], layer[1::2], strict=False)] + layer[len(layer) & ~1 :]
    return relay.Function([x], layer[0])


def legaliser_table(sizes: list[int]) -> Table:
    """Random priorities (every merge is searched for), a legal plan decoded, and kernel keys."""
    table = Table(title="Legaliser and kernel keys, synthetic graphs: seconds")
    for column in (
        "ops",
        "edges",
        *(f"{name}: {what}" for name in RULE_SET_NAMES for what in ("random", "legal plan")),
    ):
        table.add_column(column, justify="right")
    table.add_column("kernel keys", justify="right")
    for size in sizes:
        graph = synthetic(size, np.random.default_rng(0))
        priority = np.random.default_rng(1).integers(0, 8, size=graph.num_edges)
        cells = [f"{graph.num_ops:,}", f"{graph.num_edges:,}"]
        for name in RULE_SET_NAMES:
            legalize(graph, priority, rule_set(name))  # compile, fill caches
            seconds, kernel = timed(legalize, graph, priority, rule_set(name))
            request = encode(graph, kernel)
            again, _ = timed(legalize, graph, request, rule_set(name))
            cells += [f"{seconds:.4f}", f"{again:.4f}"]
        seconds, _ = timed(kernel_keys, graph, kernel)
        table.add_row(*cells, f"{seconds:.4f}")
    return table


def extractor_table(sizes: list[int]) -> Table:
    """Relay modules to OpGraph."""
    table = Table(title="Extractor: seconds (InferType is TVM's)")
    for column in ("graph", "ops", "InferType", "extract", "us per op"):
        table.add_column(column, justify="right")
    for make in (chain, wide):
        for size in sizes:
            function = make(size)
            infer, mod = timed(with_deep_stack, _typed, function)
            seconds, graph = timed(extract, mod)
            row = (make.__name__, f"{graph.num_ops:,}", f"{infer:.2f}", f"{seconds:.2f}")
            table.add_row(*row, f"{seconds / graph.num_ops * 1e6:.0f}")
    return table


def prepare_table(sizes: list[int]) -> Table:
    """TVM's own passes before fusion, with what is skipped where the result stays the same."""
    table = Table(title="prepare: seconds")
    for column in ("graph", "ops", "prepare", "us per op"):
        table.add_column(column, justify="right")
    for make in (chain, wide):
        for size in sizes:
            mod = tvm.IRModule.from_expr(make(size))
            seconds, _ = timed(prepare, mod, target="llvm")
            table.add_row(make.__name__, f"{size:,}", f"{seconds:.2f}", f"{seconds / size * 1e6:.0f}")
    return table


def _typed(function: relay.Function) -> tvm.IRModule:
    return relay.transform.InferType()(tvm.IRModule.from_expr(function))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--legalize", type=int, nargs="*", default=[1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--extract", type=int, nargs="*", default=[1_000, 10_000, 80_000])
    parser.add_argument("--prepare", type=int, nargs="*", default=[500, 1_000, 2_000, 4_000])
    args = parser.parse_args()
    console = Console(width=140)
    console.print(legaliser_table(args.legalize))
    console.print(extractor_table(args.extract))
    console.print(prepare_table(args.prepare))


if __name__ == "__main__":
    main()
