"""One tuning run in a process of its own, to be killed.

`python -m tests.tvm_go.tune_once MODEL LOG SEEN PLAN [TASK...]`; a TASK is what is decided, by default everything.
SEEN gets a line for each kernel as its measurement ends, before the log does.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import onnx
from tvm import relay

from cost_model import KernelResult, KernelTask, MeasureConfig
from cost_model.measure import Measurer
from tvm_go.tuning import TASKS, tune_graph

BUDGET = 30


def main() -> None:
    """Tune, and save the plan."""
    model, log, seen, plan, *decide = sys.argv[1:]
    measure = Measurer.measure

    def noting(self: Measurer, tasks: Sequence[KernelTask]) -> Iterator[KernelResult]:
        for result in measure(self, tasks):
            with Path(seen).open("a", encoding="utf-8") as file:
                file.write(result.key + "\n")
                file.flush()
                os.fsync(file.fileno())
            yield result

    Measurer.measure = noting  # type: ignore[method-assign]
    mod, params = relay.frontend.from_onnx(onnx.load(model))
    quick = MeasureConfig(number=1, repeat=2, min_repeat_ms=0.0, batch_size=4, batches_per_worker=1)
    options: dict[str, Any] = {"budget": BUDGET, "seed": 3, "decide": decide or TASKS, "measure": quick}
    result = tune_graph(mod, params, target="llvm", log=log, **options)
    result.plan.save(plan)
    print(result.measured, result.from_log)


if __name__ == "__main__":
    main()
