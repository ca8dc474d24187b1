"""One training step of `hdp`: draw groupings and placements, evaluate them all, follow the policy gradient."""

from __future__ import annotations

import numpy as np
import torch

from tvm_go.graph import Int32, Int64
from tvm_go.search.placement._hdp_features import Classes, classes_of, group_embeddings
from tvm_go.search.placement._hdp_networks import Grouper, Placer, initialise
from tvm_go.search.placement.problem import PlacementProblem
from tvm_go.simulate.workload import Floats

_MOST_GROUPS = 256
_GROUPS_PER_DEVICE = 20
_GROUPINGS = 4  # per step
_PLACEMENTS = 4  # of each grouping
_INFEASIBLE_REWARD = -10.0
_AVERAGE_DECAY = 0.9
_LEARNING_RATE = 0.003
_GROUPER_ENTROPY = 1e-3
_PLACER_ENTROPY = 1e-2
_LARGEST_GRADIENT = 1.0
_CHUNK = 1 << 16  # classes that the grouper sees at once: bounds its memory


class Learner:
    """Both networks and what their training keeps from step to step."""

    def __init__(self, problem: PlacementProblem, rng: np.random.Generator) -> None:
        self.problem = problem
        self.classes: Classes = classes_of(problem.workload, problem.machine)
        num_devices = problem.machine.num_devices
        self.num_groups = min(_MOST_GROUPS, _GROUPS_PER_DEVICE * num_devices, self.classes.count)
        self.features = torch.from_numpy(self.classes.features)
        self.generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        num_features = self.features.shape[1]
        with torch.device("meta"):  # a network on a real device would draw from torch's global generator
            self.grouper = Grouper(num_features, self.num_groups)
            self.placer = Placer(num_features + 1 + 2 * self.num_groups, num_devices)
        for network in (self.grouper, self.placer):
            initialise(network.to_empty(device="cpu"), self.generator)
        parameters = [*self.grouper.parameters(), *self.placer.parameters()]
        self.adam = torch.optim.Adam(parameters, lr=_LEARNING_RATE)
        self.baseline, self.variance = float("nan"), float("nan")

    def step(self) -> None:
        """Draw a batch, evaluate what the budget allows of it, and learn from it if that is all."""
        group = self._draw_groups()  # [M, C]
        embedding = torch.from_numpy(group_embeddings(self.classes, group, self.num_groups))
        empty = ~embedding.any(dim=-1).repeat_interleave(_PLACEMENTS, 0)  # [B, G]
        read = self.placer.encode(embedding).repeat_interleave(_PLACEMENTS, 0)
        device = self.placer.sample(read.detach(), empty, self.generator)  # [B, G]
        left = self.problem.budget.evaluations - self.problem.evaluations
        values = self.problem.evaluate(self._place(group, device.numpy())[:left])
        if len(values) < len(device):
            return
        advantage = self._advantage(values)
        self.adam.zero_grad(set_to_none=True)
        self._placer_gradient(read, device, empty, advantage)
        self._grouper_gradient(torch.from_numpy(group), advantage.view(_GROUPINGS, _PLACEMENTS).mean(1))
        for network in (self.grouper, self.placer):
            torch.nn.utils.clip_grad_norm_(network.parameters(), _LARGEST_GRADIENT)
        self.adam.step()

    @torch.no_grad()
    def _draw_groups(self) -> Int64:
        drawn = []
        for features in self.features.split(_CHUNK):
            reached = self.grouper(features).exp().cumsum(dim=1)
            chance = torch.rand(len(features), _GROUPINGS, generator=self.generator) * reached[:, -1:]
            drawn.append(torch.searchsorted(reached, chance, right=True).clamp_(max=self.num_groups - 1))
        return torch.cat(drawn).T.contiguous().numpy()

    def _place(self, group: Int64, device: Int64) -> Int32:
        """Device of each op, int32 [B, N]; a class that cannot run where its group is goes where it is quickest."""
        placed = np.empty((len(device), self.problem.workload.num_ops), dtype=np.int32)
        every = np.arange(self.classes.count)
        for one in range(len(device)):
            wanted = device[one, group[one // _PLACEMENTS]]
            settled = np.where(self.classes.allowed[every, wanted], wanted, self.classes.fallback)
            placed[one] = settled[self.problem.workload.colocation]
        return placed

    def _advantage(self, values: Floats) -> torch.Tensor:
        """By how much each placement's reward is above the moving average, over a moving deviation: float32 [B].

        The deviation keeps the entropy bonus in proportion, whether placements differ by half or by a hundredth. It
        also outlasts batches that are infeasible as a whole, so that these end in exploration, not in noise.
        """
        feasible = np.isfinite(values)
        relative = np.where(feasible, values, 0.0) / (self.classes.work_ms or 1.0)
        reward = np.where(feasible, -np.sqrt(relative), _INFEASIBLE_REWARD)
        if np.isnan(self.baseline):
            self.baseline, self.variance = float(reward.mean()), float(reward.var())
        advantage = reward - self.baseline
        deviation = max(np.sqrt(self.variance), 1e-6)
        self.baseline += (1 - _AVERAGE_DECAY) * float(advantage.mean())
        self.variance += (1 - _AVERAGE_DECAY) * (float((advantage**2).mean()) - self.variance)
        return torch.from_numpy((advantage / deviation).astype(np.float32))

    def _placer_gradient(
        self, read: torch.Tensor, device: torch.Tensor, empty: torch.Tensor, advantage: torch.Tensor
    ) -> None:
        log_chance = self.placer(read, device)  # [B, G, D]
        chosen = log_chance.gather(2, device.masked_fill(empty, 0)[..., None])[..., 0]
        entropy = -(log_chance.exp() * log_chance).sum(dim=-1)
        gain = advantage[:, None] * chosen + _PLACER_ENTROPY * entropy
        (-gain.masked_fill(empty, 0.0).sum() / len(device)).backward()

    def _grouper_gradient(self, group: torch.Tensor, advantage: torch.Tensor) -> None:
        for features, chosen in zip(self.features.split(_CHUNK), group.T.split(_CHUNK), strict=True):
            log_chance = self.grouper(features)  # [C, G]
            entropy = -(log_chance.exp() * log_chance).sum()
            gain = (log_chance.gather(1, chosen) @ advantage).sum() / _GROUPINGS + _GROUPER_ENTROPY * entropy
            (-gain).backward()
