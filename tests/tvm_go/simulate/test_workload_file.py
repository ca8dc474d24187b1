"""The JSON of workloads: what is written is read, and what is wrong is said in one line."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tvm_go.errors import UnsupportedModelError, UsageError
from tvm_go.simulate.families import generate
from tvm_go.simulate.machines import P100, XEON
from tvm_go.simulate.workload import Workload
from tvm_go.simulate.workload_file import FORMAT, read, write

GOOD: dict[str, Any] = {
    "format": FORMAT,
    "name": "two",
    "ids": ["a", 7],
    "ms": {"cpu": [1.0, 2.0], "gpu": [0.5, None]},
    "output_bytes": [8, 0],
    "colocation": [None, 3],
    "edges": {"from": ["a"], "to": [7]},
}


def same(one: Workload, other: Workload) -> bool:
    return all(np.array_equal(getattr(one, field.name), getattr(other, field.name)) for field in fields(one))


@given(seed=st.integers(0, 10**6), num_ops=st.integers(1, 30))
@settings(max_examples=40, deadline=None)
def test_what_is_written_is_read(seed: int, num_ops: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    rng = np.random.default_rng(seed)
    edges = np.sort(rng.integers(0, num_ops, size=(2 * num_ops, 2)), axis=1)
    ms = rng.random((num_ops, 2))
    ms[rng.random(num_ops) < 0.3, 1] = np.inf
    workload = Workload.of(
        "random",
        ("cpu", "gpu"),
        ms,
        edges[edges[:, 0] < edges[:, 1]],
        output_bytes=rng.random(num_ops) * 1e9,
        resident_bytes=rng.random(num_ops),
        colocation=rng.integers(-1, 3, size=num_ops),
        op_ids=tuple(f"op {i}" if i % 2 else i for i in range(num_ops)),
    )
    path = tmp_path_factory.getbasetemp() / "random.json"
    write(path, workload)
    assert same(read(path), workload)


def test_a_generated_workload_is_read_as_it_was(tmp_path: Path) -> None:
    workload = generate("gnmt", 2000, np.random.default_rng(0), training=True).workload([XEON, P100])
    write(tmp_path / "w.json", workload)
    assert same(read(tmp_path / "w.json"), workload)


def test_what_may_be_left_out_has_a_default(tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    path.write_text(json.dumps({key: value for key, value in GOOD.items() if key != "colocation"}))
    workload = read(path)
    assert workload.colocation.tolist() == [0, 1] and not workload.resident_bytes.any()
    assert workload.op_ms.tolist() == [[1.0, 0.5], [2.0, np.inf]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "its 'format' must be 'tvm-go workload 1'"),
        ({"ids": ["a", "a"]}, "id 'a' is there twice"),
        ({"ids": ["a", [1]]}, r"id \[1\] is there twice or is no text"),
        ({"ids": None}, "'ids' is missing"),
        ({"ms": {}}, "'ms' is missing"),
        ({"ms": {"cpu": [1.0]}}, "'cpu' has 1 entries for 2 ops"),
        ({"ms": {"cpu": [1.0, -2.0]}}, "'cpu' of op 7 is -2.0"),
        ({"ms": {"cpu": [1.0, "x"]}}, "'cpu' of op 7 is 'x'"),
        ({"ms": {"cpu": [float("nan"), 1.0]}}, "'cpu' of op a is nan"),
        ({"output_bytes": [None, 1]}, "'output_bytes' of op a is None"),
        ({"resident_bytes": [1, float("inf")]}, "'resident_bytes' of op 7 is inf"),
        ({"edges": {"from": ["a"], "to": [8]}}, "an edge names 8"),
        ({"edges": {"from": ["a", 7], "to": [7]}}, "edges have 2 producers and 1 readers"),
        ({"edges": {"from": ["a", 7], "to": [7, "a"]}}, "the graph has a cycle"),
        ({"edges": None}, "'edges' is missing"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    path.write_text(json.dumps(GOOD | change))
    with pytest.raises(UnsupportedModelError, match=message) as error:
        read(path)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_or_not_json(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*none\.json: No such file"):
        read(tmp_path / "none.json")
    (tmp_path / "w.json").write_text("{")
    with pytest.raises(UnsupportedModelError, match="is not JSON"):
        read(tmp_path / "w.json")
    with pytest.raises(UsageError, match="cannot write"):
        write(tmp_path / "no" / "w.json", generate("gpt", 100, np.random.default_rng(0)).workload([P100]))
