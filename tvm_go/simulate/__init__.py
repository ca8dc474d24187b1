"""Machine models, and what a placed graph with known costs takes on them."""

from tvm_go.simulate.machine import Device, Machine
from tvm_go.simulate.workload import Workload

__all__ = ["Device", "Machine", "Workload"]
