"""What a policy is made of: its tasks, its widths, and what is left out of it for ablations."""

from __future__ import annotations

from dataclasses import dataclass

from tvm_go.errors import UsageError
from tvm_go.policy.edge_choices import KERNEL_GRAPH_FEATURES, KERNEL_OP_FEATURES, UNIT_FEATURES
from tvm_go.policy.inputs import (
    GRAPH_FEATURES,
    OP_FEATURES,
    PLAN_GRAPH_FEATURES,
    PLAN_OP_FEATURES,
    PLAN_UNIT_FEATURES,
)


@dataclass(frozen=True)
class PolicyConfig:
    """Sizes and parts of the network; a checkpoint carries it.

    Attributes
    ----------
    tasks : tuple of str
        In the order in which they decide; see `tvm_go.policy.tasks.TASKS`.
    width : int
        Numbers that describe an op inside the network.
    graph_layers : int
        GraphSAGE layers; each looks one edge further, in both directions. 0 leaves the graph out (an ablation).
    heads : int
        Of attention; they share the width.
    segment : int
        Ops that attend to one another, and to the segment before theirs.
    rounds : int
        How often all tasks decide; each round knows the decisions of the round before.
    levels : int
        Priorities that the task ``schedule`` may give.
    attention, modulation, task_recurrence : bool
        Ablations: without attention, without gates by the graph's embedding, or without a task knowing the decisions
        of the tasks before it.
    plans : bool
        Whether it improves whole plans, whatever its tasks; it sees them as `tvm_go.policy.plan_graph` shows them.
    """

    tasks: tuple[str, ...] = ("placement",)
    width: int = 64
    graph_layers: int = 3
    heads: int = 4
    segment: int = 256
    rounds: int = 2
    levels: int = 8
    attention: bool = True
    modulation: bool = True
    task_recurrence: bool = True
    plans: bool = False

    def __post_init__(self) -> None:
        if not self.tasks or len(set(self.tasks)) < len(self.tasks):
            raise UsageError(f"tasks are {self.tasks}; name at least one, and none twice")
        for name, least in (("width", 1), ("graph_layers", 0), ("heads", 1), ("segment", 1), ("rounds", 1)):
            if getattr(self, name) < least:
                raise UsageError(f"{name} is {getattr(self, name)}; give at least {least}")
        if self.width % self.heads:
            raise UsageError(f"width {self.width} does not divide into {self.heads} heads; give a multiple")
        if self.plans and self.rounds < 2:
            raise UsageError("a policy that improves plans reads decisions back; give at least 2 rounds")
        if self.levels < 2:
            raise UsageError(f"levels is {self.levels}; a choice needs at least 2")

    @property
    def op_features(self) -> int:
        """Features of an op: a policy that fuses sees other graphs, see `tvm_go.policy.kernel_graph`."""
        if self.plans:
            return PLAN_OP_FEATURES
        return KERNEL_OP_FEATURES if "fusion" in self.tasks else OP_FEATURES

    @property
    def graph_features(self) -> int:
        """Features of a whole graph."""
        if self.plans:
            return PLAN_GRAPH_FEATURES
        return KERNEL_GRAPH_FEATURES if "fusion" in self.tasks else GRAPH_FEATURES

    @property
    def unit_features(self) -> int:
        """Features of what the task ``fusion`` decides."""
        return PLAN_UNIT_FEATURES if self.plans else UNIT_FEATURES
