"""Predictions for an oracle: which lowerings of a kernel are worth a measurement, and what it will take at best."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from cost_model.dataset import LOWERINGS, PROBE, Inputs, dataset, described, device_row, full_row, probe_times
from cost_model.features import Floats
from cost_model.regressor import CostModel
from cost_model.structure import Structure
from tuning_logs import KernelRecord
from tvm_go.lowering import Lowering

_AGREED = 0.35  # deviation (of log2) where trees and networks agree; 0.27 on unseen models of a CPU that is known
_LIKELY_FAILURE = 0.5
_WORTH = 1.15  # a lowering that is predicted to take more than this times the best one's time is not measured
_REFIT_EVERY = 40  # measurements


@dataclass(frozen=True)
class Guess:
    """What is predicted of a kernel.

    Attributes
    ----------
    ms : float
        Milliseconds by its best lowering; ``inf`` if all are likely to fail.
    sum_ms : float
        Likewise by the sum of costs alone, to choose by if nothing is measured: see `cost_model.regressor.Prediction`.
    least_ms : float
        What it takes if the prediction is off by a standard deviation, and it does not fail. Of kernels of models that
        were left out, one in eleven takes less.
    worth : tuple of Lowering
        Lowerings that may be the best one.
    """

    ms: float
    sum_ms: float
    least_ms: float
    worth: tuple[Lowering, ...]


@dataclass
class Predictor:
    """A cost model on one device; learns from what is measured on it.

    Parameters
    ----------
    model : CostModel
    target, host_cpu : str
        Of the device.
    records : iterable of KernelRecord
        Of a log; the device's probes among them are kept.
    """

    model: CostModel
    target: str
    host_cpu: str
    records: Iterable[KernelRecord] = ()
    _device: Floats = field(init=False)
    _new: list[KernelRecord] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.records = [one for one in self.records if one.model.startswith(PROBE)]
        self._device = device_row(probe_times(self.records), self.target, self.host_cpu)

    def guess(self, structures: Sequence[Structure], lowerings: Sequence[Sequence[Lowering]]) -> list[Guess | None]:
        """Predict kernels, each by those of its lowerings that are predictable; the others are always worth measuring.

        A kernel without a predictable lowering gives None.

        Parameters
        ----------
        structures : sequence of Structure [K]
        lowerings : sequence of sequence of Lowering [K]
            That each kernel can take.
        """
        table, kernels = described(structures)
        pairs = [
            (row, lowering) for row, can_take in enumerate(lowerings) for lowering in can_take if lowering in LOWERINGS
        ]
        rows = np.array([full_row(table[row], lowering, self._device) for row, lowering in pairs])
        found = self.model.predict(Inputs(rows, kernels, np.array([row for row, _ in pairs], dtype=np.int64)))
        guesses: list[Guess | None] = []
        first = 0
        for can_take in lowerings:
            own = [lowering for lowering in can_take if lowering in LOWERINGS]
            part = slice(first, first + len(own))
            first += len(own)
            ms, spread, works = found.ms[part], found.spread[part], found.failure[part] < _LIKELY_FAILURE
            if not own:
                guesses.append(None)
                continue
            least = ms * np.exp2(-np.hypot(spread, _AGREED))
            best = int(np.argmin(np.where(works, ms, np.inf))) if works.any() else int(np.argmin(least))
            near = (works | ~works.any()) & (ms <= _WORTH * ms[best] * np.exp2(spread + spread[best]))
            worth = [lowering for lowering, is_near in zip(own, near.tolist(), strict=True) if is_near]
            tuned = [lowering for lowering in can_take if lowering not in LOWERINGS]
            expected = float(ms[best]) if works.any() else np.inf
            by_sum = float(found.sum_ms[part].min(initial=np.inf, where=works))
            guesses.append(Guess(expected, by_sum, float(least[best]), (*worth, *tuned)))
        return guesses

    def learn(self, record: KernelRecord) -> bool:
        """Take in a measurement; True if the model was refitted, as there were enough new ones."""
        if Lowering.from_text(record.lowering) in LOWERINGS and record.structure is not None:
            self._new.append(record)
        if len(self._new) < _REFIT_EVERY:
            return False
        self.model = self.model.refit(dataset([*self._new, *self.records]))
        self._new.clear()
        return True
