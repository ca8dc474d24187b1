"""Place a graph with known costs on four GPUs, and compare strategies: `python examples/place_graph.py`."""

import numpy as np

from tvm_go.placing import place
from tvm_go.search.placement import PlacementBudget
from tvm_go.simulate.families import generate
from tvm_go.simulate.machines import P100, PCIE3, box


def main() -> None:
    """A training graph of a recurrent net, placed by several strategies."""
    workload = generate("gnmt", 500, np.random.default_rng(0), training=True).workload([P100])
    machine = box("four P100", [P100] * 4, PCIE3)
    for strategy in ("expert", "critical_path", "annealing"):
        budget = PlacementBudget(evaluations=2_000)
        found = place(workload, machine, "concurrent", strategy=strategy, budget=budget)
        ops = np.bincount(found.device, minlength=len(machine.devices)).tolist()
        print(f"{strategy:14} {found.value:8.2f} ms, ops on each device: {ops}")


if __name__ == "__main__":
    main()
