"""Other ways to run the zoo's models, over the same weights: onnxruntime, PyTorch eager, PyTorch compiled by inductor.

`python -m benchmarks.peers [MODEL...]` times them beside `relay.build` and compares their outputs with its own.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tvm
from tvm import relay
from tvm.contrib.graph_executor import GraphModule

import tvm_go
from benchmarks import torch_models, zoo
from benchmarks.light_onnx import Array
from benchmarks.own_process import CORES, OwnProcess, PeerError, Run
from relay_passes import targets

MODELS = (
    "squeezenet",
    "shufflenet",
    "resnet50",
    "densenet121",
    "inception_v1",
    "inception_v2",
    "mobilenet",
    "lstm",
    *torch_models.NAMES,
)

_ROUNDS = 5
_ROUND_SECONDS = 0.5


@dataclass(frozen=True)
class Peer:
    """Another system with one of the zoo's models and its inputs.

    Attributes
    ----------
    name
        `onnxruntime`, `torch eager`, `torch.compile` or `relay.build`.
    prepare
        Loads and compiles the model; for `OwnProcess`, which gives the reason as PeerError where that fails.
    """

    name: str
    prepare: Callable[[], Run]


def peers(name: str, threads: int | None = None, seed: int = 0) -> list[Peer]:
    """Return the systems that can run `zoo.load(name, seed)` on the inputs `zoo.input_values(mod, seed, params)`.

    Parameters
    ----------
    name
        One of the zoo's ONNX or PyTorch models, or one that `benchmarks.torch_mirrors` has.
    threads
        For one operator; default: one for each core.
    seed
        Of weights and inputs.
    """
    count = threads or len(CORES)
    if name in zoo.LIGHT_ONNX:
        return [Peer("onnxruntime", partial(_onnxruntime, name, count, seed))]
    return [
        Peer("torch eager", partial(_torch, name, count, seed, compiled=False)),
        Peer("torch.compile", partial(_torch, name, count, seed, compiled=True)),
    ]


def relay_build(name: str, threads: int | None = None, seed: int = 0) -> Peer:
    """Return `relay.build`'s build of a model for this machine, on the inputs that the peers get."""
    return Peer("relay.build", partial(_relay_build, name, threads or len(CORES), seed))


def planned_build(name: str, label: str, plan: Path, threads: int | None = None, seed: int = 0) -> Peer:
    """Return our build of a model by a plan file, on the inputs that the peers get."""
    return Peer(label, partial(_planned_build, name, plan, threads or len(CORES), seed))


def torch_model(model: zoo.ZooModel, seed: int) -> torch_models.TorchModel:
    """Return a PyTorch module with the weights of `model`, which is `zoo.load(name, seed)`."""
    if model.name in torch_models.NAMES:
        return torch_models.load(model.name, np.random.default_rng(seed))
    from benchmarks import torch_mirrors

    return torch_mirrors.load(model.name, {key: value.numpy() for key, value in model.params.items()})


def _load(name: str, threads: int, seed: int) -> tuple[zoo.ZooModel, dict[str, Array]]:
    """Return a model of the zoo and its inputs."""
    cores = os.sched_getaffinity(0)
    if len(cores) < threads:
        raise PeerError(
            f"{threads} threads on cores {sorted(cores)}: if TVM ran here before, take a process of its own"
        )
    model = zoo.load(name, seed)
    os.sched_setaffinity(0, cores)  # TVM's front ends may fold constants, and bind this thread in doing so
    return model, zoo.input_values(model.mod, seed, model.params)


def _onnxruntime(name: str, threads: int, seed: int) -> Run:
    import onnxruntime

    _, inputs = _load(name, threads, seed)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    serialized = zoo.onnx_model(name, seed).SerializeToString()
    session = onnxruntime.InferenceSession(serialized, options, providers=["CPUExecutionProvider"])
    return lambda: list(session.run(None, inputs))


def _torch(name: str, threads: int, seed: int, *, compiled: bool) -> Run:
    """Prepare a module to run eagerly, or compiled as one graph by inductor with its weights as constants."""
    import torch

    model, values = _load(name, threads, seed)
    torch.set_num_threads(threads)
    peer = torch_model(model, seed)
    inputs = [torch.from_numpy(values[key]) for key in peer.inputs]
    function: Callable[..., object] = peer.module
    if compiled:
        function = torch.compile(peer.module, fullgraph=True, dynamic=False, options={"freezing": True})

    def run() -> list[Array]:
        with torch.inference_mode():
            outputs = function(*inputs)
        return [output.numpy() for output in (outputs if isinstance(outputs, tuple) else (outputs,))]

    return run


def _relay_build(name: str, threads: int, seed: int) -> Run:
    target = targets.as_target("native")
    model, inputs = _load(name, threads, seed)
    with targets.build_scopes(target):
        library = relay.build(model.mod, target, params=model.params)
    return executor_of(library, inputs, threads)


def planned_library(name: str, plan: Path, threads: int, seed: int) -> tuple[Any, dict[str, Array]]:
    """Build a model of the zoo by a plan file; the library and the inputs that the peers get."""
    model, inputs = _load(name, threads, seed)
    return tvm_go.build(model.mod, model.params, plan=tvm_go.GraphPlan.load(plan)), inputs


def _planned_build(name: str, plan: Path, threads: int, seed: int) -> Run:
    return executor_of(*planned_library(name, plan, threads, seed), threads)


def graph_module(library: Any, inputs: dict[str, Array], threads: int) -> GraphModule:
    """TVM's graph executor of a library, with inputs."""
    big_cores_first = 1
    tvm.get_global_func("runtime.config_threadpool")(big_cores_first, threads)
    executor = GraphModule(library["default"](tvm.cpu(0)))
    executor.set_input(**inputs)
    return executor


def executor_of(library: Any, inputs: dict[str, Array], threads: int) -> Run:
    """What runs a library of `relay.build` on some inputs."""
    executor = graph_module(library, inputs, threads)

    def run() -> list[Array]:
        executor.run()
        return [np.from_dlpack(executor.get_output(index)) for index in range(executor.get_num_outputs())]

    return run


def max_relative_difference(values: Sequence[Array], reference: Sequence[Array]) -> float:
    """Return the largest difference over all outputs, each as a part of the largest magnitude in the reference."""
    if [value.shape for value in values] != [value.shape for value in reference]:
        return float("inf")
    pairs = zip(values, reference, strict=True)
    return float(np.max([np.abs(value - expected).max() / np.abs(expected).max() for value, expected in pairs]))


def start(peer: Peer) -> OwnProcess | PeerError:
    """Start a system in its own process; the reason where that fails."""
    try:
        return OwnProcess(peer.prepare)
    except PeerError as error:
        return error


def _rows(name: str, threads: int, seed: int) -> Iterator[tuple[str, str, str]]:
    """Yield the name of each system, its time, and its difference or why it failed; they are timed in turns."""
    started = {peer.name: start(peer) for peer in (relay_build(name, threads, seed), *peers(name, threads, seed))}
    times: dict[str, list[float]] = {key: [] for key in started}
    with contextlib.ExitStack() as stack:
        running = {
            key: stack.enter_context(process) for key, process in started.items() if isinstance(process, OwnProcess)
        }
        for _ in range(_ROUNDS):
            for key, process in running.items():
                times[key] += process.times_ms(_ROUND_SECONDS)
    reference = running.get("relay.build")
    for key, result in started.items():
        if isinstance(result, PeerError):
            yield key, "", str(result)
        else:
            difference = max_relative_difference(result.outputs, reference.outputs) if reference else float("nan")
            yield key, f"{statistics.median(times[key]):.3f}", f"{difference:.1e}"


def main() -> None:
    """Print a table of all models, or of those that are named; `difference` is to relay.build's outputs."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("models", nargs="*", default=MODELS, metavar="MODEL", help=", ".join(MODELS))
    parser.add_argument("--threads", type=int, default=len(CORES))
    parser.add_argument("--seed", type=int, default=0, help="of weights and inputs")
    args = parser.parse_args()
    print(f"{targets.as_target('native')}, {args.threads} threads")
    print("| model | system | ms | difference |\n|---|---|---|---|")
    for name in args.models:
        for row in _rows(name, args.threads, args.seed):
            print(f"| {name} | {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
