"""Random `wide` plans of real models: applied, built and run with right numbers, or the failing kernel is recorded."""

import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tvm
from tvm.contrib import graph_executor

from benchmarks.zoo import ZooModel, input_values, load
from cost_model import MeasureConfig
from cost_model.child import ChildFailure, ChildProcess
from cost_model.measure import Measurer
from cost_model.oracle import KernelOracle
from relay_passes.library import build_in_folder, write_module
from relay_passes.numerics import compare
from tests.models import write_small_onnx
from tuning_logs import TuningLog
from tvm_go.graph import Int32
from tvm_go.legalize import check_partition, legalize
from tvm_go.model import Model
from tvm_go.problems import problem_of
from tvm_go.rules import rule_set
from tvm_go.search import Budget

_TARGET = "llvm -mcpu=core-avx2"
_BUILD_S, _RUN_S = 300.0, 60.0


def run_folder(folder: str, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Runs in a child: outputs of what `build_in_folder` left."""
    place = Path(folder)
    library = tvm.runtime.load_module(str(place / "library.so"))
    executor = graph_executor.create((place / "graph.json").read_text(), library, tvm.cpu())
    executor.load_params((place / "graph.params").read_bytes())
    executor.set_input(**inputs)
    executor.run()
    return [executor.get_output(i).numpy() for i in range(executor.get_num_outputs())]


class Bench:
    """Builds and runs partitions of one model, and finds the kernels that fail."""

    def __init__(self, zoo: ZooModel, folder: Path) -> None:
        self.model = Model.prepare(zoo.mod, zoo.params, tvm.target.Target(_TARGET))
        self.inputs = input_values(zoo.mod, 0, zoo.params)
        self.folder = folder
        self.log = TuningLog(folder / "log.jsonl")
        self.expected = self.outputs(self.model.default, ChildProcess(name="default", work_dir=folder))

    def outputs(self, kernel: Int32, child: ChildProcess) -> list[np.ndarray] | str:
        """Outputs of a partition, or why there are none."""
        place = self.folder / f"build-{id(child)}"
        place.mkdir()
        try:
            write_module(self.model.mod, self.model.flow, self.model.graph, kernel, place)
            names = child.call(build_in_folder, str(place), tvm.ir.save_json(self.model.target), timeout_s=_BUILD_S)
            assert len(names) <= kernel.max() + 1
            return child.call(run_folder, str(place), self.inputs, timeout_s=_RUN_S)
        except (ChildFailure, tvm.TVMError, RuntimeError, ValueError) as error:
            return str(error)
        finally:
            child.close()
            shutil.rmtree(place)

    def verdict(self, seed: int) -> str:
        """One random plan: ``right``, or the kinds of failure of its kernels, all of which must stand in the log."""
        rng = np.random.default_rng(seed)
        priority = rng.integers(1, 5, size=self.model.graph.num_edges)
        priority[rng.random(self.model.graph.num_edges) < rng.random()] = 0
        kernel = legalize(self.model.graph, priority, rule_set("wide"))
        check_partition(self.model.graph, kernel, rule_set("wide"))
        outputs = self.outputs(kernel, ChildProcess(name=f"plan{seed}", work_dir=self.folder))
        if not isinstance(outputs, str):
            assert not isinstance(self.expected, str), self.expected
            if all(compare(a, b)[0] for a, b in zip(outputs, self.expected, strict=True)):
                return "right"
        failures = self.failing_kernels(kernel)
        assert failures, f"seed {seed}: {outputs if isinstance(outputs, str) else 'wrong numbers'}, yet no kernel fails"
        return "+".join(sorted(set(failures)))

    def failing_kernels(self, kernel: Int32) -> list[str]:
        """Measure each kernel of a plan that failed as a whole; the reasons, from the log."""
        config = MeasureConfig(number=1, repeat=1, min_repeat_ms=0.0, build_timeout_s=60.0)
        with Measurer(target=_TARGET, config=config) as measurer:
            oracle = KernelOracle(_TARGET, measurer, self.log, try_tir=False)
            problem_of(self.model, oracle, rule_set("wide"), Budget(kernels=sys.maxsize)).cost([kernel])
        failures = oracle.failures()
        assert all(record.error_kind and record.error_msg for record in failures)
        return [str(record.error_kind) for record in failures]


@pytest.fixture(scope="module")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZooModel]:
    import onnx
    from tvm import relay

    path = write_small_onnx(tmp_path_factory.mktemp("model") / "small.onnx")
    mod, params = relay.frontend.from_onnx(onnx.load(str(path)))
    yield ZooModel("small", mod, params)


def test_random_wide_plans_of_a_small_model(small_model: ZooModel, tmp_path: Path) -> None:
    bench = Bench(small_model, tmp_path)
    verdicts = [bench.verdict(seed) for seed in range(4)]
    assert "right" in verdicts


@pytest.mark.campaign
@pytest.mark.parametrize(
    ("name", "plans"),
    [("squeezenet", 40), ("shufflenet", 25), ("mobilenet", 30), ("resnet18", 35), ("lstm", 40), ("bert2", 30)],
)
def test_random_wide_plans(name: str, plans: int, tmp_path: Path) -> None:
    bench = Bench(load(name), tmp_path)
    with ThreadPoolExecutor(2) as pool:
        verdicts = Counter(pool.map(bench.verdict, range(plans)))
    print(f"{name}: {dict(verdicts)}")
    assert sum(verdicts.values()) == plans
    assert verdicts["right"] > 0
