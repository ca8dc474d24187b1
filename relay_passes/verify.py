"""Two builds of one model, side by side: the same numbers, and the clock."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relay_passes.numerics import compare
from relay_passes.rounding import SAMPLES, disturbances, within_rounding

_FEWEST_LOADS, MOST_LOADS = 3, 5
_LOADS_FOR_A_CLEAR_CASE, _CLEAR_RATIO = 2, 1.5  # loads differ by some percent: no more of them are needed then
_LOADING_LIMIT_S = 60.0  # beyond it the fewest loads must do: half a gigabyte of weights takes long to get to a server
_ROUND_MS = 40.0  # of each build in each round: long against a scheduler's tick
_FEWEST_ROUNDS, _MOST_ROUNDS = 3, 8  # per load
_TIME_LIMIT_MS = 2_500.0  # per load
_INPUT_UNITS = 8.0  # relative epsilons by which inputs are moved to see how sensitive a model is

#: Mean milliseconds of one run, given how many to average.
Clock = Callable[[int], float]


@dataclass(frozen=True)
class Timing:
    """Two builds timed in turns.

    Attributes
    ----------
    default_ms, plan_ms : float
        Median over rounds.
    ratio : float
        Median of default / plan, round by round.
    ratio_low, ratio_high : float
        99 % confidence interval of that median, widened to the medians of the single loads.
    """

    default_ms: float
    plan_ms: float
    ratio: float
    ratio_low: float
    ratio_high: float

    @property
    def verdict(self) -> str:
        """``faster``, ``slower`` or ``same``: what can be said of the plan beyond the noise of the machine."""
        if self.ratio_low > 1.0:
            return "faster"
        return "slower" if self.ratio_high < 1.0 else "same"


@dataclass(frozen=True)
class Verification:
    """What a whole plan does against TVM's default build on the same inputs."""

    numerics: str  # "ok", "sensitive" or "wrong", as of kernels
    max_error: float
    timing: Timing

    @property
    def verdict(self) -> str:
        """``wrong``, or the verdict of the clock."""
        return "wrong" if self.numerics == "wrong" else self.timing.verdict


def verify(
    load_default: Callable[[], Any],
    load_plan: Callable[[], Any],
    inputs: dict[str, NDArray[Any]],
    device: Any,
    *,
    most_loads: int = MOST_LOADS,
) -> Verification:
    """Compare the outputs of two builds on the same inputs, then time them in turns.

    Both are loaded several times: where weights and buffers come to lie moves the time of one build by some
    percent, which no number of runs of one load would show.

    Parameters
    ----------
    load_default, load_plan : callable
        Make a fresh ``tvm.contrib.graph_executor.GraphModule`` on the device, local or remote.
    inputs : dict of str to array
    device : tvm.runtime.Device
    most_loads : int
        How often to load both at most.
    """
    numerics, max_error = "ok", 0.0
    loads: list[list[tuple[float, float]]] = []
    start = time.monotonic()
    while len(loads) < most_loads:
        if len(loads) >= _FEWEST_LOADS and time.monotonic() - start > _LOADING_LIMIT_S:
            break
        if len(loads) >= _LOADS_FOR_A_CLEAR_CASE and _is_clear(loads):
            break
        if len(loads) % 2:  # neither build always comes first in memory
            plan = load_plan()
            default = load_default()
        else:
            default = load_default()
            plan = load_plan()
        expected, actual = outputs(default, inputs), outputs(plan, inputs)
        verdicts = [compare(*arrays) for arrays in zip(actual, expected, strict=True)]
        max_error = max(max_error, *(error for _, error in verdicts))
        if not all(ok for ok, _ in verdicts) and numerics != "wrong":
            within = within_rounding(actual, expected, _samples(default, inputs))
            numerics = "sensitive" if within else "wrong"
        loads.append(time_in_turns(clock(default, device), clock(plan, device)))
    return Verification(numerics, max_error, summary(loads))


def _is_clear(loads: Sequence[Sequence[tuple[float, float]]]) -> bool:
    ratios = [default / plan for rounds in loads for default, plan in rounds]
    return min(ratios) > _CLEAR_RATIO or max(ratios) < 1 / _CLEAR_RATIO


def time_in_turns(default: Clock, plan: Clock) -> list[tuple[float, float]]:
    """Time two builds in turns, for a number of rounds that is fixed beforehand.

    Slow drifts of the machine (clock, neighbours) hit both halves of a round alike, so the ratio of each round is
    steadier than any time. Stopping as soon as one side leads would find a winner in noise.

    Returns
    -------
    list of (float, float)
        Milliseconds of one run of each, per round.
    """
    first = [default(1), plan(1)]
    counts = [max(1, math.ceil(_ROUND_MS / max(ms, 1e-3))) for ms in first]
    round_ms = sum(ms * count for ms, count in zip(first, counts, strict=True))
    rounds: list[tuple[float, float]] = []
    for number in range(max(_FEWEST_ROUNDS, min(_MOST_ROUNDS, int(_TIME_LIMIT_MS / round_ms)))):
        if number % 2:  # neither build always goes first
            plan_ms = plan(counts[1])
            rounds.append((default(counts[0]), plan_ms))
        else:
            rounds.append((default(counts[0]), plan(counts[1])))
    return rounds


def summary(loads: Sequence[Sequence[tuple[float, float]]]) -> Timing:
    """Medians, and an interval that covers the noise within a load and between loads.

    Within: the distribution-free interval of the median (order statistics of the binomial), all rounds pooled.
    Between: the medians of the single loads; five of them on one side of 1 by chance has probability 1/16.
    """
    times = np.concatenate([np.array(rounds) for rounds in loads])
    ratios = np.sort(times[:, 0] / times[:, 1])
    medians = [float(np.median(np.array(rounds)[:, 0] / np.array(rounds)[:, 1])) for rounds in loads]
    spread = 2.58 * math.sqrt(len(ratios)) / 2
    low = max(0, math.floor(len(ratios) / 2 - spread))
    high = min(len(ratios) - 1, math.ceil(len(ratios) / 2 + spread) - 1)
    return Timing(
        default_ms=float(np.median(times[:, 0])),
        plan_ms=float(np.median(times[:, 1])),
        ratio=float(np.median(ratios)),
        ratio_low=min(float(ratios[low]), *medians),
        ratio_high=max(float(ratios[high]), *medians),
    )


def outputs(executor: Any, inputs: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """Run a graph executor once."""
    executor.set_input(**inputs)
    executor.run()
    return [executor.get_output(i).numpy() for i in range(executor.get_num_outputs())]


def _samples(executor: Any, inputs: dict[str, NDArray[Any]]) -> Iterator[list[NDArray[Any]]]:
    """Outputs for inputs that are disturbed by some rounding errors, in the place of all that a model makes."""
    for seed in range(SAMPLES):
        disturb = disturbances(seed, _INPUT_UNITS)
        yield outputs(executor, {name: disturb(value) for name, value in inputs.items()})
    executor.set_input(**inputs)


def clock(executor: Any, device: Any) -> Clock:
    """What tells the milliseconds of one run, mean over so many."""

    def run(number: int) -> float:
        return float(executor.module.time_evaluator("run", device, number=number, repeat=1)().mean * 1e3)

    return run
