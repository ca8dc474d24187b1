"""Machines of unlike devices, drawn at random: where devices, kernels and order cannot be decided one by one."""

from __future__ import annotations

import numpy as np

from tvm_go.simulate.machine import Machine
from tvm_go.simulate.machines import GIB, LinkSpec, box
from tvm_go.simulate.roofline import DeviceSpec

# Ranges from data sheets and profilers of parts that share a box; all are drawn evenly by their logarithms.
_HOST_FLOPS_PER_MS = (5e8, 4e9)  # eight cores to two sockets
_HOST_BYTES_PER_MS = (60e6, 400e6)
_HOST_LAUNCH_MS = (0.0005, 0.002)
_FLOPS_PER_MS = (1e9, 1e10)  # integrated GPUs to one for servers
_BYTES_PER_MS = (100e6, 700e6)
_LAUNCH_MS = (0.002, 0.01)  # an enqueued CUDA kernel to one of OpenCL
_LINK_BYTES_PER_MS = (6e6, 1e8)  # PCI Express 3.0 x8 to shared memory
_LINK_LATENCY_MS = (0.0005, 0.01)
_MAKES = 2  # of accelerators in one machine, at most


def draw_machine(num_devices: int, rng: np.random.Generator) -> tuple[Machine, tuple[DeviceSpec, ...]]:
    """A host and accelerators of one make or two, joined by equal links; with the data sheet of each kind.

    The host starts kernels at once and is slow; accelerators are quick and take long to start anything.
    """

    def between(limits: tuple[float, float]) -> float:
        return float(np.exp(rng.uniform(np.log(limits[0]), np.log(limits[1]))))

    host = DeviceSpec(
        "host", between(_HOST_FLOPS_PER_MS), between(_HOST_BYTES_PER_MS), between(_HOST_LAUNCH_MS), 256 * GIB
    )
    makes = [
        DeviceSpec(f"gpu {name}", between(_FLOPS_PER_MS), between(_BYTES_PER_MS), between(_LAUNCH_MS), 16 * GIB)
        for name in "ab"[: min(_MAKES, num_devices - 1)]
    ]
    specs = [host, *(makes[int(rng.integers(len(makes)))] for _ in range(num_devices - 1))]
    link = LinkSpec(between(_LINK_BYTES_PER_MS), between(_LINK_LATENCY_MS), shared=bool(rng.random() < 0.5))
    machine = box(f"host and {num_devices - 1} accelerators", specs, link)
    return machine, tuple({spec.kind: spec for spec in specs}.values())
