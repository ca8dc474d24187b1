"""Random placements of small real models on CPU and OpenCL, and what child processes do with them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relay

from cost_model.child import ChildProcess
from cost_model.rpc import RpcAddress, close_session, open_session
from relay_passes.apply import kernel_function
from relay_passes.library import build_in_folder, loader_on, write_module
from relay_passes.prepare import prepare_base
from relay_passes.variants import DEFAULT, options, plain
from tests.relay_passes.placed_models import TARGETS
from tests.tvm_go.composing import NoLoweringError, build_alone, plain_outputs
from tvm_go.graph import Int32
from tvm_go.kernels import Kernel, describe, free_kernels, kernel_keys, members, returned_values
from tvm_go.legalize import check_partition, legalize, te_takes
from tvm_go.lowering import TE, TIR, Lowering
from tvm_go.model import Model
from tvm_go.plan import GraphPlan
from tvm_go.rules import rule_set

Array = npt.NDArray[Any]
HOST, OPENCL = 0, 1
TIMEOUT_S = 300.0


@dataclass(frozen=True, eq=False)
class Subject:
    """A model to place: in one of several sets of forms, with inputs and the outputs that TVM gives unoptimised."""

    mod: tvm.IRModule
    inputs: dict[str, Array]
    expected: list[Array]

    @staticmethod
    def of(mod: tvm.IRModule, params: dict[str, tvm.nd.NDArray] | None, child: ChildProcess) -> Subject:
        base = prepare_base(mod, params, target=TARGETS.host)
        rng = np.random.default_rng(0)
        inputs = {var.name_hint: random_input(var.checked_type, rng) for var in base["main"].params}
        (expected,) = child.call(plain_outputs, tvm.ir.save_json(base), [inputs], timeout_s=TIMEOUT_S)
        return Subject(base, inputs, expected)

    def partitioned(self, seed: int) -> Partitioned:
        """The model in random forms, most of them those of front ends; a random partition."""
        rng = np.random.default_rng(seed)
        names = []
        for applying, form in zip(options(self.mod, TARGETS.host), plain(self.mod, TARGETS.host), strict=True):
            names.append(form if form != DEFAULT and rng.random() < 0.75 else str(rng.choice(applying)))
        model = Model.with_variants(self.mod, names, TARGETS.host)
        rules = ("tvm", "wide", "open")[seed % 3]
        priority = rng.integers(1, 5, size=model.graph.num_edges)
        priority[rng.random(model.graph.num_edges) < rng.uniform(0.3, 0.9)] = 0
        kernel = legalize(model.graph, priority, rule_set(rules))
        check_partition(model.graph, kernel, rule_set(rules))
        return Partitioned(model, kernel, rules)


@dataclass(frozen=True, eq=False)
class Partitioned:
    """A model in some forms, and kernels that are legal under a rule set."""

    model: Model
    kernel: Int32
    rules: str


def random_input(kind: relay.TensorType, rng: np.random.Generator) -> Array:
    """Normal numbers, or zeros and ones."""
    shape = [int(extent) for extent in kind.shape]
    return (rng.standard_normal(shape) if "float" in kind.dtype else rng.integers(0, 2, shape)).astype(kind.dtype)


@dataclass
class Placer:
    """Makes random plans on CPU and OpenCL.

    Which kernels OpenCL takes, and by which lowerings, is found out by building them alone. What it takes by none stays
    on the CPU.
    """

    child: ChildProcess
    builds: dict[tuple[str, str, str], str] = field(default_factory=dict)

    def plan(self, partitioned: Partitioned, rng: np.random.Generator) -> GraphPlan:
        """Random devices, and a lowering by which each kernel builds alone.

        Raises
        ------
        NoLoweringError
            A kernel builds by no lowering on the CPU.
        """
        model, kernel = partitioned.model, partitioned.kernel
        device = _random_devices(int(kernel.max()) + 1, rng)
        lowering = self._lowerings(model, kernel, device, rng)
        workload = model.graph.structural_hash
        return GraphPlan(kernel, partitioned.rules, workload, TARGETS.text, {}, lowering, model.variants, device)

    def _lowerings(self, model: Model, kernel: Int32, device: Int32, rng: np.random.Generator) -> tuple[Lowering, ...]:
        """A lowering of each kernel; kernels that OpenCL does not take are moved to the host."""
        graph = model.graph
        starts, ops = members(kernel)
        free, returned, keys = free_kernels(graph, kernel), returned_values(graph, kernel), kernel_keys(graph, kernel)
        chosen = []
        for number, key in enumerate(keys):
            inside = ops[starts[number] : starts[number + 1]]
            alone = functools.partial(self._why_not, model, describe(graph, inside, returned), key)
            for_te = te_takes(graph, inside.tolist())
            if free[number]:
                chosen.append(TE)
                continue
            candidates = [TE, TIR] if for_te else [TIR]
            candidates = [candidates[i] for i in rng.permutation(len(candidates))]
            works = [lowering for lowering in candidates if not alone(int(device[number]), lowering)]
            if not works and device[number] == OPENCL:
                device[number] = HOST
                works = [lowering for lowering in candidates if not alone(HOST, lowering)]
            if not works:
                raise NoLoweringError(f"{[graph.name(int(op)) for op in inside]}: {alone(HOST, candidates[0])[-500:]}")
            chosen.append(works[0])
        return tuple(chosen)

    def _why_not(self, model: Model, kernel: Kernel, key: str, device: int, lowering: Lowering) -> str:
        """Why a kernel does not build alone; empty if it does."""
        asked = (key, TARGETS.names[device], lowering.to_text())
        if asked not in self.builds:
            function = tvm.IRModule.from_expr(kernel_function(model.flow, model.graph, kernel))
            text = tvm.ir.save_json(relay.transform.InferType()(function)["main"])
            target = str(TARGETS.targets[device].kind.name) if device else str(TARGETS.host)
            try:
                self.child.call(build_alone, text, target, lowering.to_text(), timeout_s=TIMEOUT_S)
                self.builds[asked] = ""
            except Exception as error:  # TVM raises all kinds
                self.builds[asked] = str(error) or repr(error)
        return self.builds[asked]


def _random_devices(num_kernels: int, rng: np.random.Generator) -> Int32:
    """Each kernel by itself, or runs of kernels; seldom few on either device."""
    share = rng.choice([0.2, 0.5, 0.8, 1.0])
    stretch = int(rng.choice([1, 1, 4]))
    drawn = rng.random(-(-num_kernels // stretch)) < share
    return np.repeat(drawn, stretch)[:num_kernels].astype(np.int32)


def build(model: Model, plan: GraphPlan, folder: Path, child: ChildProcess) -> None:
    """Build a placed model in a child process."""
    write_module(
        *(model.mod, model.flow, model.graph, plan.kernel, folder, plan.lowering),
        device=plan.device,
        devices=TARGETS.names,
    )
    targets = [tvm.ir.save_json(target) for target in TARGETS.targets]
    child.call(build_in_folder, str(folder), *targets, timeout_s=TIMEOUT_S)


def placed_outputs(address: RpcAddress, folder: str, inputs: dict[str, Array]) -> list[Array]:
    """Runs in a child: what a placed model gives on a server."""
    session = open_session(address, session_timeout_s=TIMEOUT_S)
    try:
        devices = [session.device(name, 0) for name in TARGETS.names]
        executor = loader_on(session, Path(folder), devices, "placed.so")()
        executor.set_input(**inputs)
        executor.run()
        return [executor.get_output(i).numpy() for i in range(executor.get_num_outputs())]
    finally:
        close_session(session)


Loaded = tuple[tvm.IRModule, dict[str, tvm.nd.NDArray]]


def _squeezenet() -> Loaded:
    from tvm.relay.testing import squeezenet

    return _with_weights(squeezenet.get_net(1, (3, 32, 32), 10, "1.1", "float32"))


def _mobilenet() -> Loaded:
    from tvm.relay.testing import mobilenet

    return _with_weights(mobilenet.mobile_net(10, (1, 3, 32, 32), alpha=0.25, is_shallow=True))


def _resnet() -> Loaded:
    from tvm.relay.testing import resnet

    return _with_weights(resnet.resnet([1, 1], 2, [8, 8, 16], 10, (1, 3, 32, 32), bottle_neck=False))


def _lstm() -> Loaded:
    from tvm.relay.testing import lstm

    net = lstm.get_net(iterations=2, num_hidden=16)
    steps = [var for var in net.params if var.name_hint == "data"]  # it names the input of every step so
    renamed = {var: relay.Var(f"data_{step}", var.type_annotation) for step, var in enumerate(steps)}
    params = [renamed.get(var, var) for var in net.params]
    passes = (relay.transform.PartialEvaluate(), relay.transform.ToGraphNormalForm(), relay.transform.InferType())
    function = relay.Function(params, relay.bind(net.body, renamed), net.ret_type)
    return _with_weights(tvm.transform.Sequential(passes)(tvm.IRModule.from_expr(function))["main"])


def _with_weights(function: relay.Function) -> Loaded:
    """Random weights for a net of `relay.testing`, in He scale; see `benchmarks.zoo`."""
    mod = relay.transform.InferType()(tvm.IRModule.from_expr(function))
    rng = np.random.default_rng(0)
    params = {}
    for var in mod["main"].params:
        shape, role = [int(extent) for extent in var.checked_type.shape], var.name_hint.rsplit("_", 1)[-1]
        if var.name_hint.startswith("data"):
            continue
        if role == "weight":
            value = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
        else:
            value = rng.uniform(0.5, 1.5, shape) if role in ("gamma", "var") else rng.normal(0.0, 0.1, shape)
        params[var.name_hint] = tvm.nd.array(value.astype("float32"))
    return mod, params


def _torch(make: Callable[[], Any], shape: tuple[int, ...]) -> Loaded:
    import torch

    from benchmarks.torch_models import TorchModel, to_relay

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return to_relay(TorchModel(make().eval(), {"data": torch.randn(shape)}))


def _bert() -> Loaded:
    import torch
    import transformers

    from benchmarks.torch_models import TorchModel, to_relay

    with torch.random.fork_rng():
        torch.manual_seed(0)
        size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
        config = transformers.BertConfig(
            **size, vocab_size=50, initializer_range=0.2, return_dict=False, attn_implementation="eager"
        )
        ids = torch.randint(0, 50, (1, 12))
        module = transformers.BertModel(config, add_pooling_layer=False).eval()
        return to_relay(TorchModel(module, {"input_ids": ids, "attention_mask": torch.ones_like(ids)}))


def _gru() -> Loaded:
    from benchmarks.small_nets import Gru

    return _torch(lambda: Gru(16), (2, 1, 16))


def _shuffle() -> Loaded:
    from benchmarks.small_nets import Shuffle

    return _torch(lambda: Shuffle(8, 2), (1, 8, 12, 12))


def _wavenet() -> Loaded:
    from benchmarks.small_nets import WaveNet

    return _torch(lambda: WaveNet(8, (1, 2)), (1, 1, 64))


def _mixer() -> Loaded:
    from benchmarks.small_nets import Mixer

    return _torch(lambda: Mixer(16, 16, 1), (1, 3, 32, 32))


#: Small nets of real families: residuals, concatenations, splits, shared weights, recurrence, attention.
REAL: dict[str, Callable[[], Loaded]] = {
    "squeezenet": _squeezenet,
    "mobilenet": _mobilenet,
    "resnet": _resnet,
    "lstm": _lstm,
    "bert": _bert,
    "gru": _gru,
    "shuffle": _shuffle,
    "wavenet": _wavenet,
    "mixer": _mixer,
}
