"""The tasks that a policy can have, in the order in which they decide."""

from tvm_go.policy.tasks.fusion import Fusion
from tvm_go.policy.tasks.placement import Placement
from tvm_go.policy.tasks.schedule import Schedule
from tvm_go.policy.tasks.task import Task
from tvm_go.policy.tasks.variant import Variant

TASKS: dict[str, type[Task]] = {"variant": Variant, "placement": Placement, "fusion": Fusion, "schedule": Schedule}

__all__ = ["TASKS", "Fusion", "Placement", "Schedule", "Task", "Variant"]
