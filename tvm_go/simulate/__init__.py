"""Machine models, and what a placed graph with known costs takes on them."""

from tvm_go.simulate.execution import Execution, execute
from tvm_go.simulate.machine import Device, Machine
from tvm_go.simulate.objectives import EXECUTORS, OBJECTIVES, evaluate
from tvm_go.simulate.workload import Workload

__all__ = ["EXECUTORS", "OBJECTIVES", "Device", "Execution", "Machine", "Workload", "evaluate", "execute"]
