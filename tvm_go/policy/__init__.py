"""The GO policy: one network that decides for all ops of a graph at once, and carries over to graphs it never saw.

Zhou et al., "Transferable Graph Optimizers for ML Compilers" (NeurIPS 2020).
"""

from tvm_go.errors import UsageError

try:
    from tvm_go.policy.actions import Actions, Score
    from tvm_go.policy.checkpoint import Checkpoint, load_policy, save_policy
    from tvm_go.policy.config import PolicyConfig
    from tvm_go.policy.draft import Draft
    from tvm_go.policy.features import graph_input
    from tvm_go.policy.inputs import GraphInput
    from tvm_go.policy.policy import Policy
    from tvm_go.policy.tasks import TASKS
except ModuleNotFoundError as error:
    if error.name not in ("torch", "dgl"):
        raise
    raise UsageError(f"the policy needs {error.name}: pip install 'tvm-go[policy]'") from None

__all__ = [
    "TASKS",
    "Actions",
    "Checkpoint",
    "Draft",
    "GraphInput",
    "Policy",
    "PolicyConfig",
    "Score",
    "graph_input",
    "load_policy",
    "save_policy",
]
