"""Every public name says by an example how it is used, and the examples run: on one small model, tuned once."""

from __future__ import annotations

import doctest
import importlib
import inspect
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
import tvm
from tvm.driver import tvmc

import tuning_logs
import tvm_go
import tvm_go.tvmc
from tests.tuned import BUDGET, Tuned

_PUBLIC = [
    (module.__name__, name)
    for module in (tvm_go, tuning_logs, tvm_go.tvmc)
    for name in sorted(module.__all__)
    if inspect.isclass(getattr(module, name)) or inspect.isroutine(getattr(module, name))
]
_OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


@pytest.fixture(scope="module")
def names(tuned: Tuned, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What examples may use: a folder with a model, its log and its plan to stand in, and the usual imports."""
    folder = tmp_path_factory.mktemp("examples")
    before = Path.cwd()
    os.chdir(folder)
    shutil.copy(tuned.model, "small.onnx")
    shutil.copy(tuned.log, "log.jsonl")
    model = tvmc.load("small.onnx")
    tvm_go.tune(model.mod, model.params, log="log.jsonl", budget=BUDGET).save("plan.json")
    given: dict[str, Any] = {"mod": model.mod, "params": model.params, "numpy": numpy, "torch": torch, "tvm": tvm}
    given |= {"tvmc": tvmc, "tvm_go": tvm_go, "Path": Path}
    yield given
    os.chdir(before)


@pytest.mark.parametrize(("module", "name"), _PUBLIC, ids=lambda text: text)
def test_a_public_name_has_examples_and_they_run(module: str, name: str, names: dict[str, Any]) -> None:
    home = importlib.import_module(module)
    thing = getattr(home, name)
    public = {one: getattr(home, one) for one in home.__all__}
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = [one for one in finder.find(thing, name, globs={**names, **public}) if one.examples]
    assert found, f"{module}.{name} shows no example"
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=_OPTIONS)
    for one in found:
        runner.run(one, out=report.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)
