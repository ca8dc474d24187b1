"""A model on its way from the front end to the arrays."""

from __future__ import annotations

from dataclasses import dataclass

import tvm

from benchmarks.zoo import ZooModel, load
from relay_passes.dataflow import Dataflow, read
from relay_passes.extract import to_graph
from relay_passes.fuse_ops import default_partition
from relay_passes.prepare import prepare
from relay_passes.targets import as_target
from tvm_go.graph import Int32, OpGraph

CI_MODELS = ("squeezenet", "lstm", "bert2")


@dataclass(frozen=True)
class Prepared:
    model: ZooModel
    target: tvm.target.Target
    mod: tvm.IRModule
    flow: Dataflow
    graph: OpGraph
    default: Int32


def prepare_model(name: str) -> Prepared:
    model = load(name)
    target = as_target("native")
    mod = prepare(model.mod, model.params, target=target)
    flow = read(mod)
    return Prepared(model, target, mod, flow, to_graph(flow), default_partition(mod, target=target))
