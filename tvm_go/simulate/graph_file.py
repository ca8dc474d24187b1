"""Graphs whose costs are known, as files give them, each with the machine it is placed on."""

from __future__ import annotations

from pathlib import Path

from tvm_go.errors import UsageError
from tvm_go.simulate import Machine, Workload, dnn_partitioning, machine_file, workload_file

SIMULATED = {"throughput": "pipeline", "latency": "concurrent"}
"""What is simulated for a machine of ours; a graph that comes with its machine is judged as dnn-partitioning does."""


def read_graph(path: Path, machine_path: str | None) -> tuple[Workload, Machine]:
    """A graph, in our format or that of dnn-partitioning, and its machine.

    Parameters
    ----------
    machine_path : str or None
        A file of devices and links; None for those that a graph of dnn-partitioning brings along.

    Raises
    ------
    UsageError
        If a file cannot be read, the machine's is no machine, or nothing says what the machine is.
    UnsupportedModelError
        If the graph's file holds no graph.
    """
    ours = path.is_file() and workload_file.FORMAT.encode() in path.read_bytes()
    if machine_path is not None:
        machine = machine_file.read(Path(machine_path))
        return (workload_file.read(path) if ours else dnn_partitioning.read(path)[0]), machine
    if ours:
        raise UsageError(f"{path} says nothing of a machine; give one with --machine (docs/placement.md)")
    return dnn_partitioning.read(path)
