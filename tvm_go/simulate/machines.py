"""Machines of two to 64 devices by figures of their data sheets: one box of GPUs, and several over a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tvm_go.errors import UsageError
from tvm_go.graph import Int32, Int64
from tvm_go.simulate.costs import costs_of, longest_remaining_ms
from tvm_go.simulate.depth_first import depth_first
from tvm_go.simulate.execution import execute
from tvm_go.simulate.machine import Device, Machine
from tvm_go.simulate.need import parts_of_equal_need
from tvm_go.simulate.roofline import DeviceSpec
from tvm_go.simulate.workload import Workload

GIB = 2.0**30
_LAUNCH_MS = 0.005  # of a CUDA kernel, as the profilers of frameworks show it
_DISPATCH_MS = 0.001  # of an op on the host

#: NVIDIA Tesla P100 (SXM2) data sheet, 2016: 10.6 TFLOP/s in single precision, 732 GB/s, 16 GB.
P100 = DeviceSpec("p100", 10.6e9, 732e6, _LAUNCH_MS, 16 * GIB)
#: NVIDIA Tesla V100 (SXM2) data sheet, 2018: 15.7 TFLOP/s in single precision, 900 GB/s, 16 GB.
V100 = DeviceSpec("v100", 15.7e9, 900e6, _LAUNCH_MS, 16 * GIB)
#: Intel Xeon E5-2699 v3: 18 cores at 2.3 GHz with 32 FLOP per cycle (two AVX2 FMA units), four channels of DDR4-2133.
XEON = DeviceSpec("xeon", 18 * 2.3e6 * 32, 68e6, _DISPATCH_MS, 256 * GIB)


@dataclass(frozen=True)
class LinkSpec:
    """A way between two devices, one direction.

    Attributes
    ----------
    bytes_per_ms : float
    latency_ms : float
        From asking for a copy to its first byte.
    shared : bool
        Everything that leaves a device goes through one port, so its transfers wait for one another.
    """

    bytes_per_ms: float
    latency_ms: float
    shared: bool


#: PCI Express 3.0 x16: 8 GT/s, 16 lanes, 128b/130b code: 15.75 GB/s, of which copies reach about 12; a port per device.
PCIE3 = LinkSpec(12e6, 0.010, shared=True)
#: NVLink 2.0: 25 GB/s a link and direction ("NVIDIA Tesla V100 GPU architecture", 2017); one link for each pair, as
#: if the six of a V100 reached all others (in a DGX-1 some pairs are two hops apart).
NVLINK2 = LinkSpec(25e6, 0.010, shared=False)
#: InfiniBand EDR: 100 Gbit/s; the latency is that of a message through the software of both boxes.
NETWORK = LinkSpec(12.5e6, 0.030, shared=True)


def box(name: str, specs: Sequence[DeviceSpec], link: LinkSpec) -> Machine:
    """Devices of one box, each pair joined by a link of the same make.

    Raises
    ------
    UsageError
        If there is no device.
    """
    return cluster(name, specs, link, boxes=1, network=link)


def cluster(name: str, specs: Sequence[DeviceSpec], link: LinkSpec, *, boxes: int, network: LinkSpec) -> Machine:
    """Several boxes with the same devices; what leaves a box shares its port to the network.

    Raises
    ------
    UsageError
        If there is no box, or no device.
    """
    if boxes < 1 or not specs:
        raise UsageError(f"machine {name}: {boxes} boxes of {len(specs)} devices; give at least one of each")
    count = boxes * len(specs)
    home = np.repeat(np.arange(boxes), len(specs))
    near = home[:, None] == home[None, :]
    own = np.eye(count, dtype=np.bool_)
    source, pair = np.arange(count)[:, None], np.arange(count * count).reshape(count, count)
    inner = source + 0 * pair if link.shared else pair + count
    outer = home[:, None] + count * (count + 1) + 0 * pair if network.shared else pair + count
    return Machine(
        name=name,
        devices=tuple(
            Device(f"{spec.kind}:{place}", spec.kind, spec.memory_bytes)
            for place, spec in enumerate(list(specs) * boxes)
        ),
        bytes_per_ms=np.where(own, np.inf, np.where(near, link.bytes_per_ms, network.bytes_per_ms)),
        latency_ms=np.where(own, 0.0, np.where(near, link.latency_ms, network.latency_ms)),
        link=_numbered(np.where(own, -1, np.where(near, inner, outer))),
    )


def tight(machine: Machine, workload: Workload, slack: float = 0.25) -> Machine:
    """The machine with so little memory that no device holds the whole workload, though all together do.

    Every device gets ``parts + slack * (one - parts)``: ``one`` is what a device needs at its fullest if it runs
    everything under ``concurrent``, ``parts`` what the fullest device needs if the workload is cut, class after class,
    into as many parts as there are devices, of equal need; each with the better of two orders, the longest remaining
    path first and depth first. So that cut fits, and a single device does not in either order.

    Raises
    ------
    UsageError
        If ``slack`` is not in [0, 1), or ``parts`` is not less than ``one``: this workload cannot be made tight.
    """
    if not 0 <= slack < 1:
        raise UsageError(f"slack is {slack}; give at least 0 and less than 1")
    ample = replace(machine, devices=tuple(replace(device, memory_bytes=float("inf")) for device in machine.devices))
    costs = costs_of(workload, ample)
    one, parts = (
        min(
            float(execute(workload, ample, "concurrent", device, priority).peak_bytes.max())
            for priority in (longest_remaining_ms(costs), depth_first(costs))
        )
        for device in (np.zeros(workload.num_ops, dtype=np.int32), parts_of_equal_need(workload, machine.num_devices))
    )
    if parts >= one:
        raise UsageError(
            f"{workload.name} on {machine.name}: parts need {parts:.0f} bytes and one device {one:.0f}; "
            "take fewer devices or a larger workload"
        )
    memory_bytes = parts + slack * (one - parts)
    return replace(machine, devices=tuple(replace(device, memory_bytes=memory_bytes) for device in machine.devices))


def _numbered(link: Int64) -> Int32:
    """The same links, numbered from 0; -1 stays."""
    names, number = np.unique(link, return_inverse=True)
    return (number.reshape(link.shape) - int(names[0] == -1)).astype(np.int32)
