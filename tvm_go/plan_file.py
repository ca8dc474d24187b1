"""Plans at rest: a file of their own, or kept in the model library that was compiled by them."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from tvm_go.errors import PlanError

MEMBER = "tvm-go.plan.json"
"""Name of the plan in the archive of a model library; whoever runs the library passes over it."""


def read_plan_text(path: Path) -> str:
    """The text of a plan file, or of the plan in a model library (``model.tar`` of ``tvm-go compile``).

    Raises
    ------
    PlanError
        If the file cannot be read, or is a library that was compiled without a plan.
    """
    try:
        if not tarfile.is_tarfile(path):
            return path.read_text(encoding="utf-8")
        with tarfile.open(path) as tar:
            found = tar.extractfile(MEMBER) if MEMBER in tar.getnames() else None
            if found is None:
                raise PlanError(f"{path} is a model library without a plan: compile it with --graph-plan PLAN.json")
            return found.read().decode("utf-8")
    except (OSError, tarfile.TarError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PlanError(f"cannot read the plan {path} ({reason}); give a plan of `tvm-go tune-graph`") from error
    except UnicodeDecodeError as error:
        raise PlanError(f"{path} is no tvm-go plan (no text: {error}); `tvm-go tune-graph` writes one") from error


def add_to_library(library: Path, text: str) -> None:
    """Put a plan into a model library."""
    data = text.encode()
    entry = tarfile.TarInfo(MEMBER)
    entry.size = len(data)
    entry.mode = 0o644
    with tarfile.open(library, "a") as tar:
        tar.addfile(entry, io.BytesIO(data))
