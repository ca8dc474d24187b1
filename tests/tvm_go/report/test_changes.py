"""What differs between two partitions: every kind is told, and groups hold together what shares ops."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tvm_go.report.changes import KINDS, changes, links


def _changes(kernel: list[int], other: list[int], *differs: str) -> tuple[list[str], list[int], list[int]]:
    mine, theirs = np.array(kernel, dtype=np.int32), np.array(other, dtype=np.int32)
    same = np.arange(len(mine), dtype=np.int32)
    pairs = links(same, mine, same, theirs)
    reasons = tuple((kind, np.ones(len(pairs[0]), dtype=np.bool_)) for kind in differs)
    change, group, other_group = changes(pairs, (mine.max() + 1, theirs.max() + 1), reasons)
    return [KINDS[kind] for kind in change], group.tolist(), other_group.tolist()


def test_every_kind_of_change_is_told() -> None:
    assert _changes([0, 0, 1], [0, 0, 1]) == (["same", "same"], [-1, -1], [-1, -1])
    assert _changes([0, 0, 1], [0, 1, 2]) == (["merged", "same"], [0, -1], [0, 0, -1])
    assert _changes([0, 1, 2], [0, 0, 1]) == (["split", "split", "same"], [0, 0, -1], [0, -1])
    assert _changes([0, 0, 1, 1], [0, 1, 1, 2]) == (["regrouped", "regrouped"], [0, 0], [0, 0, 0])
    assert _changes([0, 1], [0, 1], "lowering", "form") == (["lowering", "lowering"], [0, 1], [0, 1])


def test_ops_that_are_in_one_graph_only_are_added_or_removed() -> None:
    identity, kernel = np.array([0, -1, 1], dtype=np.int32), np.array([0, 1, 2], dtype=np.int32)
    other_identity, other_kernel = np.array([0, 1, -1], dtype=np.int32), np.array([0, 1, 2], dtype=np.int32)
    pairs = links(identity, kernel, other_identity, other_kernel)
    change, group, other_group = changes(pairs, (3, 3), ())
    assert [KINDS[kind] for kind in change] == ["same", "added", "same"]
    assert group.tolist() == [-1, 0, -1]
    assert other_group.tolist() == [-1, -1, 1]


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=40))
@settings(max_examples=200, deadline=None)
def test_groups_are_the_connected_parts_that_differ(ops: list[tuple[int, int]]) -> None:
    mine, theirs = (np.unique([pair[i] for pair in ops], return_inverse=True)[1] for i in (0, 1))
    kinds, group, other_group = _changes(mine.tolist(), theirs.tolist())
    for op in range(len(ops)):
        assert group[mine[op]] == other_group[theirs[op]]
    for kernel, kind in enumerate(kinds):
        held = set(theirs[mine == kernel].tolist())
        whole = all(set(mine[theirs == one].tolist()) == {kernel} for one in held)
        expected = ("same" if whole else "split") if len(held) == 1 else ("merged" if whole else "regrouped")
        assert kind == expected
        assert (group[kernel] < 0) == (kind == "same")
