"""Models of the zoo as lessons in fusing: graphs in several forms, kept in a folder once they were prepared."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.collect_kernels import SHIPPED, TARGET
from benchmarks.zoo import load
from relay_passes.targets import as_target
from tuning_logs.files import write_whole
from tvm_go.collect import seed_of
from tvm_go.expected_times import ExpectedTimes
from tvm_go.graph_json import from_json, packed, to_json, unpacked
from tvm_go.learn.fusion import FusionLesson
from tvm_go.model_forms import Form, forms_of
from tvm_go.training_fusion import fusion_lesson

FAMILIES: dict[str, tuple[str, ...]] = {
    "ResNet-like": ("resnet18", "resnet50"),
    "Inception-like": ("inception_v1", "inception_v2", "squeezenet", "densenet121"),
    "mobile": ("mobilenet", "shufflenet", "shuffle"),
    "chain": ("alexnet",),
    "BERT": ("bert2", "bert6", "vit_tiny"),
    "GPT": ("gpt2",),
    "LSTM": ("lstm", "lstm_wide", "gru"),
    "WaveNet": ("wavenet",),
    "mixers": ("mixer",),
    "formulas": ("physics", "options"),
}
"""Models whose kernels the shipped log knows, by what they are built of."""
MODELS = tuple(name for names in FAMILIES.values() for name in names)


@dataclass(frozen=True)
class Case:
    """A model in some forms of its ops.

    Attributes
    ----------
    name : str
        Model and number; 0 is TVM's own forms, 1 those that our rules suggest, more are random.
    """

    name: str
    form: Form

    @property
    def model(self) -> str:
        return self.name.partition(".")[0]


def cases_of(name: str, forms: int, folder: Path, target: str) -> list[Case]:
    """A model of the zoo in TVM's own forms, in those that rules suggest, and in some at random; kept in a folder."""
    parsed = as_target(target)
    path = folder / f"{name}.{forms}.{parsed.mcpu}.json"
    if not path.exists():
        model = load(name)
        found = forms_of(model.mod, model.params, parsed, more=forms, seed=seed_of(name, 0))
        rows = [{"graph": to_json(graph), "default": packed(default)} for graph, default in found]
        write_whole(path, json.dumps(rows).encode())
    rows = json.loads(path.read_text())
    kept = [Form(from_json(row["graph"]), unpacked(row["default"]).astype(np.int32)) for row in rows]
    return [Case(f"{name}.{i}", form) for i, form in enumerate(kept)]


def add_arguments(parser: argparse.ArgumentParser, forms: int) -> None:
    """Options for what is learned from, and by which times; ``forms`` is the default of one of them."""
    parser.add_argument("--forms", type=int, default=forms, help="random forms of each model (%(default)s)")
    parser.add_argument("--target", default=TARGET, help="of these times; default: that of the log that ships")
    parser.add_argument("--logs", type=Path, nargs="+", default=[SHIPPED], help="of kernels; the first with the probes")
    parser.add_argument("--graphs", type=Path, default=Path("build/graphs"), help="folder that keeps prepared models")
    parser.add_argument("--seed", type=int, default=0)


def times_of(args: argparse.Namespace) -> ExpectedTimes:
    """What kernels take on a target, by logs and the cost model that ships."""
    return ExpectedTimes.read(as_target(args.target), args.logs)


def lessons_of(
    cases: Sequence[Case],
    times: ExpectedTimes,
    seed: int,
    on_lesson: Callable[[FusionLesson], None] = lambda lesson: None,
) -> list[FusionLesson]:
    """Improve the default plan of each case by what is expected of its kernels."""
    found = []
    for case in cases:
        lesson = fusion_lesson(case.name, case.form, times, seed)
        assert lesson is not None  # all models of the zoo have something to fuse
        found.append(lesson)
        on_lesson(lesson)
    return found
