"""Moves of drafts: what they change, how they are scored, and that a policy keeps the rules with them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tvm_go.policy.drawn import generator, machine_of, policy_of, random_workload
from tvm_go.errors import UsageError
from tvm_go.policy import Draft, GraphInput, graph_input
from tvm_go.policy.moves import class_sequences, draft_of, move_scores, moved, random_moves
from tvm_go.search.placement.drafts import drafts
from tvm_go.simulate.objectives import OBJECTIVES, evaluate

PLACEMENT = ("placement",)


def drafted(seed: int, *, num_ops: int = 20, gpus: int = 2, objective: str = "concurrent") -> GraphInput:
    workload, machine = random_workload(np.random.default_rng(seed), num_ops), machine_of(gpus, float("inf"))
    found = drafts(workload, machine, objective, np.random.default_rng(0))
    return graph_input(workload, machine, objective, Draft(found[0].best, found[0].best_priority))


@given(st.integers(0, 10**6), st.integers(1, 30))
@settings(max_examples=25, deadline=None)
def test_a_move_puts_one_run_of_classes_on_its_device_and_nothing_else(seed: int, num_ops: int) -> None:
    workload = random_workload(np.random.default_rng(seed), num_ops)
    draft = torch.randint(3, (workload.num_classes,), generator=generator(seed))
    sequences = torch.from_numpy(class_sequences(workload))
    assert (sequences.sort(dim=1).values == torch.arange(workload.num_classes)).all()
    moves = random_moves(workload.num_classes, 3, 50, generator(seed))
    for i, row in enumerate(moved(draft, sequences, moves)):
        run = sequences[moves.sequence[i], moves.begin[i] : moves.end[i]]
        expected = draft.clone()
        expected[run] = moves.device[i]
        assert len(run)
        assert torch.equal(row, expected)


@given(st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_scores_are_means_over_runs_and_moves_without_change_are_impossible(seed: int) -> None:
    graph = drafted(seed)
    draft, sequences = draft_of(graph)
    log_prob = torch.randn(graph.num_classes, graph.num_devices, generator=generator(seed)).log_softmax(dim=1)
    moves = random_moves(graph.num_classes, graph.num_devices, 50, generator(seed))
    scores, rows = move_scores(log_prob, draft, sequences, moves), moved(draft, sequences, moves)
    for i in range(len(moves)):
        run = sequences[moves.sequence[i], moves.begin[i] : moves.end[i]]
        if torch.equal(rows[i], draft):
            assert scores[i] < -1e8
        else:
            gain = log_prob[run, moves.device[i]] - log_prob[run, draft[run]]
            assert scores[i].item() == pytest.approx(gain.mean().item(), abs=1e-4)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_placements_after_moves_keep_the_rules_under_every_objective(objective: str) -> None:
    for seed in range(5):
        workload, machine = random_workload(np.random.default_rng(seed)), machine_of(2, float("inf"))
        graph = drafted(seed, objective=objective)
        assert np.isfinite(graph.op_features).all()
        assert np.isfinite(graph.pair_features).all()
        devices = policy_of(tasks=PLACEMENT).act(graph, 8, generator(seed)).devices(graph)
        assert np.isfinite(evaluate(workload, machine, objective, devices)).all() or objective == "latency"


def test_act_and_score_agree_alone_and_together() -> None:
    policy, graphs = policy_of(tasks=PLACEMENT), [drafted(1), drafted(2, num_ops=11, gpus=4)]
    actions = policy.act_on(graphs, 5, generator())
    for alone, together, said in zip(graphs, policy.score_on(graphs, actions), actions, strict=True):
        assert torch.allclose(together.log_prob, said.log_prob, atol=1e-4)
        assert torch.allclose(policy.score(alone, said).log_prob, said.log_prob, atol=1e-4)
        assert together.log_prob_per_class.shape == (5, 1)
        assert together.entropy.shape == together.value.shape == (5,)
    rows = actions[0].rows(torch.tensor([3, 1]))
    assert torch.allclose(policy.score(graphs[0], rows).log_prob, actions[0].log_prob[[3, 1]], atol=1e-4)


def test_gradients_reach_every_parameter() -> None:
    policy, graph = policy_of(tasks=PLACEMENT, rounds=1), drafted(7, num_ops=30)
    score = policy.score(graph, policy.act(graph, 3, generator()))
    (score.log_prob.sum() + score.entropy.sum() + score.value.sum()).backward()
    unused = [name for name, weight in policy.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert unused == ["encoder.op_type.weight"]  # workloads have no types: all ops are in bucket 0, which stays zero


def test_greedy_takes_the_likeliest_moves() -> None:
    policy, graph = policy_of(tasks=PLACEMENT), drafted(3)
    best = policy.act(graph, 4, generator(), greedy=True).log_prob
    assert torch.equal(best, best.sort(descending=True).values)
    assert best[0] >= policy.act(graph, 50, generator()).log_prob.max()


def test_whole_plans_are_no_moves() -> None:
    policy, graph = policy_of(tasks=PLACEMENT), drafted(1)
    workload = random_workload(np.random.default_rng(1))
    plan = policy.act(graph_input(workload, machine_of(2, float("inf"))), 2, generator())
    with pytest.raises(UsageError, match="draw them with the same draft"):
        policy.score(graph, plan)


def test_a_draft_says_what_is_critical_and_when_ops_could_start_elsewhere() -> None:
    from tests.tvm_go.learn.cases import chains, gpus

    workload, machine = chains(count=2, length=3, transfer_ms=1.0), gpus(2)
    graph = graph_input(workload, machine, "concurrent", Draft(np.zeros(6, dtype=np.int32), np.empty(0)))
    has_draft, start, slack, critical = graph.op_features[:, -4:].T
    assert has_draft.all()
    assert critical.all() == (slack == 0).all()
    assert np.array_equal(np.sort(start), (np.arange(6) / 6).astype(np.float32))
    assert (graph.pair_features[:, 1, -1] == 1).all(), "the second device is idle"
    firsts = [0, 3]  # need nothing, so they could start at once on the other device
    assert graph.pair_features[firsts, 1, -2].max() == 0
    assert graph.pair_features[firsts, 1, -2].min() < 0
