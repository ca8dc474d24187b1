"""How a kernel gets its schedule: a field of the plan."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tvm_go.errors import PlanError

KINDS = ("te", "tir", "metaschedule")


@dataclass(frozen=True, order=True)
class Lowering:
    """The lowering of one kernel.

    Attributes
    ----------
    kind : str
        ``te``: the TOPI schedule of the op strategy. ``tir``: our generic TIR schedule. ``metaschedule``: a tuned
        record.
    detail : str
        JSON: for ``tir`` its tiling (empty: the best by rule), for ``metaschedule`` the trace.
    """

    kind: str = "te"
    detail: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise PlanError(f"unknown lowering '{self.kind}': there are {', '.join(KINDS)}")
        if self.detail:
            try:
                json.loads(self.detail)
            except ValueError as error:
                raise PlanError(f"a lowering's detail is JSON, not {self.detail[:40]!r} ({error})") from error

    @property
    def is_tuned(self) -> bool:
        """Whether measurements of this kernel chose it, not a rule."""
        return bool(self.detail)

    def to_text(self) -> str:
        """One line, as logs and plans keep it."""
        return f"{self.kind} {self.detail}" if self.detail else self.kind

    @staticmethod
    def from_text(text: str) -> Lowering:
        """Read what :meth:`to_text` wrote."""
        kind, _, detail = text.partition(" ")
        return Lowering(kind, detail)


TE = Lowering("te")
TIR = Lowering("tir")
