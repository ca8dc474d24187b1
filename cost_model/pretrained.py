"""The cost models that come with the package, one for each class of CPUs."""

from __future__ import annotations

from pathlib import Path

from cost_model.regressor import CostModel
from tvm_go.errors import UsageError

SHIPPED = "shipped"
"""In the place of a file's name: the model that comes with the package."""
FOLDER = Path(__file__).parent / "shipped"


def shipped_file(isa: str) -> Path:
    """Where the package keeps the model for a class of instruction sets, such as ``avx512``."""
    return FOLDER / f"{isa}.model"


def cost_model_of(name: str | Path, *, isa: str | None, target: str) -> CostModel:
    """A cost model from a file, or the one that ships for a target's class of instruction sets.

    Raises
    ------
    UsageError
        If none ships for such targets.
    LogError
        If the file cannot be used.
    """
    if name != SHIPPED:
        return CostModel.load(name)
    if isa is None or not shipped_file(isa).exists():
        have = ", ".join(sorted(path.stem for path in FOLDER.glob("*.model"))) or "none"
        raise UsageError(
            f"no cost model ships for '{target}' (there are: {have}); "
            "`tvm-go log collect` and `tvm-go log train` make one"
        )
    return CostModel.load(shipped_file(isa))
