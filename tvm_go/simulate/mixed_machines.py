"""Machines of unlike devices, drawn at random: where devices, kernels and order cannot be decided one by one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tvm_go.simulate.forms import FORMS
from tvm_go.simulate.machine import Machine
from tvm_go.simulate.machines import GIB, LinkSpec, box
from tvm_go.simulate.roofline import DeviceSpec
from tvm_go.simulate.workload import Floats

# Ranges from data sheets and profilers of parts that share a box; all are drawn evenly by their logarithms.
_HOST = "host"
_HOST_FLOPS_PER_MS = (5e8, 4e9)  # eight cores to two sockets
_HOST_BYTES_PER_MS = (60e6, 400e6)
_HOST_LAUNCH_MS = (0.0005, 0.002)
_FLOPS_PER_MS = (1e9, 1e10)  # integrated GPUs to one for servers
_BYTES_PER_MS = (100e6, 700e6)
_LAUNCH_MS = (0.002, 0.01)  # an enqueued CUDA kernel to one of OpenCL
_LINK_BYTES_PER_MS = (6e6, 1e8)  # PCI Express 3.0 x8 to shared memory
_LINK_LATENCY_MS = (0.0005, 0.01)
_MAKES = 2  # of accelerators in one machine, at most

# How near the roofline a host and an accelerator come in each form, over how near they come in the usual one, which is
# TVM's for a host: images in blocks of channels, packed weights. None comes nearer than 1 / `EFFICIENCY`.
_REACH = {
    # TVM's convolutions of channels-last images have no register tile on x86; the matrix units of GPUs want channels
    # last (NVIDIA, "Convolutional layers user's guide"), but not all GPUs have them
    "channels last": ((0.25, 0.9), (0.8, 1.9)),
    # short products between transforms; the more of them, the larger the tile
    "Winograd 2": ((0.5, 0.9), (0.5, 0.9)),
    "Winograd 4": ((0.4, 0.8), (0.4, 0.8)),
    # a host reads the columns of a packed weight side by side; GPUs tile a plain one in their shared memory
    "plain weight": ((0.3, 0.9), (0.9, 1.6)),
    # beside a batch_matmul of two plain matrices, whose right one a host reads across its rows
    "packed weight": ((1.2, 1.9), (0.6, 1.1)),
    "transposed weight": ((0.9, 1.5), (0.8, 1.3)),
}


def draw_machine(num_devices: int, rng: np.random.Generator) -> tuple[Machine, tuple[DeviceSpec, ...]]:
    """A host and accelerators of one make or two, joined by equal links; with the data sheet of each kind.

    The host starts kernels at once and is slow; accelerators are quick and take long to start anything.
    """

    def between(limits: tuple[float, float]) -> float:
        return _between(limits, rng)

    host = DeviceSpec(
        _HOST, between(_HOST_FLOPS_PER_MS), between(_HOST_BYTES_PER_MS), between(_HOST_LAUNCH_MS), 256 * GIB
    )
    makes = [
        DeviceSpec(f"gpu {name}", between(_FLOPS_PER_MS), between(_BYTES_PER_MS), between(_LAUNCH_MS), 16 * GIB)
        for name in "ab"[: min(_MAKES, num_devices - 1)]
    ]
    specs = [host, *(makes[int(rng.integers(len(makes)))] for _ in range(num_devices - 1))]
    link = LinkSpec(between(_LINK_BYTES_PER_MS), between(_LINK_LATENCY_MS), shared=bool(rng.random() < 0.5))
    machine = box(f"host and {num_devices - 1} accelerators", specs, link)
    return machine, tuple({spec.kind: spec for spec in specs}.values())


def draw_reach(specs: Sequence[DeviceSpec], rng: np.random.Generator) -> Floats:
    """How near the roofline the devices of a drawn machine come in each form, see `PlannedGraph.reach`: [K, F]."""
    reach = np.ones((len(specs), len(FORMS)))
    for row, spec in zip(reach, specs, strict=True):
        row[1:] = [_between(_REACH[form.name][spec.kind != _HOST], rng) for form in FORMS[1:]]
    return reach


def _between(limits: tuple[float, float], rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(np.log(limits[0]), np.log(limits[1]))))
