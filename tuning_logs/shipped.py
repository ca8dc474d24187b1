"""Records that come with the package, and records that a user names: tuned lowerings by kernel.

The files under ``shipped/`` hold ordinary kernel records, the best of each kernel, one file for each class of CPUs;
`python -m benchmarks.ship_records` writes them. Whoever calls says which class a target belongs to.
"""

from __future__ import annotations

import gzip
import json
import math
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from tuning_logs.files import kernels_of, text_of, write_whole
from tuning_logs.records import KernelRecord
from tvm_go.errors import LogError
from tvm_go.lowering import Lowering

FOLDER = Path(__file__).parent / "shipped"
"""Where the package keeps its records."""

IsaOf = Callable[[str], str | None]
"""Class of instruction sets of a target's text; None if it is in none of ours."""


def records_for(isa: str | None, *, folder: Path = FOLDER) -> list[KernelRecord]:
    """The shipped records for a class of instruction sets, such as ``avx2``; empty where there are none."""
    path = folder / f"{isa}.jsonl.gz"
    return kernels_of(path) if isa and path.exists() else []


def shipped_lowerings(isa: str | None) -> dict[str, tuple[Lowering, ...]]:
    """Lowerings of the shipped records by kernel key, the best first."""
    return lowerings_of(records_for(isa))


def shipped_forms(isa: str | None, *, folder: Path = FOLDER) -> dict[str, str]:
    """The shipped variants of ops that were found best by measuring, by key of a unit of ops; empty if there are none.

    Raises
    ------
    LogError
        If the file is not what :func:`write_forms` wrote.
    """
    path = _forms_file(folder, isa)
    if not isa or not path.exists():
        return {}
    try:
        forms = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise LogError(f"cannot read the variants in {path}: {error}; install the package again") from None
    return {str(key): str(form) for key, form in forms.items()}


def write_forms(folder: Path, isa: str, forms: Mapping[str, str]) -> None:
    """Write what :func:`shipped_forms` reads; what stands there of other units is kept."""
    merged = shipped_forms(isa, folder=folder) | dict(forms)
    write_whole(_forms_file(folder, isa), (json.dumps(merged, indent=0, sort_keys=True) + "\n").encode())


def lowerings_of(records: Iterable[KernelRecord]) -> dict[str, tuple[Lowering, ...]]:
    """Lowerings that succeeded, by kernel key, the best first."""
    found: dict[str, dict[str, None]] = {}
    for record in sorted(records, key=lambda record: record.median_ms):
        if record.succeeded:
            found.setdefault(record.key, {})[record.lowering] = None
    return {key: tuple(map(Lowering.from_text, texts)) for key, texts in found.items()}


def lowerings_from(path: str | os.PathLike[str], *, target: str, isa_of: IsaOf) -> dict[str, tuple[Lowering, ...]]:
    """Lowerings of a log that a user names, for a target; those that the log has for such CPUs, the best first.

    Parameters
    ----------
    path
        A tuning log, or a compressed one (``.gz``).
    target
        Canonical text of the target.
    isa_of
        Tells CPU generations apart.

    Raises
    ------
    LogError
        If the file cannot be read, holds no kernels, or none for such CPUs.
    """
    path = Path(path)
    if not path.is_file():
        raise LogError(f"there are no tuning records in {path}: no such file")
    records = [record for record in kernels_of(path) if record.succeeded]
    if not records:
        raise LogError(f"{path} holds no kernel that was measured: `tvm-go tune-graph --log {path}` fills it")
    isa = isa_of(target)
    fitting = [one for one in records if one.target == target or (isa is not None and isa_of(one.target) == isa)]
    if not fitting:
        other = records[0]
        raise LogError(
            f"the records in {path} were tuned for {_cpu(other.target, isa_of)} (on {other.host_cpu}), "
            f"not for {_cpu(target, isa_of)}: leave them out, or tune for this target"
        )
    return lowerings_of(fitting)


def best_records(records: Iterable[KernelRecord]) -> list[KernelRecord]:
    """The fastest success of each kernel, in the order of the keys."""
    best: dict[str, KernelRecord] = {}
    for record in records:
        known = best.get(record.key)
        if record.succeeded and record.median_ms < (known.median_ms if known else math.inf):
            best[record.key] = record
    return [best[key] for key in sorted(best)]


def write_records(path: Path, records: Iterable[KernelRecord]) -> None:
    """Write a compressed log; readers see the old file or the new one, and equal records give equal bytes.

    Raises
    ------
    LogError
        If it cannot be written.
    """
    write_whole(path, gzip.compress(text_of(records), mtime=0))


def _forms_file(folder: Path, isa: str | None) -> Path:
    return folder / f"{isa}.variants.json"


def _cpu(target: str, isa_of: IsaOf) -> str:
    return f"{isa_of(target) or 'other'} CPUs ('{target}')"
