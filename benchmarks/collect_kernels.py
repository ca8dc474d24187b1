"""Measure kernels of the benchmark models by random plans: `python -m benchmarks.collect_kernels [MODEL...]`.

Goes on from its log when it is called again. Writes which kernels each plan has beside the log: `benchmarks.cost_model`
learns from both. With ``--drawn``, ``--formula`` or ``--published`` nets of `torch_models.NUMBERED` are measured
instead; one learns from them, but does not leave them out to test, so their plans are not kept. What ships
(``--ship``) are the log and the plans, compressed, and the cost model that was learned from the log.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
from pathlib import Path

from rich.console import Console

from benchmarks import torch_models
from benchmarks.own_process import CORES
from benchmarks.ship_records import MODELS as MEASURED
from benchmarks.zoo import ALL_NAMES, load
from cost_model.dataset import dataset
from cost_model.kernel_tuning import isa_of
from cost_model.pretrained import shipped_file
from cost_model.regressor import CostModel
from relay_passes.targets import as_target
from tuning_logs import TuningLog
from tuning_logs.files import write_whole
from tuning_logs.shipped import FOLDER, write_records
from tvm_go.collect import Collected, RandomPlans, collect_into, seed_of
from tvm_go.errors import LogError

MODELS = (*MEASURED, "alexnet", "resnet18", *torch_models.SMALL)
SHIPPED = FOLDER / "kernels.jsonl.gz"
TARGET = "llvm -mcpu=emeraldrapids -num-cores=2"
"""On which the kernels of the benchmark models in the log that ships were measured."""


def plans_file(log: Path) -> Path:
    """Where the kernels of each plan stand, by model; compressed if the log is."""
    return log.with_name(log.name.replace(".jsonl", ".plans.json"))


def plans_of(log: Path) -> dict[str, list[list[str]]]:
    """Keys of the kernels of each plan, by model.

    Raises
    ------
    LogError
        If there are none beside the log.
    """
    file = plans_file(log)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise LogError(f"cannot read {file}: {error.strerror}; benchmarks.collect_kernels makes it") from None
    plans: dict[str, list[list[str]]] = json.loads(gzip.decompress(content) if file.suffix == ".gz" else content)
    return plans


def remember(file: Path, plans: dict[str, list[list[str]]]) -> None:
    """Write the plans of some models; those of others stay, and of the same model if more are there already."""
    known = json.loads(file.read_text()) if file.exists() else {}
    longer = {name: own for name, own in plans.items() if len(own) >= len(known.get(name, []))}
    write_whole(file, json.dumps(known | longer).encode())


def main() -> None:
    """Collect, and write what ships."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=MODELS, metavar="MODEL", help=", ".join(ALL_NAMES))
    for kind, module in torch_models.NUMBERED.items():
        parser.add_argument(f"--{kind}", type=int, nargs=2, metavar=("FIRST", "END"), help=f"nets of {module} instead")
    parser.add_argument(
        "--kernels", type=int, default=400, help="distinct kernels of each at least; default: %(default)s"
    )
    parser.add_argument("--plans", type=int, default=50, help="of each at least; default: %(default)s")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path, default=Path("build/kernels.jsonl"))
    parser.add_argument("--ship", action="store_true", help=f"write {SHIPPED.name} and a cost model")
    args = parser.parse_args()
    target = as_target("native")
    log = TuningLog(args.log)
    log.ensure_writable()
    console = Console(width=160)
    wanted = {kind: getattr(args, kind) for kind in torch_models.NUMBERED}
    numbered = [f"{kind}_{number}" for kind, numbers in wanted.items() if numbers for number in range(*numbers)]
    names = numbered or args.models
    models = {}
    for name in names:
        model = load(name)
        models[name] = RandomPlans(model.mod, model.params, target, seed_of(name, args.seed))
    os.sched_setaffinity(0, CORES)  # TVM may have bound this thread to one core, which workers would inherit

    def tell(name: str, collected: Collected) -> None:
        console.print(f"{name}: {len(collected.plans)} plans, {len(collected.kernels)} kernels", highlight=False)

    found = collect_into(
        log, models, target, kernels=args.kernels, plans=args.plans, seconds=args.seconds, on_plans=tell
    )
    if not numbered:
        remember(plans_file(args.log), {name: one.plans for name, one in found.items()})
    records = log.kernel_records
    console.print(f"{args.log}: {len({record.key for record in records})} kernels, {len(records)} measurements")
    if args.ship:
        write_records(SHIPPED, records)
        write_whole(plans_file(SHIPPED), gzip.compress(plans_file(args.log).read_bytes(), mtime=0))
        CostModel.fit(dataset(records)).save(shipped_file(str(isa_of(target))))


if __name__ == "__main__":
    main()
