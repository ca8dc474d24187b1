"""Small problems that hypothesis draws and brute force can solve."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import strategies as st

from tvm_go.simulate import Device, Machine, Workload


@st.composite
def problems(draw: st.DrawFn, *, max_ops: int = 5) -> tuple[Workload, Machine]:
    """A host and one or two accelerators, alike or not, memory scarce or not."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(1, max_ops))
    op_ms = rng.integers(1, 10, (count, 3)) * np.array([4.0, 1.0, 2.0])
    op_ms[rng.random((count, 3)) < np.array([0.0, 0.1, 0.1])] = np.inf
    pairs = [pair for pair in itertools.combinations(range(count), 2) if rng.random() < 0.5]
    workload = Workload.of(
        "small",
        ("cpu", "accelerator", "other"),
        op_ms,
        np.array(pairs, dtype=np.int64).reshape(-1, 2),
        output_bytes=(rng.integers(0, 5, count) * draw(st.sampled_from([0.1, 1.0]))).astype(np.float64),
        resident_bytes=rng.integers(0, 4, count).astype(np.float64),
        colocation=rng.integers(0, count, count) if draw(st.booleans()) else None,
    )
    memory_bytes = draw(st.sampled_from([3.0, 6.0, float("inf")]))
    kinds = draw(st.sampled_from([("accelerator",), ("accelerator", "accelerator"), ("other", "accelerator")]))
    devices = (Device("cpu", "cpu"), *(Device(f"{kind}{i}", kind, memory_bytes) for i, kind in enumerate(kinds)))
    return workload, Machine.uniform("small", devices, 1.0, contend=False, overlap=False)
