"""Which kernel deserves the next trials: the largest expected gain for the plan.

After Ansor, section 6 (Zheng et al., OSDI 2020), and MetaSchedule's `GradientBased` task scheduler: a kernel's expected
gain per trial is a mean of what its last trials gave and of an optimistic guess, which falls as trials are spent on it
and ends at the bound that the machine sets. Here each *arm*, a kernel in one kind of lowering, has its own account, so
that trials also go to the kind that pays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tvm_go.lowering import Lowering

_PAST = 0.5  # weight of what the last trials gave, against the guess; Ansor's 0.2 all but ignores them
_WINDOW = 3  # batches that count as the last ones; as in MetaSchedule
_NEVER_DONE = 0.05  # part of a kernel's time that is taken to be improvable even beyond the bound, which is a guess


@dataclass
class KernelState:
    """A kernel's best time so far.

    Attributes
    ----------
    count : int
        Occurrences in the plan.
    bound_ms : float
        What the machine allows at best.
    best_ms : float
        By the lowerings known so far.
    """

    count: int
    bound_ms: float
    best_ms: float


@dataclass
class Arm:
    """One kind of lowering for one kernel, and what was tried of it.

    Attributes
    ----------
    kernel : int
        Number of the kernel.
    kind : str
        Of ``Lowering``.
    batch : int
        Trials at a time.
    known : tuple of (Lowering, float)
        What was known before, with its milliseconds; it cost no trials.
    logged : list of Lowering
        What stands in the log, in its order, and is to be tried first: so does a run that was stopped go on.
    history : list of (Lowering, float)
        What was tried, in order, with its milliseconds; ``inf`` for failures.
    gains_ms : list of float
        By how much each batch improved the kernel.
    exhausted : bool
        Whether there is nothing left to try.
    """

    kernel: int
    kind: str
    batch: int
    known: tuple[tuple[Lowering, float], ...] = ()
    logged: list[Lowering] = field(default_factory=list)
    history: list[tuple[Lowering, float]] = field(default_factory=list)
    gains_ms: list[float] = field(default_factory=list)
    exhausted: bool = False

    def expected_gain_ms(self, state: KernelState) -> float:
        """What one more trial is expected to save in the whole plan."""
        last = self.gains_ms[-_WINDOW:]
        past = sum(last) / len(last) if last else 0.0
        room = max(state.best_ms - state.bound_ms, _NEVER_DONE * state.best_ms)
        guess = min(room, state.best_ms * self.batch / (len(self.history) + self.batch)) * self._reach(state)
        return state.count * (_PAST * past + (1 - _PAST) * guess) / self.batch

    def _reach(self, state: KernelState) -> float:
        """How near this kind comes to the kernel's best, squared: one that is far behind seldom overtakes."""
        own_ms = min((milliseconds for _, milliseconds in (*self.known, *self.history)), default=state.best_ms)
        return min(1.0, state.best_ms / own_ms) ** 2


def choose(arms: Sequence[Arm], states: Sequence[KernelState], number: int) -> list[Arm]:
    """The arms to try next, the most promising first; equal ones in their order."""
    open_arms = [arm for arm in arms if not arm.exhausted]
    return sorted(open_arms, key=lambda arm: -arm.expected_gain_ms(states[arm.kernel]))[:number]
