"""What kernel tuning takes, and what it tells while it runs."""

from __future__ import annotations

from dataclasses import dataclass

from relay_passes.dataflow import Dataflow
from tvm_go.graph import OpGraph
from tvm_go.kernels import Kernel


@dataclass(frozen=True, eq=False)
class TunableKernel:
    """A kernel of a plan, and where it stands.

    Attributes
    ----------
    key : str
        Structural hash.
    kernel : Kernel
        One place where it occurs.
    flow, graph : Dataflow, OpGraph
        The prepared model that ``kernel`` indexes.
    count : int
        How often it occurs in the plan.
    """

    key: str
    kernel: Kernel
    flow: Dataflow
    graph: OpGraph
    count: int = 1

    @property
    def flops(self) -> float:
        """Floating point operations of one execution."""
        return float(sum(self.graph.flops[op] for op in self.kernel.ops))

    @property
    def bytes(self) -> int:
        """Bytes that it must read and write at least."""
        return int(sum(self.graph.value_bytes[value] for value in (*self.kernel.inputs, *self.kernel.outputs)))


@dataclass(frozen=True)
class TuningConfig:
    """How kernels are tuned.

    Attributes
    ----------
    tilings, traces : int
        Candidates of one kernel that are asked for at a time, by kind; a search learns from them before it gives more.
        MetaSchedule takes seconds for a batch, whatever its size.
    kernels_per_round : int
        Batches that are built and measured together, so that all builders are busy.
    population, generations : int
        Of MetaSchedule's evolutionary search. Its own 512 and 4 take longer than measuring all that they give.
    warmup : int
        Measured schedules before MetaSchedule's cost model ranks; it guesses at random until then.
    searchers : int
        Processes that generate candidates. Results depend on it, so it does not follow the machine.
    timeout_s : float
        Longest time for one batch of candidates; a search that takes longer is given up.
    memory_mb : int
        Address space that a searcher may take beyond what it has after importing TVM.
    """

    tilings: int = 8
    traces: int = 16
    kernels_per_round: int = 4
    population: int = 32
    generations: int = 2
    warmup: int = 32
    searchers: int = 2
    timeout_s: float = 120.0
    memory_mb: int = 3072

    def batch(self, kind: str) -> int:
        """Candidates asked for at a time, by kind of lowering."""
        return self.tilings if kind == "tir" else self.traces


@dataclass(frozen=True)
class Progress:
    """Where tuning stands.

    Attributes
    ----------
    spent, trials : int
        Trials so far, and allowed.
    before_ms, now_ms : float
        Sum of the plan's kernels before tuning, and by the best lowerings now.
    """

    spent: int
    trials: int
    before_ms: float
    now_ms: float
