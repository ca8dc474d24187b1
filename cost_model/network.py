"""A graph network that corrects a sum of costs: what it predicts, in NumPy alone.

GraphSAGE with max-pooling (Hamilton et al., NeurIPS 2017, section 3.3) between ops that feed each other; what it reads
out of a kernel stands beside the row that the trees see. `cost_model.network_training` learns its weights.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cost_model.dataset import Inputs
from cost_model.features import Floats
from cost_model.kernel_ops import OpBatch

Singles = NDArray[np.float32]

LAYERS = 3
_FAR = 6.0  # standard deviations: what lies further out than anything learned from counts as that far
_BATCH = 4096  # kernels


@dataclass(frozen=True, eq=False)
class Scale:
    """Brings columns to mean 0 and deviation 1; a column that never changed in what was learned from becomes 0.

    Attributes
    ----------
    middle, factor : float64 [C]
    """

    middle: Floats
    factor: Floats

    @staticmethod
    def of(table: Floats) -> Scale:
        """From rows to learn from: float64 [R, C]."""
        table = np.nan_to_num(table)
        deviation = table.std(axis=0)
        varies = deviation > 1e-9
        return Scale(table.mean(axis=0), varies / np.where(varies, deviation, 1.0))

    def apply(self, table: Floats) -> Singles:
        """Any rows: float32 [R, C]."""
        scaled = (np.nan_to_num(table) - self.middle) * self.factor
        return np.clip(scaled, -_FAR, _FAR).astype(np.float32)


@dataclass(frozen=True, eq=False)
class KernelNetwork:
    """From the ops of kernels, and their rows, to logarithms (base 2) of milliseconds over a sum of costs.

    Attributes
    ----------
    ops, rows : Scale
    bounds : float64 [2]
        Least and most that was learned from; nothing beyond is predicted.
    weights : mapping of str to float32 array
        By the names that the layers have where they are learned.
    """

    ops: Scale
    rows: Scale
    bounds: Floats
    weights: Mapping[str, Singles]

    def predict(self, inputs: Inputs) -> Floats:
        """float64 [R]."""
        found = np.zeros(len(inputs.rows))
        for start in range(0, len(found), _BATCH):
            part = slice(start, start + _BATCH)
            batch = inputs.kernels.batch(inputs.kernel[part])
            ops, rows = self.ops.apply(inputs.kernels.table[batch.ops]), self.rows.apply(inputs.rows[part])
            found[part] = self._outputs(batch, ops, rows)
        return np.clip(found, *self.bounds)

    def to_bytes(self) -> bytes:
        """For :meth:`from_bytes`."""
        arrays: dict[str, Any] = {"bounds": self.bounds}
        for name, scale in (("ops", self.ops), ("rows", self.rows)):
            arrays |= {f"{name}.middle": scale.middle, f"{name}.factor": scale.factor}
        arrays |= {f"weights.{name}": values for name, values in self.weights.items()}
        content = io.BytesIO()
        np.savez(content, **arrays)
        return content.getvalue()

    @staticmethod
    def from_bytes(content: bytes) -> KernelNetwork:
        """What :meth:`to_bytes` gave; KeyError or ValueError for anything else."""
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            ops, rows = (Scale(arrays[f"{name}.middle"], arrays[f"{name}.factor"]) for name in ("ops", "rows"))
            prefix = "weights."
            weights = {key.removeprefix(prefix): arrays[key] for key in arrays.files if key.startswith(prefix)}
            return KernelNetwork(ops, rows, arrays["bounds"], weights)

    def _outputs(self, batch: OpBatch, ops: Singles, rows: Singles) -> Singles:
        hidden = _relu(self._linear("enter", ops))  # [N, W]
        order = np.argsort(batch.reader, kind="stable")
        source, reader = batch.source[order], batch.reader[order]
        readers, first = np.unique(reader, return_index=True)
        for layer in range(LAYERS):
            name = f"layers.{layer}"
            pooled = np.zeros_like(hidden)
            if len(readers):
                pooled[readers] = np.maximum.reduceat(_relu(self._linear(f"{name}.fc_pool", hidden))[source], first)
            here = self._linear(f"{name}.fc_self", hidden) + self._linear(f"{name}.fc_neigh", pooled)
            hidden = hidden + _relu(here)
        starts = np.cumsum(batch.lengths) - batch.lengths
        read = [reduce.reduceat(hidden, starts) for reduce in (np.add, np.maximum)]  # [B, W] each
        out = np.concatenate([*read, rows], axis=1)
        for name in ("leave.0", "leave.2"):
            out = _relu(self._linear(name, out))
        return self._linear("leave.4", out)[:, 0]

    def _linear(self, name: str, values: Singles) -> Singles:
        product: Singles = values @ self.weights[f"{name}.weight"].T
        return product + self.weights[f"{name}.bias"] if f"{name}.bias" in self.weights else product


def _relu(values: Singles) -> Singles:
    return np.maximum(values, np.float32(0.0))
