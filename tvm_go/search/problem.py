"""What every strategy searches: a graph, a rule set, the default partition, and an oracle under a budget."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from tvm_go.graph import Int32, OpGraph
from tvm_go.kernels import Kernel, describe, members, paid_keys, returned_values
from tvm_go.legalize import encode, legalize
from tvm_go.rules import Rules

_PREDICTED = 64  # kernels that may be asked for each one that may be measured
_MOST_DOUBT = 5.0  # standard deviations
_MEASURED_SHARE = 0.5  # of the predicted kernels of a partition, before it is judged again

#: Milliseconds of kernels, by structural key; ``inf`` for those that cannot be used.
Oracle = Callable[[Sequence[tuple[str, Kernel]]], "list[float]"]


@dataclass(frozen=True)
class Budget:
    """When to stop: distinct kernels asked of the oracle, and seconds.

    A kernel that stands in the log counts like one that is measured, so that a search that was interrupted
    and goes on, or is replayed from its log, takes the same steps to the same plan.
    """

    kernels: int = 200
    seconds: float = float("inf")


@dataclass
class Problem:
    """Partitions of one graph, costed by an oracle; remembers the best one.

    The cost of a partition is the sum of its kernels' milliseconds. The oracle may predict some of them. They are
    confirmed by measuring where they matter, the least sure first: in a partition that would be the best one if it took
    the least that is likely. So predictions save measurements and never choose. They cost no budget.
    """

    graph: OpGraph
    default: Int32
    rules: Rules
    oracle: Oracle
    budget: Budget = field(default_factory=Budget)
    on_progress: Callable[[Problem], None] = lambda problem: None
    known: dict[str, float] = field(default_factory=dict)  # milliseconds by kernel key
    confirm: Oracle | None = None  # measures what the oracle only predicted
    guessed: Callable[[str], tuple[float, float] | None] = lambda key: None  # only predicted: expected, and at least
    predicts: Callable[[], bool] = lambda: False  # whether the oracle answers without measuring
    best: Int32 = field(init=False)
    best_ms: float = field(init=False, default=float("inf"))
    default_ms: float = field(init=False, default=float("inf"))
    history: list[tuple[int, float]] = field(init=False, default_factory=list)  # (kernels asked, best ms)
    _deadline: float = field(init=False, default=float("inf"))
    _doubt: float = field(init=False, default=1.0)  # standard deviations that a prediction may be off

    def __post_init__(self) -> None:
        self.best = self.default
        self._deadline = time.monotonic() + self.budget.seconds

    @property
    def spent(self) -> int:
        """Distinct kernels asked so far, predictions left out."""
        return sum(self.guessed(key) is None for key in self.known)

    @property
    def asked(self) -> int:
        """Distinct kernels asked so far, predictions among them."""
        return len(self.known)

    @property
    def exhausted(self) -> bool:
        asked_enough = self.spent >= self.budget.kernels or self.asked >= _PREDICTED * self.budget.kernels
        return asked_enough or time.monotonic() >= self._deadline

    def doubt_more(self) -> bool:
        """Let predictions be off by one standard deviation more from now on; False if that changes nothing."""
        if self._doubt >= _MOST_DOUBT or self.spent == self.asked:
            return False
        self._doubt += 1
        return True

    def cost_default(self) -> float:
        """Milliseconds of the default partition; measured whatever the budget, for all else is compared with it."""
        self._ask(self._unknown(self.default))
        self._settle([self.default])
        self.default_ms = self._take(self.default)
        return self.default_ms

    def expected(self, kernel: Int32) -> float:
        """Milliseconds of a partition as far as the oracle knows without measuring what it can predict."""
        return self.expected_all([kernel])[0]

    def expected_all(self, partitions: Sequence[Int32]) -> list[float]:
        """As :meth:`expected`, of several, whose unknown kernels are asked for in one batch."""
        return [expected for _, expected in self._foretold(partitions)]

    def least_all(self, partitions: Sequence[Int32]) -> list[float]:
        """As :meth:`expected_all`, if predictions are off by as much as is likely."""
        return [least for least, _ in self._foretold(partitions)]

    def _foretold(self, partitions: Sequence[Int32]) -> list[tuple[float, float]]:
        wanted: dict[str, Kernel] = {}
        for kernel in partitions:
            wanted |= self._unknown(kernel)
        self._ask(wanted)
        return [self._sums(kernel) for kernel in partitions]

    def cost(self, partitions: Sequence[Int32]) -> list[float | None]:
        """Milliseconds of several partitions, their unknown kernels measured in one batch.

        Returns
        -------
        list of float or None
            ``inf`` for a partition with a kernel that fails; None for one that the budget no longer allows.
        """
        wanted: dict[str, Kernel] = {}
        affordable = []
        for kernel in partitions:
            more = {key: kernel for key, kernel in self._unknown(kernel).items() if key not in wanted}
            fits = not more or (not self.exhausted and self.spent + len(wanted) + len(more) <= self.budget.kernels)
            affordable.append(fits)
            if fits:
                wanted |= more
        self._ask(wanted)
        self._settle([kernel for kernel, fits in zip(partitions, affordable, strict=True) if fits])
        return [self._take(kernel) if fits else None for kernel, fits in zip(partitions, affordable, strict=True)]

    def known_cost(self, kernel: Int32) -> float:
        """Milliseconds of a partition whose kernels are all known; ``nan`` if one is not."""
        self._settle([kernel])
        return self._take(kernel)

    def merged(self, kernel: Int32, edges: Int32) -> Int32:
        """The partition with some edges merged as far as that is legal."""
        priority = encode(self.graph, kernel) * (len(edges) + 1)
        priority[edges] = np.maximum(priority[edges], len(edges) - np.arange(len(edges)))
        return legalize(self.graph, priority, self.rules)

    def _sums(self, kernel: Int32) -> tuple[float, float]:
        """Milliseconds of a partition, at the least and as expected; errors of predictions are taken as independent."""
        pairs = [self._bounds(key) for key in self.paid_keys(kernel) if key]
        total, open_ms = sum(ms for ms, _ in pairs), [ms - low for ms, low in pairs if ms < math.inf]
        least = sum(low for _, low in pairs) + sum(open_ms) - math.hypot(*open_ms)
        return float(least), float(total)

    def _bounds(self, key: str) -> tuple[float, float]:
        """What a kernel takes, as expected and at the least, if predictions are doubted so much."""
        guess = self.guessed(key) if key in self.known else (math.nan, math.nan)
        if guess is None:
            return self.known[key], self.known[key]
        ms, low = guess
        return ms, low if ms == math.inf else ms * (low / ms) ** self._doubt

    def _take(self, kernel: Int32) -> float:
        """Milliseconds of a partition that was settled; it may be the best one now."""
        _, total = self._sums(kernel)
        if total < self.best_ms:
            self.best, self.best_ms = kernel, total
            self.history.append((self.spent, total))
            self.on_progress(self)
        return total

    def _settle(self, partitions: Sequence[Int32]) -> None:
        """Measure the predicted kernels of partitions that may be the best, the least sure first."""
        if self.confirm is None or self.spent == self.asked:
            return
        while True:
            wanted: dict[str, Kernel] = {}
            for kernel in partitions:
                if self._sums(kernel)[0] < self.best_ms:
                    wanted |= self._least_sure(kernel)
            if not wanted:
                return
            for key, milliseconds in zip(wanted, self.confirm(list(wanted.items())), strict=True):
                self.known[key] = milliseconds
            self.on_progress(self)

    def _least_sure(self, kernel: Int32) -> dict[str, Kernel]:
        """Those predicted kernels of a partition that leave most open what it takes."""
        numbers = self._numbers(kernel)
        open_ms = {key: guess[0] - guess[1] for key in numbers if (guess := self.guessed(key)) is not None}
        chosen = set(sorted(open_ms, key=lambda key: -open_ms[key])[: math.ceil(_MEASURED_SHARE * len(open_ms))])
        return self._described(kernel, {key: number for key, number in numbers.items() if key in chosen})

    def _ask(self, needed: dict[str, Kernel]) -> None:
        if needed:
            for (key, _), milliseconds in zip(needed.items(), self.oracle(list(needed.items())), strict=True):
                self.known[key] = milliseconds
            self.on_progress(self)

    def paid_keys(self, kernel: Int32) -> list[str]:
        """Key of each kernel; empty for those that cost nothing, or the same in every plan."""
        return paid_keys(self.graph, kernel)

    def _numbers(self, kernel: Int32) -> dict[str, int]:
        """The kernels of a partition that cost something: a number of each key."""
        return {key: number for number, key in enumerate(self.paid_keys(kernel)) if key}

    def _unknown(self, kernel: Int32) -> dict[str, Kernel]:
        """The kernels of a partition that were never asked for, by key."""
        numbers = self._numbers(kernel)
        return self._described(kernel, {key: number for key, number in numbers.items() if key not in self.known})

    def _described(self, kernel: Int32, numbers: dict[str, int]) -> dict[str, Kernel]:
        if not numbers:
            return {}
        starts, ops = members(kernel)
        returned = returned_values(self.graph, kernel)
        return {
            key: describe(self.graph, ops[starts[number] : starts[number + 1]], returned)
            for key, number in numbers.items()
        }
