"""Models on CPU and OpenCL in one build, on a real server: always the numbers of the model on the CPU alone."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tvm
from tvm import relay

from cost_model.child import ChildProcess
from cost_model.config import RpcConfig
from cost_model.rpc import RpcAddress
from relay_passes.library import build_in_folder, write_module
from relay_passes.numerics import compare
from tests.relay_passes.placed_models import MODELS, TARGETS
from tests.relay_passes.placing import REAL, TIMEOUT_S, Partitioned, Placer, Subject, build, placed_outputs
from tests.relay_passes.test_devices import copies_in
from tests.relay_passes.test_extract import typed
from tests.tvm_go.composing import NoLoweringError
from tvm_go.copies import copies
from tvm_go.errors import PlanError
from tvm_go.plan import GraphPlan
from tvm_go.rules import RULE_SET_NAMES

_PLACEMENTS = {"squeezenet": 6, "mobilenet": 9}  # of the larger nets
_USUAL_PLACEMENTS = 12


class Bench:
    """Builds placements in one child process, and runs them from another on a server with both devices."""

    def __init__(self, rpc: RpcConfig, folder: Path) -> None:
        self.address = RpcAddress(rpc.tracker_host, rpc.tracker_port, rpc.key)
        self.folder = folder
        self.builder, self.runner = (ChildProcess(name=name, work_dir=folder) for name in ("build", "run"))
        self.placer = Placer(self.builder)

    def subject(self, mod: tvm.IRModule, params: dict[str, tvm.nd.NDArray] | None = None) -> Subject:
        return Subject.of(mod, params, self.builder)

    def check(self, subject: Subject, partitioned: Partitioned, plan: GraphPlan) -> None:
        """Build and run a plan: its numbers, and its copies."""
        place = self.folder / "placed"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        build(partitioned.model, plan, place, self.builder)
        planned = copies(partitioned.model.graph, plan.kernel, plan.device)
        assert len(copies_in((place / "graph.json").read_text())) == planned.count
        outputs = self.runner.call(placed_outputs, self.address, str(place), subject.inputs, timeout_s=TIMEOUT_S)
        for one, expected in zip(outputs, subject.expected, strict=True):
            ok, off_by = compare(one, expected)
            assert ok, f"an output is off by {off_by:.1e}: {plan.to_json()}"


@pytest.fixture(scope="module")
def bench(opencl_server: RpcConfig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    made = Bench(opencl_server, tmp_path_factory.mktemp("placements"))
    yield made
    made.builder.close()
    made.runner.close()


def run_random(bench: Bench, subject: Subject, count: int, *, first: int = 0) -> int:
    """Random placements, each of a partition under another rule set; how many had kernels on both devices."""
    partitions: list[Partitioned] = []
    mixed = done = 0
    for seed in itertools.count(first):
        if len(partitions) < len(RULE_SET_NAMES):
            partitions.append(subject.partitioned(seed))
        partitioned = partitions[seed % len(partitions)]
        try:
            plan = bench.placer.plan(partitioned, np.random.default_rng(seed))
        except NoLoweringError:  # some kernels build by nothing, on no device: another partition in its place
            partitions.remove(partitioned)
            continue
        bench.check(subject, partitioned, plan)
        mixed += len(np.unique(plan.device)) > 1
        done += 1
        if done == count:
            break
    return mixed


@pytest.mark.parametrize("model", MODELS)
def test_a_random_placement_keeps_the_numbers(model: Callable[[], relay.Expr], bench: Bench) -> None:
    run_random(bench, bench.subject(typed(model())), 1, first=1)


@pytest.mark.campaign
@pytest.mark.parametrize("model", MODELS)
def test_random_placements_of_small_graphs_keep_the_numbers(model: Callable[[], relay.Expr], bench: Bench) -> None:
    print(f"{model.__name__}: {run_random(bench, bench.subject(typed(model())), 10)} of 10 placements were mixed")


@pytest.mark.campaign
@pytest.mark.parametrize("name", REAL)
def test_random_placements_of_real_nets_keep_the_numbers(name: str, bench: Bench) -> None:
    count = _PLACEMENTS.get(name, _USUAL_PLACEMENTS)
    mixed = run_random(bench, bench.subject(*REAL[name]()), count)
    print(f"{name}: {mixed} of {count} placements were mixed")
    assert mixed > 0


def test_what_opencl_cannot_build_is_an_error_of_the_child(bench: Bench) -> None:
    """A blocked convolution, for which TVM has no OpenCL kernel."""
    image, weight = relay.var("x", shape=(1, 1, 6, 6, 8)), relay.const(np.ones((1, 1, 3, 3, 8, 8), dtype="float32"))
    blocked = relay.nn.contrib_conv2d_nchwc(
        image, weight, channels=8, kernel_size=(3, 3), data_layout="NCHW8c", kernel_layout="OIHW8i8o"
    )
    subject = bench.subject(typed(blocked))
    partitioned = subject.partitioned(0)
    model, folder = partitioned.model, bench.folder / "refused"
    folder.mkdir()
    write_module(
        *(model.mod, model.flow, model.graph, partitioned.kernel, folder),
        device=np.ones(partitioned.kernel.max() + 1, dtype=np.int32),
        devices=TARGETS.names,
    )
    targets = [tvm.ir.save_json(target) for target in TARGETS.targets]
    with pytest.raises(
        PlanError, match=r"where they are placed \(llvm, opencl\): .*; place kernels of this kind on llvm"
    ):
        bench.builder.call(build_in_folder, str(folder), *targets, timeout_s=TIMEOUT_S)
    assert bench.builder.call(abs, -1) == 1  # it lives
