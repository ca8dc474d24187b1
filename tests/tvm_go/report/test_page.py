"""The page says what the plan says, in one file that asks nothing of a network."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import relay

from benchmarks.viewer import placed
from relay_passes.prepare import prepare_base
from relay_passes.targets import as_target
from relay_passes.variants import options
from tests.models import write_small_onnx
from tests.tvm_go.report.plans import plan_of, rows_in, scene_in
from tests.tvm_go.tvmc.command import ENVIRONMENT
from tvm_go.detailing import detailed, nobody_knows
from tvm_go.errors import PlanError
from tvm_go.graph import ValueKind
from tvm_go.kernels import describe, members, returned_values
from tvm_go.model import Model
from tvm_go.plan_details import SOURCES
from tvm_go.report import page, split_scene
from tvm_go.report.words import amount, milliseconds


@given(st.integers(0, 10**6), st.integers(1, 80))
@settings(max_examples=25, deadline=None)
def test_the_structure_is_that_of_the_graph(seed: int, num_ops: int) -> None:
    plan = plan_of(num_ops, seed=seed)
    assert plan.details is not None
    graph = plan.details.graph
    texts, arrays = scene_in(plan.to_html())
    starts, order = members(plan.kernel)
    assert arrays["op_start"].tolist() == starts.tolist()
    assert [texts["names"][i] for i in arrays["op_name"]] == [graph.name(op).removeprefix("nn.") for op in order]
    place = np.argsort(order)
    kinds = {int(ValueKind.INPUT): -1, int(ValueKind.CONSTANT): -2}
    for op in range(num_ops):
        uses = arrays["use_value"][arrays["use_start"][place[op]] : arrays["use_start"][place[op] + 1]]
        read = graph.use_value[graph.use_start[op] : graph.use_start[op + 1]].tolist()
        assert arrays["value_op"][uses].tolist() == [
            place[graph.value_op[v]] if graph.value_op[v] >= 0 else kinds[int(graph.value_kind[v])] for v in read
        ]
        shapes = [f"float32[{', '.join(map(str, graph.shape(v)))}]" for v in read]
        assert [texts["types"][i] for i in arrays["value_type"][uses]] == shapes
        assert arrays["op_bytes"][place[op]] == graph.value_bytes[read].sum() + 512
    returned = returned_values(graph, plan.kernel)
    for number in range(plan.num_kernels):
        kernel = describe(graph, order[starts[number] : starts[number + 1]], returned)
        assert arrays["kernel_bytes"][number] == graph.value_bytes[[*kernel.inputs, *kernel.outputs]].sum()


def test_the_tables_hold_every_kernel_and_the_numbers_of_the_plan() -> None:
    plan = plan_of(300, seed=5)
    assert plan.details is not None
    html = plan.to_html()
    rows = rows_in(html, "kernel-table")
    assert sorted(int(row[0]) for row in rows) == list(range(plan.num_kernels))
    for row in rows:
        number = int(row[0])
        assert row[4] == milliseconds(float(plan.details.ms[number]))
        assert row[6] == SOURCES[plan.details.source[number]]
        assert row[3] == plan.lowering[number].kind
    times = [float(row[4] or 0) for row in rows]
    assert times == sorted(times, reverse=True)
    changes = rows_in(html, "change-table")
    texts, arrays = scene_in(html)
    assert len(changes) == len(set(arrays["group"].tolist()) - {-1})
    assert texts["other_title"] == "TVM's default"


def test_the_page_is_whole_and_says_nothing_that_is_not_escaped() -> None:
    html = plan_of(50).to_html()
    assert "made &lt;up&gt;" in html
    assert "made <up>" not in html
    assert not re.search(r"""(src|href)\s*=\s*["']?https?:|@import|url\(""", html)
    assert "default-src 'none'" in html
    assert "${" not in html.split("<script", 1)[0]


def test_a_plan_without_times_or_another_plan_is_shown_all_the_same() -> None:
    plan = plan_of(50, compared=False)
    assert plan.details is not None
    unknown = replace(plan.details, ms=np.full(plan.num_kernels, np.nan))
    html = replace(plan, details=unknown).to_html()
    texts, arrays = scene_in(html)
    assert not texts["measured"]
    assert arrays["end_ms"].tolist() == list(range(1, plan.num_kernels + 1))
    assert "no other plan to compare with" in html


def test_plans_of_two_models_or_targets_are_not_compared() -> None:
    plan = plan_of(50, seed=1)
    with pytest.raises(PlanError, match=r"the plans are for two models, .*: compare plans of the same model"):
        plan.to_html(against=plan_of(50, seed=2))
    with pytest.raises(PlanError, match="two targets, 'llvm -mcpu=x' and 'cuda': compare plans for one"):
        plan.to_html(against=replace(plan, target="cuda"))
    with pytest.raises(PlanError, match="the plan to compare with does not say what its graph is"):
        plan.to_html(against=replace(plan, details=None))


def test_a_plan_beside_itself_changed_nothing() -> None:
    plan = plan_of(80)
    _, arrays = scene_in(plan.to_html(against=plan))
    assert not arrays["change"].any()
    assert (arrays["group"] == -1).all()


@pytest.mark.parametrize("executor", ["concurrent", "sequential", "pipeline"])
def test_a_placement_runs_as_the_simulator_says(executor: str) -> None:
    workload, machine, device = placed("gnmt", 2000, 2)
    other = (1 - device).astype(np.int32)
    scene = split_scene(workload, machine, device, executor, against=other)
    texts, arrays = scene_in(page(scene))
    assert texts["devices"] == ["p100:0", "p100:1"]
    assert arrays["device"].tolist() == device.tolist()
    assert arrays["ms"].tolist() == workload.op_ms[:, 0].tolist()
    np.testing.assert_allclose(arrays["end_ms"] - arrays["start_ms"], arrays["ms"], atol=1e-9)
    moved = {(int(a), int(device[b])) for a, b in zip(workload.edge_src, workload.edge_dst, strict=True)}
    crossing = {(a, d) for a, d in moved if device[a] != d}
    assert crossing == set(zip(arrays["copy_value"].tolist(), arrays["copy_device"].tolist(), strict=True))
    assert arrays["copy_bytes"].tolist() == workload.output_bytes[arrays["copy_value"]].tolist()
    assert {texts["kinds"][kind] for kind in arrays["change"]} == {"moved"}


def test_80_000_ops_are_written_in_seconds() -> None:
    plan = plan_of(80_000)
    plan.to_html()  # compiles
    start = time.perf_counter()
    html = plan.to_html()
    seconds = time.perf_counter() - start
    print(f"\n80,000 ops: {len(html) / 1e6:.1f} MB in {seconds:.1f} s")
    assert seconds < 30
    assert len(html) < 20e6


def test_the_package_reads_plans_and_writes_pages_without_tvm(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("no_tvm")
    (folder / "tvm.py").write_text("raise ImportError('no tvm here')\n")
    plan_of(40).save(folder / "p.json")
    program = "import tvm_go; print(len(tvm_go.GraphPlan.load('p.json').to_html()))"
    environment = {**ENVIRONMENT, "PYTHONPATH": f"{folder}:{ENVIRONMENT['PYTHONPATH']}"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100_000


def test_figures_read_as_people_write_them() -> None:
    assert [milliseconds(ms) for ms in (0.01234, 1.5, 12345.6, float("nan"))] == ["0.0123", "1.500", "12,346", ""]
    assert [amount(n, "B") for n in (0, 999, 1000, 1.5e6, 3.25e9)] == ["0 B", "999 B", "1 kB", "1.5 MB", "3.25 GB"]


def test_plans_in_other_forms_are_compared_by_the_ops_that_they_came_from(tmp_path: Path) -> None:
    mod, params = relay.frontend.from_onnx(onnx.load(str(write_small_onnx(tmp_path / "small.onnx"))))
    target = as_target("llvm")
    base = prepare_base(mod, params, target=target)
    names = [next((name for name in found if name != "default"), "default") for found in options(base, target)]
    default, model = Model.prepare(mod, params, target), Model.with_variants(base, names, target)
    plan = detailed(model.plan(model.default, "tvm"), (default, model), nobody_knows)
    assert plan.details is not None
    assert plan.details.default is not None
    assert plan.workload != plan.details.default.workload
    texts, arrays = scene_in(plan.to_html())
    kinds = {texts["kinds"][kind] for kind in arrays["change"]}
    assert "form" in kinds
    assert "same" in kinds
    starts, order = members(plan.kernel)
    for number, kind in enumerate(arrays["change"]):
        group = arrays["group"][number]
        assert (group < 0) == (texts["kinds"][kind] == "same")
        origins = set(plan.details.origin[order[starts[number] : starts[number + 1]]].tolist()) - {-1}
        other_kernels = {
            int(plan.details.default.kernel[op])
            for op, origin in enumerate(plan.details.default.details.origin.tolist())  # type: ignore[union-attr]
            if origin in origins
        }
        assert {int(arrays["other_group"][one]) for one in other_kernels} <= {int(group)}
    forms = {texts["forms"][form] for form in arrays["op_form"]} - {""}
    assert forms == {plan.variants[op] for op in plan.variants if op in plan.details.origin}
