"""Mixed-integer linear programs as arrays, and their solution by HiGHS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tvm_go.errors import UsageError
from tvm_go.simulate.workload import Floats

Columns = NDArray[np.int64]


class Program:
    """Minimise one column under linear rows; built in blocks of columns and rows."""

    def __init__(self) -> None:
        self._lower: list[Floats] = []
        self._upper: list[Floats] = []
        self._integer: list[NDArray[np.bool_]] = []
        self._rows: list[Columns] = []
        self._columns: list[Columns] = []
        self._values: list[Floats] = []
        self._row_upper: list[Floats] = []
        self.num_columns = 0
        self.num_rows = 0

    def add_columns(
        self, *shape: int, upper: ArrayLike = np.inf, lower: ArrayLike = 0.0, integer: bool = False
    ) -> Columns:
        """New variables, as an array of their numbers in that shape."""
        count = int(np.prod(shape))
        self._lower.append(np.broadcast_to(np.asarray(lower, dtype=np.float64), shape).reshape(-1))
        self._upper.append(np.broadcast_to(np.asarray(upper, dtype=np.float64), shape).reshape(-1))
        self._integer.append(np.full(count, integer))
        first, self.num_columns = self.num_columns, self.num_columns + count
        return np.arange(first, self.num_columns).reshape(shape)

    def at_most(self, limit: ArrayLike, shape: tuple[int, ...], *terms: tuple[Columns, ArrayLike]) -> None:
        """Rows of a shape: the sum of each term's columns times its values is at most the limit.

        A term's columns broadcast against ``shape``, with one axis more where a row sums over several.
        """
        count = int(np.prod(shape))
        rows = np.arange(self.num_rows, self.num_rows + count).reshape(shape)
        self.num_rows += count
        self._row_upper.append(np.broadcast_to(np.asarray(limit, dtype=np.float64), shape).reshape(-1))
        for columns, values in terms:
            several = columns.ndim > len(shape)
            full = (*shape, columns.shape[-1]) if several else shape
            value = np.broadcast_to(np.asarray(values, dtype=np.float64), full).reshape(-1)
            kept = value != 0
            self._rows.append(np.broadcast_to(rows[..., None] if several else rows, full).reshape(-1)[kept])
            self._columns.append(np.broadcast_to(columns, full).reshape(-1)[kept])
            self._values.append(value[kept])

    def lp(self, highspy: Any, cost: int) -> Any:
        """The program as HiGHS takes it; ``cost`` is the column to minimise."""
        rows, columns, values = (np.concatenate(parts) for parts in (self._rows, self._columns, self._values))
        place, entry = np.unique(
            rows * self.num_columns + columns, return_inverse=True
        )  # a row may name a column twice
        rows, columns = np.divmod(place, self.num_columns)
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = self.num_columns, self.num_rows
        lp.col_cost_ = (np.arange(self.num_columns) == cost).astype(np.float64)
        lp.col_lower_, lp.col_upper_ = np.concatenate(self._lower), np.concatenate(self._upper)
        lp.row_lower_ = np.full(self.num_rows, -np.inf)
        lp.row_upper_ = np.concatenate(self._row_upper)
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_ = np.searchsorted(rows, np.arange(self.num_rows + 1)).astype(np.int32)
        lp.a_matrix_.index_ = columns.astype(np.int32)
        lp.a_matrix_.value_ = np.bincount(entry, weights=values, minlength=len(place))
        kinds = (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger)
        lp.integrality_ = [kinds[one] for one in np.concatenate(self._integer).tolist()]
        return lp


@dataclass(frozen=True, eq=False)
class Outcome:
    """What HiGHS found: values of the columns (empty if none), a proven bound, and whether nothing else is possible."""

    values: Floats
    bound: float
    infeasible: bool


def solve(
    program: Program,
    cost: int,
    *,
    seconds: float,
    seed: int,
    start: tuple[Columns, Floats] | None,
    on_solution: Callable[[Floats, float], None],
    on_bound: Callable[[float], bool],
) -> Outcome:
    """Minimise a column.

    Parameters
    ----------
    start : tuple of columns and values, optional
        Part of a solution to begin from; HiGHS completes it.
    on_solution
        Takes the columns and the value of each better solution.
    on_bound
        Takes the proven bound now and then; returning True ends the search.

    Raises
    ------
    UsageError
        If HiGHS is not installed.
    """
    highspy = load()
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("parallel", "off")
    solver.setOptionValue("random_seed", seed % 2**31)
    solver.setOptionValue("mip_rel_gap", 1e-6)
    if np.isfinite(seconds):
        solver.setOptionValue("time_limit", max(seconds, 0.01))
    if solver.passModel(program.lp(highspy, cost)) == highspy.HighsStatus.kError:
        raise RuntimeError("HiGHS refuses the program")
    if start is not None:
        solver.setSolution(len(start[0]), start[0].astype(np.int32), start[1])

    def found(event: Any) -> None:
        on_solution(np.array(event.data_out.mip_solution), event.data_out.objective_function_value)

    def asked(event: Any) -> None:
        if on_bound(event.data_out.mip_dual_bound):
            event.interrupt()

    solver.cbMipImprovingSolution += found
    solver.cbMipInterrupt += asked
    solver.run()
    status, info = solver.getModelStatus(), solver.getInfo()
    feasible = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
    values = np.array(solver.getSolution().col_value) if feasible else np.empty(0)
    return Outcome(values, info.mip_dual_bound, status == highspy.HighsModelStatus.kInfeasible)


def load() -> Any:
    """The module highspy.

    Raises
    ------
    UsageError
        If it is not installed.
    """
    try:
        import highspy
    except ImportError:
        raise UsageError("strategy 'milp' needs HiGHS; install it with: pip install 'tvm-go[placement]'") from None
    return highspy
