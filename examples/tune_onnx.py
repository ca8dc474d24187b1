"""Tune an ONNX model and run what comes of it: `python examples/tune_onnx.py model.onnx --budget 100`."""

import argparse
from pathlib import Path

import tvm
from tvm.contrib.graph_executor import GraphModule
from tvm.driver import tvmc

import tvm_go


class Follow(tvm_go.TuneCallbacks):
    """Says which stage the run is at."""

    def on_stage(self, name: str) -> None:
        print(f"... {name}")


def main() -> None:
    """Tune, say what was gained, build, time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--budget", type=int, default=100)
    parser.add_argument("--target", default="native")
    args = parser.parse_args()

    model = tvmc.load(str(args.model))
    plan = tvm_go.tune(
        model.mod,
        model.params,
        target=args.target,
        log=args.model.with_suffix(".jsonl").name,
        budget=args.budget,
        name=args.model.stem,
        callbacks=Follow(),
    )
    plan.save(args.model.with_suffix(".plan.json").name)
    said = plan.provenance
    print(f"verdict: {said['verdict']}; {said['default_ms']} ms by default, {said['plan_ms']} ms by the plan")

    library = tvm_go.build(model.mod, model.params, plan=plan)
    print(GraphModule(library["default"](tvm.cpu())).benchmark(tvm.cpu(), repeat=5))


if __name__ == "__main__":
    main()
