"""Sums over runs are those of the units in them, one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tvm_go.policy.run_sums import run_sums


@given(seed=st.integers(0, 10**6), rows=st.sampled_from([1, 4]), units=st.integers(0, 12))
def test_a_sum_is_that_of_the_units_between_begin_and_end(seed: int, rows: int, units: int) -> None:
    rng = np.random.default_rng(seed)
    values = torch.from_numpy(rng.standard_normal((rows, units, 3))).float()
    orders = np.stack([rng.permutation(units) for _ in range(2)])
    sequence, action = rng.integers(0, 2, (4, 5)), rng.integers(0, 3, (4, 5))
    begin, end = np.sort(rng.integers(0, units + 1, (2, 4, 5)), axis=0)
    row = np.arange(4)[:, None] if rows > 1 else 0
    runs = (torch.from_numpy(sequence), torch.from_numpy(begin), torch.from_numpy(end), torch.from_numpy(action))
    sums = run_sums(values, torch.from_numpy(orders), torch.as_tensor(row), runs)
    for (b, c), total in np.ndenumerate(sums.numpy()):
        inside = orders[sequence[b, c], begin[b, c] : end[b, c]]
        expected = values[b if rows > 1 else 0, inside, action[b, c]].sum()
        assert total == pytest.approx(float(expected), abs=1e-5)
