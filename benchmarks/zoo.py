"""The models that tests and benchmarks share, without a download: `load(name)`; `python -m benchmarks.zoo` checks them.

Weights are random normal in He scale, by seed: the light ONNX files hold one constant for all of them, and
`tvm.relay.testing` such that every class is equally likely, so that wrong numbers would not show.
"""

import argparse
import time
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnx
import tvm
from tvm import relay
from tvm.contrib.graph_executor import GraphModule

import tvm_go  # noqa: F401  (sets what TVM reads from the environment)
from benchmarks import light_onnx, torch_models
from benchmarks.light_onnx import Array, Weights

Params = dict[str, tvm.nd.NDArray]
Loaded = tuple[tvm.IRModule, Params]

LIGHT_ONNX = light_onnx.NAMES
RELAY_TESTING = ("mobilenet", "resnet18", "inception_v3", "lstm")
NAMES = (*LIGHT_ONNX, *RELAY_TESTING, "bert2")
"""What long tests and `benchmarks.fusion` go through."""
_TORCH = (*torch_models.NAMES, *torch_models.SMALL, *torch_models.MIXED)
ALL_NAMES = (*NAMES, *(name for name in _TORCH if name not in NAMES))

# Scale of the last weight matrix that gives logits a standard deviation of about 2: residual sums and concatenations
# let activations grow with depth, and a softmax of 1000s is 0 and 1 whatever the kernels before it did.
_HEAD_SCALES = {
    "alexnet": 0.3,
    "inception_v1": 0.4,
    "inception_v2": 0.12,
    "inception_v3": 0.15,
    "resnet18": 0.02,
    "resnet50": 3e-4,
    "shufflenet": 2e-5,
    "squeezenet": 0.2,
    "vgg19": 0.5,
}


@dataclass(frozen=True)
class ZooModel:
    """A model as TVM's front ends give it: `relay.build(mod, target, params=params)` builds it."""

    name: str
    mod: tvm.IRModule
    params: Params


def load(name: str, seed: int = 0) -> ZooModel:
    """Return one of `ALL_NAMES`, or one of `torch_models.NUMBERED`, with weights drawn by `seed`.

    Raises
    ------
    ValueError
        If there is no such model.
    """
    rng = np.random.default_rng(seed)
    if name in LIGHT_ONNX:
        mod, params = relay.frontend.from_onnx(onnx_model(name, seed))
    elif name in RELAY_TESTING:
        mod, params = _relay_testing(name, rng)
    elif name in _TORCH or torch_models.is_numbered(name):
        mod, params = torch_models.to_relay(torch_models.load(name, rng))
    else:
        raise ValueError(f"no model {name!r} in the zoo; there are {', '.join(ALL_NAMES)}")
    return ZooModel(name, mod, params)


def onnx_model(name: str, seed: int = 0) -> onnx.ModelProto:
    """Return one of `LIGHT_ONNX` as ONNX, with the weights of `load(name, seed)`."""
    return light_onnx.load(name, partial(_draw, name, np.random.default_rng(seed)))


def input_values(mod: tvm.IRModule, seed: int, params: Params | None = None) -> dict[str, Array]:
    """Return random inputs for `main`: normal floats, small indices, masks of ones; nothing for names in `params`."""
    rng = np.random.default_rng(seed)
    values: dict[str, Array] = {}
    for var in relay.transform.InferType()(mod)["main"].params:
        if var.name_hint in (params or {}):
            continue
        shape, dtype = [int(n) for n in var.checked_type.shape], var.checked_type.dtype
        if "mask" in var.name_hint:
            values[var.name_hint] = np.ones(shape, dtype)
        elif dtype.startswith("float"):
            values[var.name_hint] = rng.standard_normal(shape).astype(dtype)
        else:
            values[var.name_hint] = rng.integers(0, 2 if dtype == "bool" else 100, shape).astype(dtype)
    return values


def _draw(name: str, rng: np.random.Generator, weights: Weights) -> dict[str, Array]:
    """Draw all parameters of a model by their roles, and scale the last weight matrix as the model needs it."""
    values = {}
    for key, (role, shape) in weights.items():
        match role:
            case "conv":
                value = rng.standard_normal(shape, np.float32) * np.sqrt(2 / np.prod(shape[1:]))
            case "dense":
                value = rng.standard_normal(shape, np.float32) * np.sqrt(2 / shape[-1])
            case "scale":
                value = rng.normal(1.0, 0.1, shape)
            case "variance":
                value = rng.uniform(0.5, 1.5, shape)
            case _:
                value = rng.normal(0.0, 0.1, shape)
        values[key] = value.astype(np.float32)
    if name in _HEAD_SCALES:
        *_, head = (key for key, (role, _) in weights.items() if role in ("conv", "dense"))
        values[head] *= np.float32(_HEAD_SCALES[name])
    return values


def _relay_testing(name: str, rng: np.random.Generator) -> Loaded:
    from tvm.relay import testing

    if name == "lstm":
        mod = _lstm()
    elif name == "resnet18":
        mod, _ = testing.resnet.get_workload(num_layers=18)
    else:
        mod, _ = getattr(testing, name).get_workload()
    weights: Weights = {}
    for var in mod["main"].params:
        shape = tuple(int(extent) for extent in var.checked_type.shape)
        match var.name_hint.rsplit("_", 1)[-1]:
            case "weight":
                role = "conv" if len(shape) == 4 else "dense"
            case "gamma":
                role = "scale"
            case "var":
                role = "variance"
            case _:
                role = "offset"
        if not var.name_hint.startswith("data"):
            weights[var.name_hint] = (role, shape)
    return mod, {key: tvm.nd.array(value) for key, value in _draw(name, rng, weights).items()}


def _lstm() -> tvm.IRModule:
    """Return `relay.testing.lstm` (6 steps, 128 units) as pure dataflow; every step's input has its own name."""
    from tvm.relay.testing import lstm

    net = lstm.get_net(iterations=6, num_hidden=128)
    steps = [var for var in net.params if var.name_hint == "data"]
    renamed = {var: relay.Var(f"data_{step}", var.type_annotation) for step, var in enumerate(steps)}
    params = [renamed.get(var, var) for var in net.params]
    mod = tvm.IRModule.from_expr(relay.Function(params, relay.bind(net.body, renamed), net.ret_type))
    passes = (relay.transform.PartialEvaluate(), relay.transform.ToGraphNormalForm(), relay.transform.InferType())
    return tvm.transform.Sequential(passes)(mod)  # inlines the cells; relay.build takes neither Let nor their calls


def _check(name: str, target: str) -> list[str]:
    """Load, build and run one model; return a line of the table."""
    start = time.perf_counter()
    model = load(name)
    import_s = time.perf_counter() - start
    with tvm.transform.PassContext(opt_level=3):
        library = relay.build(model.mod, target, params=model.params)
    build_s = time.perf_counter() - start - import_s
    executor = GraphModule(library["default"](tvm.cpu(0)))
    outputs = []
    for seed in (0, 1):
        executor.set_input(**input_values(model.mod, seed, model.params))
        executor.run()
        outputs.append(executor.get_output(0).numpy())
    first, second = outputs
    if not np.isfinite(first).all() or first.std() == 0 or np.allclose(first, second, rtol=1e-3, atol=0):
        raise RuntimeError(f"{name}: the outputs are degenerate: std {first.std()}, {first.ravel()[:4]}")
    run_ms = executor.benchmark(tvm.cpu(0), repeat=3, number=3).median * 1e3
    ops: list[relay.Call] = []
    relay.analysis.post_order_visit(
        model.mod["main"], lambda expr: ops.append(expr) if isinstance(expr, relay.Call) else None
    )
    change = np.abs(first - second).max() / np.abs(first).max()
    return [
        name,
        str(len(ops)),
        *(f"{value:.1f}" for value in (import_s, build_s, run_ms)),
        f"{first.std():.2g}",
        f"{change:.2g}",
    ]


def main() -> None:
    """Print a table of all models, or of those that are named."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("names", nargs="*", default=ALL_NAMES, metavar="MODEL", help=", ".join(ALL_NAMES))
    names = parser.parse_args().names
    target = f"llvm -mcpu={tvm.target.codegen.llvm_get_system_cpu()}"
    print(target)
    heads = ("model", "ops", "import s", "build s", "run ms", "output std", "change")
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for name in names:
        print(f"| {' | '.join(_check(name, target))} |", flush=True)


if __name__ == "__main__":
    main()
