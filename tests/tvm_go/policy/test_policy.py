"""What holds of every policy's decisions, whatever its weights."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tvm_go.policy.drawn import SMALL, generator, machine_of, policy_of, random_input, random_workload
from tvm_go.errors import UsageError
from tvm_go.policy import GraphInput, Policy, PolicyConfig, chunks, encoder, graph_input
from tvm_go.simulate.costs import costs_of
from tvm_go.simulate.objectives import default_priority, evaluate


@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(0, 4))
@settings(max_examples=25, deadline=None)
def test_one_policy_places_any_graph_on_any_number_of_devices_and_keeps_the_rules(
    seed: int, num_ops: int, gpus: int
) -> None:
    workload, machine = random_workload(np.random.default_rng(seed), num_ops), machine_of(gpus, float("inf"))
    if not gpus:  # a CPU runs everything
        assert not policy_of().act(graph_input(workload, machine), 3, generator(seed)).device.any()
    graph = graph_input(workload, machine)
    actions = policy_of().act(graph, 3, generator(seed))
    priorities = actions.priorities(default_priority(costs_of(workload, machine), "concurrent"))
    assert np.isfinite(evaluate(workload, machine, "concurrent", actions.devices(graph), priorities)).all()


@pytest.mark.parametrize("greedy", [False, True])
def test_act_and_score_agree_on_log_probabilities(greedy: bool) -> None:
    policy, graph = policy_of(), random_input(1)
    actions = policy.act(graph, 4, generator(), greedy=greedy)
    score = policy.score(graph, actions)
    assert torch.allclose(score.log_prob, actions.log_prob, atol=1e-4)
    assert torch.allclose(score.log_prob_per_class, actions.log_prob_per_class, atol=1e-4)
    assert torch.allclose(score.log_prob_per_class.sum(dim=-1), score.log_prob, atol=1e-4)
    assert score.log_prob.shape == score.entropy.shape == score.value.shape == (4,)


def test_probabilities_of_all_placements_of_a_tiny_graph_sum_up_to_one() -> None:
    policy = policy_of(tasks=("placement",), rounds=1)
    graph = graph_input(random_workload(np.random.default_rng(2), 4), machine_of(2))
    actions = policy.act(graph, 1, generator())
    every = torch.cartesian_prod(*[torch.arange(3)] * graph.num_classes).reshape(-1, graph.num_classes)
    allowed = every[torch.from_numpy(graph.supported[np.arange(graph.num_classes), every.numpy()].all(axis=1))]
    score = policy.score(graph, replace(actions, drawn={"placement": allowed[:, None]}))
    assert score.log_prob.exp().sum().item() == pytest.approx(1, abs=1e-4)
    entropy = -(score.log_prob.exp() * score.log_prob).sum().item()
    choices = int((graph.supported.sum(axis=1) > 1).sum())
    assert score.entropy[0].item() == pytest.approx(entropy / choices, abs=1e-4)


def test_one_seed_one_sample() -> None:
    graph = random_input(3)
    draws = [policy_of().act(graph, 4, generator(seed)).drawn for seed in (0, 0, 1)]
    for task in SMALL.tasks:
        assert torch.equal(draws[0][task], draws[1][task])
        assert not torch.equal(draws[0][task], draws[2][task])
    one, again, other = (next(Policy(SMALL, seed).parameters()) for seed in (5, 5, 6))
    assert torch.equal(one, again) and not torch.equal(one, other)


def test_making_a_policy_leaves_the_random_numbers_of_torch_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    policy_of()
    assert torch.equal(torch.rand(3), expected)


def test_samples_are_drawn_as_often_as_the_policy_says() -> None:
    policy, graph = policy_of(tasks=("placement",), rounds=1), random_input(4, num_ops=6)
    actions = policy.act(graph, 4000, generator())
    often = torch.stack([(actions.device == device).float().mean(dim=0) for device in range(3)], dim=-1)
    plans = actions.rows(torch.arange(3))
    every = torch.arange(3)[:, None, None].expand(3, 1, graph.num_classes)  # one device each
    said = policy.score(graph, replace(plans, drawn={"placement": every})).log_prob_per_class.exp().T
    assert torch.allclose(often, said, atol=0.04)


@pytest.mark.parametrize(
    "graphs",
    [
        [random_input(0), random_input(1, num_ops=33, gpus=4), random_input(2, num_ops=1, gpus=0)],
        [random_input(3, num_ops=5), random_input(4, num_ops=6)],
    ],
)
def test_graphs_together_decide_as_each_alone(graphs: list[GraphInput]) -> None:
    policy = policy_of()
    together = policy.act_on(graphs, 2, generator(), greedy=True)
    scores = policy.score_on(graphs, together)
    for graph, actions, score in zip(graphs, together, scores, strict=True):
        alone = policy.act(graph, 2, generator(), greedy=True)
        for task in SMALL.tasks:
            assert torch.equal(actions.drawn[task], alone.drawn[task])
        for one, other in zip(score, policy.score(graph, actions), strict=True):
            assert torch.allclose(one, other, atol=1e-4)


def test_names_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    workload = random_workload(rng)
    policy = policy_of()
    named = replace(workload, op_ids=tuple(f"op {i}" for i in range(workload.num_ops)), name="other")
    one, other = (policy.act(graph_input(w, machine_of(2)), 1, generator()) for w in (workload, named))
    assert torch.equal(one.device, other.device) and torch.equal(one.log_prob, other.log_prob)


@pytest.mark.parametrize("tasks", [("placement",), ("schedule",), ("placement", "schedule")])
@pytest.mark.parametrize("rounds", [1, 2])
def test_gradients_reach_every_parameter(tasks: tuple[str, ...], rounds: int) -> None:
    policy = policy_of(tasks=tasks, rounds=rounds)
    graphs = [random_input(7, num_ops=30), random_input(8, num_ops=12, gpus=3)]
    for score in policy.score_on(graphs, policy.act_on(graphs, 3, generator())):
        (score.log_prob.sum() + score.entropy.sum() + score.value.sum()).backward(retain_graph=True)
    unused = {name for name, weight in policy.named_parameters() if weight.grad is None or not weight.grad.any()}
    assert "encoder.op_type.weight" in unused, "workloads have no types: all ops are in bucket 0, which stays zero"
    of_earlier = {name for name in unused if name.startswith("tasks.placement.earlier.")}
    assert bool(of_earlier) == (rounds == 1 and "placement" in tasks), "in the first round nothing came earlier"
    assert unused == {"encoder.op_type.weight", *of_earlier}


def test_gradients_pass_no_value_that_is_not_finite() -> None:
    policy, graph = policy_of(), random_input(9, num_ops=30)
    score = policy.score(graph, policy.act(graph, 3, generator()))
    (score.log_prob.sum() + score.entropy.sum() + score.value.sum()).backward()
    assert all(torch.isfinite(weight.grad).all() for weight in policy.parameters() if weight.grad is not None)


@pytest.mark.parametrize(
    "change", [{"attention": False}, {"modulation": False}, {"graph_layers": 0}, {"task_recurrence": False}]
)
def test_every_ablation_takes_something_away(change: dict[str, object]) -> None:
    whole, less = policy_of(), policy_of(**change)
    less.load_state_dict(whole.state_dict(), strict=False)
    graph = random_input(10, num_ops=30)
    actions = whole.act(graph, 2, generator())
    assert not torch.allclose(whole.score(graph, actions).log_prob, less.score(graph, actions).log_prob)
    fewer = sum(weight.numel() for weight in less.parameters()) < sum(weight.numel() for weight in whole.parameters())
    assert fewer or "task_recurrence" in change


def changed(drawn: dict[str, torch.Tensor], task: str, turn: int) -> dict[str, torch.Tensor]:
    """Other decisions of a task in one round; all graphs here have devices 1 and 2."""
    again = drawn[task].clone()
    again[:, turn] = (again[:, turn] + 1) % 3
    return {**drawn, task: again}


@pytest.mark.parametrize("recurrence", [True, False])
def test_later_tasks_know_the_decisions_of_earlier_ones_unless_told_not_to(recurrence: bool) -> None:
    policy = policy_of(rounds=1, task_recurrence=recurrence)
    graph = graph_input(random_workload(np.random.default_rng(0)), machine_of(3))
    free = replace(graph, supported=np.ones_like(graph.supported))
    actions = policy.act(free, 1, generator())
    other = replace(actions, drawn=changed(dict(actions.drawn), "placement", 0))
    difference = policy.score(free, actions).entropy - policy.score(free, other).entropy
    assert bool(difference.abs() > 1e-7) == recurrence


@pytest.mark.parametrize("task", SMALL.tasks)
def test_a_round_knows_the_decisions_of_the_round_before(task: str) -> None:
    policy = policy_of(tasks=(task,))
    graph = random_input(12)
    free = replace(graph, supported=np.ones_like(graph.supported))
    actions = policy.act(free, 1, generator())
    first, last = (replace(actions, drawn=changed(dict(actions.drawn), task, turn)) for turn in (0, 1))
    entropy = policy.score(free, actions).entropy
    assert not torch.equal(policy.score(free, first).entropy, entropy)
    assert torch.equal(policy.score(free, last).entropy, entropy)


def test_large_graphs_worked_through_in_parts_give_the_same_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = policy_of()
    graphs = [random_input(15, num_ops=30), random_input(16, num_ops=9, gpus=3)]
    actions = policy.act_on(graphs, 2, generator())
    found = []
    for floats, large in ((1 << 30, 1 << 30), (1, 1)):
        monkeypatch.setattr(chunks, "_FLOATS_AT_ONCE", floats)
        monkeypatch.setattr(encoder, "_LARGE", large)
        policy.zero_grad()
        scores = policy.score_on(graphs, actions)
        torch.stack([score.log_prob.mean() + score.value.mean() for score in scores]).sum().backward()
        found.append([score.log_prob for score in scores] + [weight.grad for weight in policy.parameters()])
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-4)


def test_what_is_not_installed_is_named_with_the_way_to_get_it() -> None:
    code = "import sys; sys.modules['dgl'] = None; import tvm_go.policy"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = run.stderr.strip().splitlines()[-1]
    assert last.endswith("UsageError: the policy needs dgl: pip install 'tvm-go[policy]'")


def test_plans_to_imitate_become_likely_by_following_their_gradient() -> None:
    policy, graph = policy_of(), random_input(13)
    first = np.unique(graph.colocation, return_index=True)[1]
    nearest = np.where(graph.supported, np.abs(graph.pair_features[first, :, 3]), np.inf).argmin(axis=1)
    plan = {
        "placement": torch.from_numpy(nearest),
        "schedule": torch.from_numpy((graph.op_features[:, 7] * 8).astype(np.int64)),  # by level
    }
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-2)
    losses = []
    for step in range(60):
        (score,) = policy.score_plans([graph], [plan], generator(step))
        loss = -score.log_prob.mean() / graph.num_classes
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < losses[0] / 2
    likeliest = policy.act(graph, 1, generator(), greedy=True)
    assert (likeliest.device[0] == plan["placement"]).float().mean() > 0.9


def test_levels_go_before_the_default_priority() -> None:
    policy, graph = policy_of(), random_input(14)
    actions = policy.act(graph, 2, generator())
    default = np.random.default_rng(0).permutation(graph.num_ops).astype(np.float64)
    priorities = actions.priorities(default)
    assert priorities is not None and actions.level is not None
    for level, priority in zip(actions.level.numpy(), priorities, strict=True):
        assert np.array_equal(np.argsort(priority), np.lexsort((default, level)))
    alone = policy_of(tasks=("placement",)).act(graph, 2, generator())
    assert alone.level is None and alone.priorities(default) is None


def test_wrong_configurations_are_named() -> None:
    with pytest.raises(UsageError, match="unknown task 'tiling'; choose from variant, placement, fusion, schedule"):
        Policy(PolicyConfig(tasks=("tiling",)))
    cases: list[tuple[dict[str, Any], str]] = [
        ({"tasks": ()}, "at least one"),
        ({"tasks": ("placement", "placement")}, "none twice"),
        ({"rounds": 0}, "rounds is 0"),
        ({"width": 10, "heads": 4}, "width 10 does not divide into 4 heads"),
        ({"levels": 1}, "levels is 1"),
    ]
    for wrong, message in cases:
        with pytest.raises(UsageError, match=message):
            replace(SMALL, **wrong)
    with pytest.raises(UsageError, match="0 samples"):
        policy_of().act(random_input(0), 0, generator())
