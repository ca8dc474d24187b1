"""Moves of whole plans: what they change, and how much a policy prefers them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tvm_go.simulate.planned import planned_graph, random_plan
from tvm_go.errors import UsageError
from tvm_go.policy import Checkpoint, Policy, PolicyConfig, load_policy, save_policy
from tvm_go.policy.plan_acting import Scene, draw_plan_moves, draw_random_moves, plan_move_scores
from tvm_go.policy.plan_graph import PlanFrame, plan_input
from tvm_go.policy.plan_moves import PlanDraft, Runs, run_scores
from tvm_go.simulate.forms import forms_of

TASKS = ("variant", "placement", "fusion", "schedule")
LEVELS = 4
SMALL = PolicyConfig(tasks=TASKS, width=16, graph_layers=1, heads=2, rounds=2, levels=LEVELS, plans=True)


def scene_of(seed: int, num_ops: int = 30) -> tuple[PlanFrame, Scene]:
    frame = PlanFrame.of(planned_graph(seed, num_ops))
    plan = random_plan(frame.planned, np.random.default_rng(seed), LEVELS)
    return frame, Scene(plan_input(frame, plan, LEVELS), PlanDraft.of(frame, plan, LEVELS))


def subset_policy(tasks: tuple[str, ...]) -> Policy:
    return Policy(PolicyConfig(tasks, 16, 1, 2, rounds=2, levels=LEVELS, plans=True))


@given(seed=st.integers(0, 10**6), num_ops=st.integers(2, 40))
@settings(max_examples=40, deadline=None)
def test_a_random_move_changes_something_and_takes_whole_kernels(seed: int, num_ops: int) -> None:
    frame, (_, draft) = scene_of(seed, num_ops)
    kernel = random_plan(frame.planned, np.random.default_rng(seed), LEVELS).kernel
    moves = draw_random_moves(draft, ("placement", "schedule"), 16, np.random.default_rng(seed))
    somewhere = np.zeros(16, dtype=np.bool_)
    for task in ("placement", "schedule"):
        changed = moves.decisions(draft, task) != draft.decisions[task]
        somewhere |= changed.any(axis=1)
        decided = moves.decisions(draft, task)
        for row in np.flatnonzero(moves.runs[task].changes):
            inside = decided[row] == moves.runs[task].action[row]
            assert not (changed[row] & ~inside).any()
            for one in np.unique(kernel[changed[row]]):
                assert inside[kernel == one].all()
    assert somewhere.all()


@given(seed=st.integers(0, 10**6), num_ops=st.integers(2, 40))
@settings(max_examples=40, deadline=None)
def test_a_move_to_another_form_gives_it_to_the_ops_of_a_run_that_have_it_and_to_no_others(
    seed: int, num_ops: int
) -> None:
    frame, (_, draft) = scene_of(seed, num_ops)
    plan = random_plan(frame.planned, np.random.default_rng(seed), LEVELS)
    moves = draw_random_moves(draft, ("variant",), 16, np.random.default_rng(seed))
    runs, has = moves.runs["variant"], forms_of(frame.planned.graph)
    assert runs.changes.all() == (len(frame.forms) > 0)
    for row in range(16 if len(frame.forms) else 0):
        run = draft.sequences["variant"][runs.sequence[row], runs.begin[row] : runs.end[row]]
        taking = frame.forms[run][has[frame.forms[run], runs.action[row]]]
        expected = plan.form.copy()
        expected[taking] = runs.action[row]
        after = moves.plan(frame, draft, row)
        assert np.array_equal(after.form, expected) and not np.array_equal(after.form, plan.form)
        assert np.array_equal(after.device, plan.device) and np.array_equal(after.level, plan.level)


@pytest.mark.parametrize("task", TASKS)
def test_moves_in_one_task_leave_the_decisions_of_others(task: str) -> None:
    _, (_, draft) = scene_of(5)
    moves = draw_random_moves(draft, (task,), 32, np.random.default_rng(0))
    assert set(moves.runs) == {task}
    assert (moves.decisions(draft, task) != draft.decisions[task]).any(axis=1).all()
    for other in set(TASKS) - {task}:
        assert np.array_equal(moves.decisions(draft, other), draft.decisions[other][None])


def test_about_half_of_the_moves_change_each_task_often_near_one_another() -> None:
    _, (_, draft) = scene_of(5, 60)
    moves = draw_random_moves(draft, ("placement", "fusion", "schedule"), 400, np.random.default_rng(0))
    assert all(0.4 < runs.changes.mean() < 0.7 for runs in moves.runs.values())
    placed, ordered = moves.runs["placement"], moves.runs["schedule"]
    both = placed.changes & ordered.changes
    same = (placed.begin == ordered.begin) & (placed.end == ordered.end) & (placed.sequence == ordered.sequence)
    assert same[both].mean() > 0.3


def test_a_run_is_preferred_by_the_mean_over_what_it_changes() -> None:
    _, (_, draft) = scene_of(7)
    rng = np.random.default_rng(0)
    for task in TASKS:
        moves = draw_random_moves(draft, (task,), 12, rng)
        shape = (12, len(draft.decisions[task]), draft.actions[task].shape[1])
        log_prob = torch.from_numpy(rng.standard_normal(shape)).float()
        runs = moves.runs[task]
        each = Runs(*(part[:, None] for part in (runs.sequence, runs.begin, runs.end, runs.action)))
        scores = run_scores(log_prob, draft, task, each)[:, 0]
        after = moves.decisions(draft, task)
        for row in range(12):
            units = np.flatnonzero(after[row] != draft.decisions[task])
            gains = log_prob[row, units, after[row, units]] - log_prob[row, units, draft.decisions[task][units]]
            assert float(scores[row]) == pytest.approx(float(gains.mean()), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize(
    "tasks", [*((task,) for task in TASKS), ("placement", "schedule"), ("variant", "fusion"), TASKS]
)
def test_a_policy_of_any_tasks_draws_moves_in_them_and_scores_several_drafts_at_once(tasks: tuple[str, ...]) -> None:
    policy = subset_policy(tasks)
    scenes = [scene_of(seed)[1] for seed in (1, 2)]
    moves = [draw_plan_moves(policy, scene, 8, np.random.default_rng(0)) for scene in scenes]
    assert all(set(one.runs) == set(tasks) for one in moves)
    together = plan_move_scores(policy, scenes, moves)
    apart = [plan_move_scores(policy, [scene], [one])[0] for scene, one in zip(scenes, moves, strict=True)]
    assert torch.allclose(together, torch.stack(apart), atol=1e-4)
    together.sum().backward()
    assert all(torch.isfinite(one.grad).all() for one in policy.parameters() if one.grad is not None)


def test_later_tasks_are_told_what_earlier_ones_do_in_the_same_move() -> None:
    _, scene = scene_of(1)
    policy = Policy(SMALL)
    seen: dict[str, torch.Tensor] = {}

    def probabilities(device: torch.Tensor) -> torch.Tensor:
        def decide(task: str, log_prob: torch.Tensor) -> torch.Tensor:
            seen[task] = log_prob
            return device[None] if task == "placement" else torch.from_numpy(scene.draft.decisions[task])[None]

        plan = {task: torch.from_numpy(scene.draft.decisions[task]) for task in TASKS}
        policy.decide_again([scene.graph], [plan], decide)
        return seen["schedule"]

    device = torch.from_numpy(scene.draft.decisions["placement"])
    assert not torch.allclose(probabilities(device), probabilities((device + 1) % 3))


def test_what_the_policy_sees_is_finite_and_tells_plans_apart() -> None:
    frame, scene = scene_of(3)
    other = plan_input(frame, random_plan(frame.planned, np.random.default_rng(99), LEVELS), LEVELS)
    choices, others = scene.graph.choices, other.choices
    assert choices is not None and others is not None
    forms, other_forms = scene.graph.forms, other.forms
    assert forms is not None and other_forms is not None
    for array in (scene.graph.op_features, scene.graph.pair_features, choices.unit_features, forms.features):
        assert np.isfinite(array).all()
    assert not np.allclose(forms.features, other_forms.features)
    assert not np.allclose(scene.graph.op_features, other.op_features)
    assert not np.allclose(choices.unit_features, others.unit_features)
    assert np.array_equal(choices.unit_features[:, 1] > 0, scene.draft.decisions["fusion"] == 1)


def test_a_policy_from_a_checkpoint_draws_the_same_moves(tmp_path: Path) -> None:
    policy, (_, scene) = Policy(SMALL, 3), scene_of(1)
    save_policy(Checkpoint(policy), tmp_path / "policy.pt")
    loaded = load_policy(tmp_path / "policy.pt").policy
    one, other = (draw_plan_moves(each, scene, 8, np.random.default_rng(0)) for each in (policy, loaded))
    assert all(np.array_equal(one.decisions(scene.draft, task), other.decisions(scene.draft, task)) for task in TASKS)


def test_a_policy_that_was_not_made_for_plans_says_how_to_describe_its_graphs() -> None:
    policy = Policy(PolicyConfig(tasks=("placement",), width=16, heads=2, rounds=2))
    with pytest.raises(UsageError, match="by `plan_input` for a policy that improves plans"):
        draw_plan_moves(policy, scene_of(1)[1], 4, np.random.default_rng(0))


def test_improving_plans_takes_two_rounds() -> None:
    with pytest.raises(UsageError, match="2 rounds"):
        PolicyConfig(rounds=1, plans=True)
